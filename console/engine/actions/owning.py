"""Restored objects get their owners back, once these are there and have their new uids."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from console.engine.actions.run import ActionRun
from console.engine.aiokit import side_by_side
from console.engine.errors import Conflict, Forbidden, Invalid, NotFound
from console.engine.model.names import ANNOTATION_RESTORED_BY
from console.engine.model.record import Failure, RestoreAction
from console.engine.plan.owners import stands_for, with_owners
from console.engine.plan.raw import annotations_of, namespace_of, uid_of

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.plan.owners import PlannedOwner
    from console.engine.plan.restore_plan import PlannedItem, RestorePlan

Run = ActionRun[RestoreAction]

AT_ONCE = 8
TRIES = 10
_BY_HAND = "set metadata.ownerReferences by hand, if its controller does not"


async def give_owners(run: Run, made: RestorePlan) -> str:
    """Set the owner references of what this action made; nothing else is touched."""
    items = [*(item for wave in made.waves for item in wave), *(v.claim for v in made.volumes)]
    owned = [item for item in items if item.owners and item.verb == "create"]
    wanted = {owner.source_uid: owner for item in owned for owner in item.owners}
    uids: dict[str, str] = {}

    async def find(owner: PlannedOwner) -> None:
        namespace = made.target if owner.kind.namespaced else ""
        there = await run.drive.client.find(owner.kind, owner.name, namespace)
        if there is not None and stands_for(there, owner):
            uids[owner.source_uid] = uid_of(there)

    await side_by_side((partial(find, owner) for owner in wanted.values()), at_once=AT_ONCE)
    await side_by_side((partial(_give, run, item, uids) for item in owned), at_once=AT_ONCE)
    return f"{len(owned)} objects"


async def _give(run: Run, item: PlannedItem, uids: dict[str, str]) -> None:
    namespace = namespace_of(item.obj)
    owners = [(one, uids[one.source_uid]) for one in item.owners if one.source_uid in uids]
    where = f"{item.kind.resource}/{namespace}/{item.name}"
    for _ in range(TRIES):
        there = await run.drive.client.find(item.kind, item.name, namespace)
        if there is None or annotations_of(there).get(ANNOTATION_RESTORED_BY) != run.uid:
            return  # it was refused, or is somebody else's; that is told already
        references = with_owners(there, owners)
        if references is None:
            return
        body: RawObject = {
            "uid": uid_of(there),
            "resourceVersion": there["metadata"]["resourceVersion"],
            "ownerReferences": references,
        }
        try:
            await run.drive.client.patch(item.kind, item.name, namespace, merge={"metadata": body})
        except Conflict:
            continue  # a controller wrote in between: decide anew
        except NotFound:
            return
        except (Forbidden, Invalid) as error:
            told = f"its owners could not be set: {error.message}"
            run.fail(Failure(code="restore.owners", message=told, object=where, hint=_BY_HAND))
        return
    run.fail(
        Failure(
            code="restore.owners",
            message="it is written again and again, so its owners could not be set",
            object=where,
            hint=_BY_HAND,
        )
    )
