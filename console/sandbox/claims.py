"""Claims and volumes find each other: binding, provisioning, protection, reclaiming."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.sandbox.deletion import delete, release
from console.sandbox.folders import CopyError, bytes_of
from console.sandbox.kinds import (
    CLAIMS,
    DRIVER,
    PODS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    STORAGE_CLASSES,
    VOLUMES,
    Key,
)
from console.sandbox.matching import (
    BOUND,
    SELECTED_NODE,
    claims_of,
    fits,
    handle_of,
    is_doomed,
    may_hold,
    phase_of,
)
from console.sandbox.telling import is_going, tell

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import Protocol

    from console.sandbox.folders import Folders
    from console.sandbox.kinds import Raw
    from console.sandbox.rules import Rules
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control, Tasks

    class Freezer(Protocol):
        """Stops whoever writes to a volume."""

        def frozen(self, handle: str) -> AbstractAsyncContextManager[None]:
            """While in it, no process that mounts the volume runs."""


_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
_PVC_PROTECTION, _PV_PROTECTION = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


class NotYetError(Exception):
    """A claim that cannot be provisioned now."""


class Claims:
    """The binder, the provisioner and the two protections."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        *,
        control: Control,
        tasks: Tasks,
        folders: Folders,
        freezer: Freezer,
    ) -> None:
        self._store = store
        self._rules = rules
        self._control = control
        self._tasks = tasks
        self._folders = folders
        self._freezer = freezer
        store.listen(self._on_change)

    # what wakes whom

    def _on_change(self, change: Change) -> None:
        key, obj = change.key, change.object
        match key.resource:
            case "persistentvolumeclaims":
                self._control.ask(self.decide_claim, key)
                self._wake_clones(key)
                if name := obj["spec"].get("volumeName"):
                    self._control.ask(self.decide_volume, Key(VOLUMES, "", name))
            case "persistentvolumes":
                self._on_volume(change)
            case "pods":
                for name in claims_of(obj):
                    self._control.ask(self.decide_claim, Key(CLAIMS, key.namespace, name))
            case "volumesnapshots.snapshot.storage.k8s.io" | "storageclasses.storage.k8s.io":
                self._wake_pending(key.namespace)
            case _:
                pass

    def _on_volume(self, change: Change) -> None:
        # The provisioner acts on what it saw in this event, whatever the binder does meanwhile:
        # Delete on a Released volume destroys its data even if its claimRef just moved on.
        if change.type != "DELETED" and is_doomed(change.object):
            self._control.ask(self.reclaim, (change.key, change.object["metadata"]["uid"]))
        if change.type != "DELETED":
            self._control.ask(self.decide_volume, change.key)
        for obj in (change.object, change.before):
            ref = (obj or {}).get("spec", {}).get("claimRef")
            if ref:
                self._control.ask(self.decide_claim, Key(CLAIMS, ref["namespace"], ref["name"]))
        for claim in self._store.each(CLAIMS):
            if claim["spec"].get("volumeName") == change.key.name:
                self._control.ask(self.decide_claim, self._store.registry[CLAIMS].key(claim))

    def _wake_clones(self, source: Key) -> None:
        for claim in self._store.each(CLAIMS, source.namespace):
            origin = claim["spec"].get("dataSource") or {}
            pending = claim["status"]["phase"] == "Pending"
            if (
                pending
                and origin.get("name") == source.name
                and claim["metadata"]["name"] != source.name
            ):
                self._control.ask(self.decide_claim, self._store.registry[CLAIMS].key(claim))

    def _wake_pending(self, namespace: str) -> None:
        for claim in self._store.each(CLAIMS, namespace):
            if claim["status"]["phase"] == "Pending":
                self._control.ask(self.decide_claim, self._store.registry[CLAIMS].key(claim))

    # claims

    def decide_claim(self, key: Key) -> None:
        """One step of one claim."""
        claim = self._store.peek(key)
        if claim is not None and is_going(claim) and not self._is_used(key):
            self._store.edit(key, lambda obj: release(obj, _PVC_PROTECTION))
            claim = self._store.peek(key)
        if claim is None:
            return
        name = claim["spec"].get("volumeName")
        if name:
            self._hold(claim, self._store.peek(Key(VOLUMES, "", name)))
        elif not is_going(claim):
            self._search(key, claim)

    def _is_used(self, key: Key) -> bool:
        return any(
            pod["spec"].get("nodeName") and key.name in claims_of(pod)
            for pod in self._store.each(PODS, key.namespace)
        )

    def _hold(self, claim: Raw, volume: Raw | None) -> None:
        """A claim that names its volume is Bound, Lost or still waiting."""
        was_bound = BOUND in (claim["metadata"].get("annotations") or {})
        if volume is not None and may_hold(claim, volume):
            if was_bound or fits(claim, volume):
                self._bind(claim, volume)
            else:
                text = f'Cannot bind to requested volume "{volume["metadata"]["name"]}"'
                tell(self._store, claim, "VolumeMismatch", text, warning=True)
        elif was_bound:
            self._lose(claim, "ClaimLost" if volume is None else "ClaimMisbound")
        elif volume is not None:
            name = volume["metadata"]["name"]
            text = f'volume "{name}" already bound to a different claim.'
            tell(self._store, claim, "FailedBinding", text, warning=True)

    def _lose(self, claim: Raw, reason: str) -> None:
        if claim["status"]["phase"] == "Lost":
            return
        key = self._store.registry[CLAIMS].key(claim)
        self._store.edit(key, lambda obj: obj.update(status={"phase": "Lost"}))
        text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        if reason == "ClaimMisbound":
            text = "Two claims are bound to the same volume, this one is bound incorrectly"
        tell(self._store, claim, reason, text, warning=True)

    def _search(self, key: Key, claim: Raw) -> None:
        volumes = [v for v in self._store.each(VOLUMES) if not is_going(v) and fits(claim, v)]
        reserved = [v for v in volumes if v["spec"].get("claimRef") and may_hold(claim, v)]
        if reserved:
            self._bind(claim, reserved[0])
            return
        cls = self._store.peek(
            Key(STORAGE_CLASSES, "", claim["spec"].get("storageClassName") or "")
        )
        chosen = SELECTED_NODE in (claim["metadata"].get("annotations") or {})
        if (
            cls is not None
            and cls.get("volumeBindingMode") == "WaitForFirstConsumer"
            and not chosen
        ):
            text = "waiting for first consumer to be created before binding"
            tell(self._store, claim, "WaitForFirstConsumer", text)
            return
        free = [v for v in volumes if not v["spec"].get("claimRef") and phase_of(v) == "Available"]
        if free:
            self._bind(claim, min(free, key=lambda v: bytes_of(v["spec"]["capacity"]["storage"])))
        elif cls is None or cls["provisioner"] != DRIVER:
            text = "no persistent volumes available for this claim and no storage class is set"
            tell(self._store, claim, "FailedBinding", text)
        else:
            self._tasks.start(("provision", claim["metadata"]["uid"]), self._provision(key))

    def _bind(self, claim: Raw, volume: Raw) -> None:
        meta, name = claim["metadata"], volume["metadata"]["name"]
        volume_key, claim_key = Key(VOLUMES, "", name), self._store.registry[CLAIMS].key(claim)

        def take(obj: Raw) -> None:
            ref = obj["spec"].get("claimRef") or {}
            if not ref:
                obj["metadata"].setdefault("annotations", {})[_BY_CONTROLLER] = "yes"
            if ref.get("uid") != meta["uid"]:
                obj["spec"]["claimRef"] = {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "resourceVersion": meta["resourceVersion"],
                }
            obj["status"] = {"phase": "Bound"}

        def hold(obj: Raw) -> None:
            annotations = obj["metadata"].setdefault("annotations", {})
            if not obj["spec"].get("volumeName"):
                annotations[_BY_CONTROLLER] = "yes"
            annotations[BOUND] = "yes"
            obj["spec"]["volumeName"] = name
            obj["status"] = {
                "phase": "Bound",
                "accessModes": volume["spec"]["accessModes"],
                "capacity": volume["spec"]["capacity"],
            }

        self._store.edit(volume_key, take)
        self._store.edit(claim_key, hold, uid=meta["uid"])

    # provisioning

    async def _provision(self, key: Key) -> None:
        claim = self._store.find(key)
        if claim is None:
            return
        annotation = {"volume.kubernetes.io/storage-provisioner": DRIVER}
        self._store.edit(
            key, lambda obj: obj["metadata"].setdefault("annotations", {}).update(annotation)
        )
        try:
            handle = await self._fill(claim)
        except (NotYetError, CopyError) as error:
            cls = claim["spec"]["storageClassName"]
            text = f'failed to provision volume with StorageClass "{cls}": {error}'
            tell(self._store, claim, "ProvisioningFailed", text, warning=True)
            return
        self._make_volume(claim, handle)
        text = f"Successfully provisioned volume pvc-{claim['metadata']['uid']}"
        tell(self._store, claim, "ProvisioningSucceeded", text)

    async def _fill(self, claim: Raw) -> str:
        size = bytes_of(claim["spec"]["resources"]["requests"]["storage"])
        source = claim["spec"].get("dataSource")
        if not source:
            return await self._folders.new_volume(size, None)
        if source["kind"] == "VolumeSnapshot":
            folder, least = self._snapshot_source(claim["metadata"]["namespace"], source["name"])
            handle = ""
        else:
            handle, folder = self._claim_source(claim["metadata"]["namespace"], source["name"])
            least = self._folders.sizes.get(handle, 0)
        if size < least:
            raise NotYetError(
                f"requested volume size {size} is less than the size {least} of the source"
            )
        if not handle:
            return await self._folders.new_volume(size, folder)
        async with self._freezer.frozen(handle):
            return await self._folders.new_volume(size, folder)

    def _snapshot_source(self, namespace: str, name: str) -> tuple[Path, int]:
        snapshot = self._store.peek(Key(SNAPSHOTS, namespace, name))
        if snapshot is None:
            raise NotYetError(f"error getting snapshot {name} from api server: not found")
        status = snapshot.get("status") or {}
        if not status.get("readyToUse"):
            raise NotYetError(f"snapshot {name} is not Ready")
        bound = status["boundVolumeSnapshotContentName"]
        content = self._store.peek(Key(SNAPSHOT_CONTENTS, "", bound)) or {}
        handle = (content.get("status") or {}).get("snapshotHandle", "")
        folder = self._folders.snapshot(handle)
        if folder is None:
            raise NotYetError(f'rpc error: code = NotFound desc = no snapshot "{handle}"')
        return folder, self._folders.cuts[handle].size_bytes

    def _claim_source(self, namespace: str, name: str) -> tuple[str, Path]:
        claim = self._store.peek(Key(CLAIMS, namespace, name)) or {"spec": {}}
        volume = self._store.peek(Key(VOLUMES, "", claim["spec"].get("volumeName") or ""))
        handle = "" if volume is None else handle_of(volume)
        folder = self._folders.volume(handle)
        if folder is None:
            raise NotYetError(f"claim {name} is not bound to a volume of {DRIVER}")
        return handle, folder

    def _make_volume(self, claim: Raw, handle: str) -> None:
        meta, spec = claim["metadata"], claim["spec"]
        cls = self._store.peek(Key(STORAGE_CLASSES, "", spec["storageClassName"])) or {}
        volume = {
            "metadata": {
                "name": f"pvc-{meta['uid']}",
                "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
            },
            "spec": {
                "accessModes": spec["accessModes"],
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "resourceVersion": meta["resourceVersion"],
                },
                "csi": {"driver": DRIVER, "volumeHandle": handle},
                "persistentVolumeReclaimPolicy": cls.get("reclaimPolicy", "Delete"),
                "storageClassName": spec["storageClassName"],
                "volumeMode": spec.get("volumeMode", "Filesystem"),
            },
        }
        resource = self._store.registry[VOLUMES]
        self._store.add(resource, self._rules.for_create(resource, volume, "", strict=False))

    # volumes

    def decide_volume(self, key: Key) -> None:
        """One step of one volume's phase."""
        volume = self._store.peek(key)
        if volume is None:
            return
        if is_going(volume) and phase_of(volume) != "Bound":
            self._store.edit(key, lambda obj: release(obj, _PV_PROTECTION))
            return
        ref = volume["spec"].get("claimRef") or {}
        if not ref.get("uid"):
            self._turn(key, "Available")
            self._wake_pending("")
            return
        claim = self._store.peek(Key(CLAIMS, ref["namespace"], ref["name"]))
        if claim is None or claim["metadata"]["uid"] != ref["uid"]:
            if phase_of(volume) not in {"Released", "Failed"}:
                self._turn(key, "Released")
        elif claim["spec"].get("volumeName") == key.name:
            self._turn(key, "Bound")
        elif claim["spec"].get("volumeName"):
            self._store.edit(key, lambda obj: obj["spec"]["claimRef"].pop("uid"))

    def _turn(self, key: Key, phase: str) -> None:
        self._store.edit(key, lambda obj: obj.update(status={"phase": phase}))

    def reclaim(self, doomed: tuple[Key, str]) -> None:
        """Destroy the data of a volume that was Released with the policy Delete."""
        key, uid = doomed
        volume = self._store.peek(key)
        if volume is None or volume["metadata"]["uid"] != uid:
            return
        handle = handle_of(volume)
        if not handle:
            text = "no volume plugin of the sandbox can delete it"
            failed = {"phase": "Failed", "message": text, "reason": "VolumeFailedDelete"}
            self._store.edit(key, lambda obj: obj.update(status=failed))
            return
        self._tasks.start(("destroy", handle), self._folders.destroy(self._folders.volume(handle)))
        if not is_going(volume):
            delete(self._store, key)
