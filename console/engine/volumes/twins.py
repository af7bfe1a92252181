"""Twins: a second, read-only PersistentVolume on the data of a claim, for one worker of ours.

Deleting a twin never touches the data. Three things would have to be otherwise: its reclaim policy
is Retain, which is looked at again in the very version that is deleted; no provisioner wrote its
name on it, and without that none feels responsible; and none of its finalizers asks for a driver.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from console.engine.errors import Conflict, EngineError, NotFound
from console.engine.model.kinds import CLAIMS, VOLUMES
from console.engine.model.names import LABEL_ACTION_UID, LABEL_ROLE, WORKERS_NAMESPACE
from console.engine.plan.copies import TWIN, twin_claim, twin_volume
from console.engine.plan.raw import labels_of, name_of, text, uid_of
from console.engine.volumes.cutting import TRIES, ensure
from console.engine.volumes.handover import wait_bound

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.model.points import VolumeArtifact
    from console.engine.plan.copies import Twin
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive

GONE_S = 120.0


async def make_twin(drive: Drive, volume: VolumeArtifact, twin: Twin, *, origin: Origin) -> str:
    """A claim of ours that is bound to a twin; its name. Safe to repeat."""
    claim = await ensure(drive, CLAIMS, twin_claim(volume, twin, origin=origin))
    body = twin_volume(volume, twin, origin=origin, claim_uid=uid_of(claim))
    await ensure(drive, VOLUMES, body)
    await wait_bound(drive, WORKERS_NAMESPACE, name_of(claim))
    return name_of(claim)


async def drop_twins(drive: Drive, action_uid: str) -> None:
    """Take all twins of an action away, claims first; no pod of ours uses them any more."""
    labels = f"{LABEL_ACTION_UID}={action_uid},{LABEL_ROLE}={TWIN}"
    for claim in await drive.client.list(CLAIMS, WORKERS_NAMESPACE, labels=labels):
        with contextlib.suppress(Conflict):  # it was replaced: not ours
            await drive.client.delete(CLAIMS, name_of(claim), WORKERS_NAMESPACE, uid=uid_of(claim))
    for twin in await drive.client.list(VOLUMES, labels=labels):
        await drop_twin(drive, twin)


async def drop_twin(drive: Drive, twin: RawObject) -> None:
    """Delete exactly this twin, and wait until it is gone; its data stays.

    Raises:
        EngineError: `twin.not_retained`: deleting it could take the data along.
    """
    name = name_of(twin)
    for _ in range(TRIES):
        there = await drive.client.find(VOLUMES, name)
        if there is None or uid_of(there) != uid_of(twin):
            return
        _refuse_unless_harmless(there)
        version = text(there, "metadata", "resourceVersion")
        try:
            await drive.client.delete(VOLUMES, name, uid=uid_of(there), resource_version=version)
        except Conflict:  # the volume controller writes to it too
            continue
        await _wait_gone(drive, name)
        return
    raise EngineError(
        "the twin changes each time it is looked at",
        subject=f"PersistentVolume {name}",
        hint="who else writes to it?",
        code="twin.busy",
    )


async def _wait_gone(drive: Drive, name: str) -> None:
    """It is on its way out; one that takes longer is nobody's loss."""
    try:
        await drive.client.wait_for(VOLUMES, name, "", lambda _raw: False, timeout_s=GONE_S)
    except NotFound:
        return
    except EngineError as error:
        if error.code != "cluster.timeout":
            raise


def _refuse_unless_harmless(twin: RawObject) -> None:
    retained = text(twin, "spec", "persistentVolumeReclaimPolicy") == "Retain"
    if not retained or labels_of(twin).get(LABEL_ROLE) != TWIN:
        raise EngineError(
            "somebody changed the twin of a volume: deleting it could delete the volume's data",
            subject=f"PersistentVolume {name_of(twin)}",
            hint="set its persistentVolumeReclaimPolicy to Retain; it goes with the next sweep",
            code="twin.not_retained",
        )
