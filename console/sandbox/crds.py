"""Custom resources: a CRD is established, its objects are served, it takes them along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.sandbox.deletion import delete, release
from console.sandbox.kinds import CRDS, Key, Raw, Resource
from console.sandbox.store import now_text

if TYPE_CHECKING:
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control

_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_AGE: Raw = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


class CustomResources:
    """Serves what the CRDs define. Only the storage version of each is served."""

    def __init__(self, store: Store, control: Control) -> None:
        self._store = store
        self._control = control
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.resource == CRDS and change.type != "DELETED":
            self._control.ask(self.decide, change.key)
        elif change.type == "DELETED":
            crd = self._store.peek(Key(CRDS, "", change.key.resource))
            if crd is not None and "deletionTimestamp" in crd["metadata"]:
                self._control.ask(self.decide, Key(CRDS, "", change.key.resource))

    def decide(self, key: Key) -> None:
        """Bring one CRD and what is served into line."""
        crd = self._store.peek(key)
        if crd is None:
            return
        if "deletionTimestamp" in crd["metadata"]:
            self._clean(key)
            return
        self._store.registry.add(resource_of(crd))
        self._store.edit(key, _establish)

    def _clean(self, key: Key) -> None:
        if key.name in self._store.registry:
            resource = self._store.registry[key.name]
            for obj in self._store.each(resource.id):
                if "deletionTimestamp" not in obj["metadata"]:
                    delete(self._store, resource.key(obj))
        if not self._store.each(key.name):
            self._store.registry.remove(key.name)
            self._store.edit(key, lambda crd: release(crd, _CLEANUP))


def _establish(crd: Raw) -> None:
    meta, spec = crd["metadata"], crd["spec"]
    if _CLEANUP not in meta.setdefault("finalizers", []):
        meta["finalizers"].append(_CLEANUP)
    if crd.get("status", {}).get("acceptedNames") == spec["names"]:
        return
    told = {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}
    crd["status"] = {
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": "no conflicts found",
                "lastTransitionTime": now_text(),
            }
            for kind, reason in told.items()
        ],
        "acceptedNames": spec["names"],
        "storedVersions": [v["name"] for v in spec["versions"] if v.get("storage")],
    }


def resource_of(crd: Raw) -> Resource:
    """The resource that a CRD defines."""
    spec, names = crd["spec"], crd["spec"]["names"]
    version = next(v for v in spec["versions"] if v.get("storage"))
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        short=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        status="status" in version.get("subresources", {}),
        list_kind=names.get("listKind", f"{names['kind']}List"),
        singular=names.get("singular", names["kind"].lower()),
        schema=version.get("schema", {}).get("openAPIV3Schema", {}),
        columns=tuple(version.get("additionalPrinterColumns") or (_AGE,)),
    )
