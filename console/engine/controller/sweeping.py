"""Takes away, by name, what never became a point: leftovers of actions that are gone.

Runs once when an engine begins to drive. A Building content whose action is
still to be carried out is that action's; every other one is swept.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from console.engine.actions.backup import discard_orphan
from console.engine.catalog.contents import list_contents
from console.engine.model.kinds import CLAIMS, JOBS, RESTORE_POINT_CONTENTS
from console.engine.model.names import LABEL_ACTION_UID, LABEL_ROLE, WORKERS_NAMESPACE
from console.engine.volumes.handover import drop_unfinished
from console.engine.volumes.jobs import clean_up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.record import Action
    from console.engine.volumes.drive import Drive

log = logging.getLogger(__name__)


async def sweep(drive: Drive, actions: Iterable[Action]) -> None:
    """Sweep leftovers; live work and every Ready point stay untouched."""
    unfinished = {action.metadata.uid for action in actions if action.status.phase != "Finished"}
    await _sweep_points(drive, unfinished)
    await _sweep_workers(drive, unfinished)


async def _sweep_points(drive: Drive, unfinished: set[str]) -> None:
    for content in await list_contents(drive.client):
        spec = content.spec
        if content.status.state != "Building" or spec.actionUID in unfinished:
            continue
        log.warning("swept: RestorePointContent %s never became a point", content.metadata.name)
        if spec.kind == "local":
            await discard_orphan(
                drive,
                action_uid=spec.actionUID,
                point=spec.id,
                application=spec.application.namespace,
            )
        await drive.client.delete(
            RESTORE_POINT_CONTENTS, content.metadata.name, uid=content.metadata.uid
        )


async def _sweep_workers(drive: Drive, unfinished: set[str]) -> None:
    left: set[str] = set()
    for kind, role in ((JOBS, "job"), (CLAIMS, "volume")):
        labels = f"{LABEL_ROLE}={role}"
        for raw in await drive.client.list(kind, WORKERS_NAMESPACE, labels=labels):
            left.add(raw["metadata"]["labels"].get(LABEL_ACTION_UID, ""))
    for uid in sorted(left - unfinished - {""}):
        log.warning("swept: what action %s left in %s", uid, WORKERS_NAMESPACE)
        await drop_unfinished(drive, uid)
        await clean_up(drive, uid)
