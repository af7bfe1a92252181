"""Deleting one object as the API does: preconditions, propagation, grace, finalizers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from console.sandbox import faults
from console.sandbox.kinds import PODS

if TYPE_CHECKING:
    from console.sandbox.kinds import Key, Raw
    from console.sandbox.store import Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def delete(store: Store, key: Key, options: Raw | None = None) -> Raw | None:
    """Delete; the object when it stays for a while, None when it is gone at once.

    ApiError: 404, or 409 when a precondition fails.
    """
    options = options or {}
    obj = store.get(key)
    _check_preconditions(store, key, obj, options.get("preconditions") or {})
    meta = obj["metadata"]
    policy = options.get("propagationPolicy") or (
        "Orphan" if options.get("orphanDependents") else "Background"
    )
    mark = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(policy)
    if mark and mark not in meta.get("finalizers", ()) and "deletionTimestamp" not in meta:
        meta.setdefault("finalizers", []).append(mark)
    grace = _grace_s(key, obj, options)
    if "deletionTimestamp" not in meta or grace < meta.get("deletionGracePeriodSeconds", 0):
        due = datetime.now(UTC) + timedelta(seconds=grace)
        meta["deletionTimestamp"] = due.strftime("%Y-%m-%dT%H:%M:%SZ")
        meta["deletionGracePeriodSeconds"] = grace
    if obj["kind"] == "Namespace":
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
    kept = store.replace(key, obj)
    return kept if store.peek(key) is not None else None


def _check_preconditions(store: Store, key: Key, obj: Raw, wanted: Raw) -> None:
    for name, field in (("UID", "uid"), ("ResourceVersion", "resourceVersion")):
        have = obj["metadata"][field]
        if wanted.get(field) and wanted[field] != have:
            why = (
                f"the {name} in the precondition ({wanted[field]}) does not match"
                f" the {name} in record ({have})."
                " The object might have been deleted and then recreated"
            )
            raise faults.conflict(store.resource(key), key.name, why)


def _grace_s(key: Key, obj: Raw, options: Raw) -> int:
    """How long a pod has for its end; one that never ran, or is done, goes at once."""
    if key.resource != PODS or not obj["spec"].get("nodeName"):
        return 0
    if obj["status"].get("phase") in {"Succeeded", "Failed"}:
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(obj["spec"]["terminationGracePeriodSeconds"] if asked is None else asked)


def release(obj: Raw, finalizer: str) -> None:
    """Take a finalizer off."""
    meta = obj["metadata"]
    meta["finalizers"] = [held for held in meta.get("finalizers", ()) if held != finalizer]
    if not meta["finalizers"]:
        del meta["finalizers"]
