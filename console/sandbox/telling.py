"""Events, owner references and conditions: what controllers write beside their work."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from console.sandbox.kinds import EVENTS, NAMESPACES, Key
from console.sandbox.store import now_text

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw
    from console.sandbox.store import Store


def tell(store: Store, about: Raw, reason: str, message: str, *, warning: bool = False) -> None:
    """Record an event; the same again only counts up."""
    meta = about["metadata"]
    namespace = meta.get("namespace", "default")
    home = store.peek(Key(NAMESPACES, "", namespace))
    if home is None or "deletionTimestamp" in home["metadata"]:
        return
    mark = hashlib.sha256(f"{meta['uid']}/{reason}/{message}".encode()).hexdigest()[:16]
    key = Key(EVENTS, namespace, f"{meta['name'][:200]}.{mark}")
    if store.edit(key, _again) is not None:
        return
    now = now_text()
    store.add(
        store.registry[EVENTS],
        {
            "metadata": {"name": key.name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta.get("namespace", ""),
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": "sandbox"},
        },
    )


def _again(event: Raw) -> None:
    event["count"] = event.get("count", 1) + 1
    event["lastTimestamp"] = now_text()


def owner_of(owner: Raw) -> Raw:
    """A controller's owner reference to `owner`."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_by(obj: Raw, uid: str) -> bool:
    """Whether the owner with this uid controls `obj`."""
    refs = obj["metadata"].get("ownerReferences") or ()
    return any(ref["uid"] == uid and ref.get("controller") for ref in refs)


def is_going(obj: Raw) -> bool:
    """Whether the object is being deleted."""
    return "deletionTimestamp" in obj["metadata"]


def with_condition(conditions: list[Raw], kind: str, *, holds: bool, **more: Any) -> list[Raw]:
    """The conditions with one of them set; its transition time moves only when it turns."""
    status = "True" if holds else "False"
    old = next((c for c in conditions if c["type"] == kind), None)
    turned = old is None or old["status"] != status
    since = now_text() if old is None or turned else old["lastTransitionTime"]
    new = {"type": kind, "status": status, "lastTransitionTime": since, **more}
    return [*(c for c in conditions if c["type"] != kind), new]
