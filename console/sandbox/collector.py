"""What goes with something else: owners' dependents, and namespaces with all that is in them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from console.sandbox.deletion import FOREGROUND, ORPHAN, delete, release
from console.sandbox.kinds import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS, Key
from console.sandbox.store import now_text
from console.sandbox.telling import is_going

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.sandbox.kinds import Raw
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control


class Collector:
    """The garbage collector: an object goes when the last of its owners is gone."""

    def __init__(self, store: Store, control: Control) -> None:
        self._store = store
        self._control = control
        self._dependents: dict[str, set[Key]] = defaultdict(set)  # by the owner's uid
        self._living: dict[str, Key] = {}
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        meta = change.object["metadata"]
        for ref in (change.before or {}).get("metadata", {}).get("ownerReferences") or ():
            self._dependents[ref["uid"]].discard(change.key)
        if change.type == "DELETED":
            self._living.pop(meta["uid"], None)
        else:
            self._living[meta["uid"]] = change.key
            for ref in meta.get("ownerReferences") or ():
                self._dependents[ref["uid"]].add(change.key)
            if meta.get("ownerReferences"):
                self._control.ask(self.decide_dependent, change.key)
            if {FOREGROUND, ORPHAN} & set(meta.get("finalizers") or ()) and is_going(change.object):
                self._control.ask(self.decide_owner, change.key)
            return
        for key in self._dependents.pop(meta["uid"], ()):
            self._control.ask(self.decide_dependent, key)
        for ref in meta.get("ownerReferences") or ():
            if (owner := self._living.get(ref["uid"])) is not None:
                self._control.ask(self.decide_owner, owner)

    def decide_owner(self, key: Key) -> None:
        """Foreground and Orphan: what an owner on its way out waits for."""
        owner = self._store.peek(key)
        if owner is None or not is_going(owner):
            return
        held, uid = owner["metadata"].get("finalizers") or (), owner["metadata"]["uid"]
        dependents = set(self._dependents.get(uid, ()))
        if ORPHAN in held:
            for dependent in dependents:
                self._store.edit(dependent, lambda obj: _drop_owners(obj, {uid}))
            self._store.edit(key, lambda obj: release(obj, ORPHAN))
        elif FOREGROUND in held:
            for dependent in dependents:
                self._control.ask(self.decide_dependent, dependent)
            if not any(self._blocks(dependent, uid) for dependent in dependents):
                self._store.edit(key, lambda obj: release(obj, FOREGROUND))

    def _blocks(self, key: Key, owner_uid: str) -> bool:
        refs = (self._store.peek(key) or {}).get("metadata", {}).get("ownerReferences") or ()
        return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in refs)

    def decide_dependent(self, key: Key) -> None:
        """Delete an object whose owners are all gone; else only forget those that are."""
        obj = self._store.peek(key)
        if obj is None or not obj["metadata"].get("ownerReferences"):
            return
        refs = obj["metadata"]["ownerReferences"]
        gone = {ref["uid"] for ref in refs if not self._lives(ref, key.namespace)}
        waiting = {ref["uid"] for ref in refs if self._waits(ref)}
        if len(gone | waiting) == len({ref["uid"] for ref in refs}):
            if not is_going(obj):
                policy = "Foreground" if waiting else "Background"
                delete(self._store, key, {"propagationPolicy": policy})
        elif gone | waiting:
            self._store.edit(key, lambda now: _drop_owners(now, gone | waiting))

    def _lives(self, ref: Raw, namespace: str) -> bool:
        """Whether the owner is there, in the same namespace or without one."""
        found = self._living.get(ref["uid"])
        return (
            found is not None and found.name == ref["name"] and found.namespace in {"", namespace}
        )

    def _waits(self, ref: Raw) -> bool:
        key = self._living.get(ref["uid"])
        owner = None if key is None else self._store.peek(key)
        return owner is not None and FOREGROUND in (owner["metadata"].get("finalizers") or ())


def _drop_owners(obj: Raw, uids: set[str]) -> None:
    meta = obj["metadata"]
    meta["ownerReferences"] = [r for r in meta["ownerReferences"] if r["uid"] not in uids]
    if not meta["ownerReferences"]:
        del meta["ownerReferences"]


class Namespaces:
    """A namespace is born with an account and the CA, and takes all of its content along."""

    def __init__(self, store: Store, control: Control, ca_text: str) -> None:
        self._store = store
        self._control = control
        self._ca_text = ca_text
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.resource == NAMESPACES:
            self._control.ask(self.decide, change.key.name)
        elif change.key.namespace:
            home = self._store.peek(Key(NAMESPACES, "", change.key.namespace))
            if home is not None and is_going(home):
                self._control.ask(self.decide, change.key.namespace)

    def decide(self, name: str) -> None:
        """One step of one namespace's birth or end."""
        key = Key(NAMESPACES, "", name)
        namespace = self._store.peek(key)
        if namespace is None:
            return
        if not is_going(namespace):
            self._furnish(name)
            return
        left = list(self._content(name))
        for at, obj in left:
            if not is_going(obj):
                delete(self._store, at)
        left = list(self._content(name))
        if left:
            self._store.edit(key, lambda obj: obj.update(status=_terminating(left)))
        else:
            self._store.edit(key, lambda obj: obj["spec"].pop("finalizers", None))

    def _furnish(self, name: str) -> None:
        account = {"metadata": {"name": "default", "namespace": name}}
        ca = {
            "metadata": {"name": "kube-root-ca.crt", "namespace": name},
            "data": {"ca.crt": self._ca_text},
        }
        for resource_id, obj in ((SERVICE_ACCOUNTS, account), (CONFIG_MAPS, ca)):
            resource = self._store.registry[resource_id]
            if self._store.peek(resource.key(obj)) is None:
                self._store.add(resource, obj)

    def _content(self, namespace: str) -> Iterator[tuple[Key, Raw]]:
        for resource in self._store.registry.all():
            if resource.namespaced:
                for obj in self._store.each(resource.id, namespace):
                    yield resource.key(obj), obj


def _terminating(left: list[tuple[Key, Raw]]) -> Raw:
    """The status of a namespace that waits, in the words of the real one."""
    counts = {
        kind: len(list(keys)) for kind, keys in itertools.groupby(key.resource for key, _ in left)
    }
    remaining = ", ".join(
        f"{kind} has {count} resource instances" for kind, count in counts.items()
    )
    holders: dict[str, int] = defaultdict(int)
    for _, obj in left:
        for finalizer in obj["metadata"].get("finalizers") or ():
            holders[finalizer] += 1
    told = {
        "NamespaceContentRemaining": (
            "SomeResourcesRemain",
            f"Some resources are remaining: {remaining}",
        ),
        "NamespaceFinalizersRemaining": (
            "SomeFinalizersRemain",
            "Some content in the namespace has finalizers remaining: "
            + ", ".join(f"{name} in {count} resource instances" for name, count in holders.items()),
        ),
    }
    return {
        "phase": "Terminating",
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastTransitionTime": now_text(),
            }
            for kind, (reason, message) in told.items()
            if holders or kind == "NamespaceContentRemaining"
        ],
    }
