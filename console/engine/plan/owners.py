"""Who owns what a restore makes: references that come back with the owners' new uids. Pure.

The garbage collector deletes what names owners of which none is there, so no object is
created with its old references. They are set once the owners that came out of the same point
are there; references to anything else are gone for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.model.kinds import Kind
from console.engine.model.names import ANNOTATION_SOURCE_UID
from console.engine.plan.raw import annotations_of, items, text, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from console.engine.model.kinds import RawObject


class PlannedOwner(msgspec.Struct, frozen=True, kw_only=True):
    """One owner of a planned object."""

    kind: Kind  # as the target serves it
    name: str
    source_uid: str
    controller: bool = False
    blocks_deletion: bool = False


def planned_owners(
    obj: RawObject, by_uid: Mapping[str, tuple[Kind, str]]
) -> tuple[PlannedOwner, ...]:
    """The owners of a stored object that come out of the same point.

    Args:
        obj: As it was stored.
        by_uid: Kind and name of the point's objects, by the uid that they had.
    """
    found = []
    for reference in items(obj, "metadata", "ownerReferences"):
        uid = text(reference, "uid")
        if uid in by_uid and uid != uid_of(obj):
            kind, name = by_uid[uid]
            found.append(
                PlannedOwner(
                    kind=kind,
                    name=name,
                    source_uid=uid,
                    controller=reference.get("controller") is True,
                    blocks_deletion=reference.get("blockOwnerDeletion") is True,
                )
            )
    return tuple(found)


def stands_for(there: RawObject, owner: PlannedOwner) -> bool:
    """Whether an object of the target is that owner: itself, or what was restored in its place."""
    return owner.source_uid in {uid_of(there), annotations_of(there).get(ANNOTATION_SOURCE_UID)}


def with_owners(
    there: RawObject, owners: Iterable[tuple[PlannedOwner, str]]
) -> list[dict[str, Any]] | None:
    """The references that an object of the target gets; None where none is missing.

    What a controller has set meanwhile stays, and stays the one controller.

    Args:
        owners: Each with the uid that it has now.
    """
    references = items(there, "metadata", "ownerReferences")
    known = {text(reference, "uid") for reference in references}
    controlled = any(reference.get("controller") is True for reference in references)
    missing = []
    for owner, uid in owners:
        if uid in known:
            continue
        made: dict[str, Any] = {
            "apiVersion": owner.kind.api_version,
            "kind": owner.kind.kind,
            "name": owner.name,
            "uid": uid,
        }
        if owner.controller and not controlled:
            made["controller"] = True
        if owner.blocks_deletion:
            made["blockOwnerDeletion"] = True
        missing.append(made)
    return [*references, *missing] if missing else None
