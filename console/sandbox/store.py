"""The objects: one version counter, a bounded history, and who listens to it.

Everything runs on one event loop and no method here awaits: a read and the
write that follows it in the same function cannot conflict.
"""

from __future__ import annotations

import uuid
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import msgspec

from console.sandbox import faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.sandbox.kinds import Key, Raw, Registry, Resource

HISTORY = 20_000


def now_text() -> str:
    """The time as the API writes it: whole seconds, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copy_of(obj: Raw) -> Raw:
    """A copy that shares nothing with `obj`."""
    return cast("Raw", msgspec.json.decode(msgspec.json.encode(obj)))


class Change(NamedTuple):
    """One write. Its objects are shared: read, never changed."""

    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: Key
    object: Raw
    before: Raw | None


class Store:
    """Objects by key. What it gives out is a copy, except where it says shared."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.version = 1
        self.oldest = 0  # a watch from an older version is answered 410
        self._objects: dict[str, dict[tuple[str, str], Raw]] = defaultdict(dict)
        self._history: deque[Change] = deque()
        self._listeners: list[Callable[[Change], None]] = []

    # reading

    def resource(self, key: Key) -> Resource:
        """The resource of a key."""
        return self.registry[key.resource]

    def peek(self, key: Key) -> Raw | None:
        """The object, shared; None when it is not there."""
        return self._objects[key.resource].get((key.namespace, key.name))

    def find(self, key: Key) -> Raw | None:
        """The object; None when it is not there."""
        obj = self.peek(key)
        return None if obj is None else copy_of(obj)

    def get(self, key: Key) -> Raw:
        """The object; ApiError 404 when it is not there."""
        obj = self.find(key)
        if obj is None:
            raise faults.not_found(self.resource(key), key.name)
        return obj

    def each(self, resource_id: str, namespace: str = "") -> list[Raw]:
        """All objects, shared, in order of namespace and name; '' = every namespace."""
        found = self._objects[resource_id]
        return [found[at] for at in sorted(found) if not namespace or at[0] == namespace]

    # writing

    def add(self, resource: Resource, obj: Raw) -> Raw:
        """Keep a new object; fills uid, creationTimestamp and versions in."""
        meta = obj["metadata"]
        key = resource.key(obj)
        if self.peek(key) is not None:
            raise faults.already_exists(resource, key.name)
        obj = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", now_text())
        if resource.status:
            meta.setdefault("generation", 1)
        return self._write("ADDED", key, obj)

    def replace(self, key: Key, obj: Raw) -> Raw:
        """Write an existing object; the same content again writes nothing.

        An object on its way out goes with its last finalizer.
        """
        before = self.peek(key)
        if before is None:
            raise faults.not_found(self.resource(key), key.name)
        obj["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        if obj == before:
            return copy_of(obj)
        if self.resource(key).status and _intent(obj) != _intent(before):
            obj["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
        if is_finished(obj):
            return self._write("DELETED", key, obj)
        return self._write("MODIFIED", key, obj)

    def edit(self, key: Key, change: Callable[[Raw], object], *, uid: str = "") -> Raw | None:
        """Change an object in place; None when it (or the one with this uid) is gone."""
        obj = self.find(key)
        if obj is None or (uid and obj["metadata"]["uid"] != uid):
            return None
        change(obj)
        return self.replace(key, obj)

    def remove(self, key: Key) -> Raw | None:
        """Take an object away whatever holds it."""
        obj = self.find(key)
        return None if obj is None else self._write("DELETED", key, obj)

    def _write(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], key: Key, obj: Raw) -> Raw:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        kept = copy_of(obj)
        objects = self._objects[key.resource]
        before = objects.get((key.namespace, key.name))
        if kind == "DELETED":
            del objects[key.namespace, key.name]
        else:
            objects[key.namespace, key.name] = kept
        change = Change(self.version, kind, key, kept, before)
        self._history.append(change)
        if len(self._history) > HISTORY:
            self.oldest = self._history.popleft().version
        for listener in tuple(self._listeners):
            listener(change)
        return obj

    # following

    def since(self, version: int, resource_id: str) -> list[Change]:
        """The changes after a version; ApiError 410 when the history does not reach back."""
        if version < self.oldest:
            raise faults.expired(f"too old resource version: {version} ({self.oldest})")
        return [c for c in self._history if c.version > version and c.key.resource == resource_id]

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` in the middle of each write; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def compact(self) -> None:
        """Forget the history, as etcd does now and then."""
        self._history.clear()
        self.oldest = self.version


def _intent(obj: Raw) -> Raw:
    return {name: value for name, value in obj.items() if name not in {"metadata", "status"}}


def is_finished(obj: Raw) -> bool:
    """Whether nothing holds an object that is being deleted any more."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers"):
        return False
    if obj["kind"] == "Namespace":
        return not obj.get("spec", {}).get("finalizers")
    return not meta.get("deletionGracePeriodSeconds")
