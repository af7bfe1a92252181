"""Frees the snapshots of retired points: each handle once, and only when nobody else names it.

Two contents on one handle do not know of each other: deleting one with Delete
destroys the data under the other, which goes on saying that it is ready. So
the others are looked for first, and where there are any, only our own pair goes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

from console.engine.errors import Conflict, EngineError, NotFound
from console.engine.model.kinds import SNAPSHOT_CONTENTS, SNAPSHOTS
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.model.points import SnapshotHandle
from console.engine.plan.snapshots import adopted_content
from console.engine.volumes.cutting import ensure, handle_of
from console.engine.volumes.releasing import release

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import RawObject
    from console.engine.model.record import RetiredData
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive

GONE_S = 600.0
TRIES = 20


async def other_names(client: KubeClient, handles: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Contents that name one of these handles beside the one that is the point's own.

    One that is on its way out does not count: the cut's own, after an adoption.

    Args:
        handles: The name of the point's own VolumeSnapshotContent, by handle.
    """
    found: dict[str, list[str]] = {}
    for raw in await _contents(client):
        handle, name = handle_of(raw), raw["metadata"]["name"]
        if handle in handles and handles[handle] != name and not _is_going(raw):
            found.setdefault(handle, []).append(f"VolumeSnapshotContent {name}")
    return {handle: tuple(sorted(names)) for handle, names in found.items()}


async def free_snapshot(
    drive: Drive, data: RetiredData, *, origin: Origin
) -> Literal["now", "kept"]:
    """Free one snapshot and wait until the driver has done it; safe to repeat at any point.

    `kept`: another content names it; then only our own pair of objects goes.

    Raises:
        EngineError: `retire.stuck`: the driver does not delete it.
    """
    label = f"freeing of {origin.application}/{data.pvc}"
    async with drive.slots.slot(
        "snapshot", action=origin.action_uid, label=label, application=origin.application
    ):
        for _ in range(TRIES):
            naming = [r for r in await _contents(drive.client) if handle_of(r) == data.id]
            own = next((r for r in naming if r["metadata"]["name"] == data.name), None)
            others = [r for r in naming if r["metadata"]["name"] != data.name]
            going = [r["metadata"]["name"] for r in others if _is_going(r)]
            if going and len(going) == len(others):
                await _until_gone(drive, going[0])  # then it is clear who is left
                continue
            with contextlib.suppress(Conflict, NotFound):  # somebody touched it: look again
                await _let_snapshot_go(drive, data.name)
                if others:
                    if own is not None:
                        await release(drive.client, own, "Retain")
                        await _until_gone(drive, data.name)
                    return "kept"
                # forgotten by hand: its data is still there, and only a content can free it
                own = own or await _named_again(drive, data, origin)
                await release(drive.client, own, "Delete")
                await _until_gone(drive, data.name)
                return "now"
    raise EngineError(
        "the snapshot's content changes each time it is looked at",
        subject=f"VolumeSnapshotContent {data.name}",
        hint="who else writes to it?",
        code="retire.stuck",
    )


async def _contents(client: KubeClient) -> list[RawObject]:
    try:
        return await client.list(SNAPSHOT_CONTENTS)
    except NotFound:  # the cluster knows no snapshots at all
        return []


def _is_going(raw: RawObject) -> bool:
    return bool(raw["metadata"].get("deletionTimestamp"))


async def _let_snapshot_go(drive: Drive, name: str) -> None:
    """The VolumeSnapshot first, while its content is Retain: nothing is freed by it."""
    snapshot = await drive.client.find(SNAPSHOTS, name, WORKERS_NAMESPACE)
    if snapshot is None:
        return
    uid = snapshot["metadata"]["uid"]
    await drive.client.delete(SNAPSHOTS, name, WORKERS_NAMESPACE, uid=uid)
    with contextlib.suppress(NotFound):
        await drive.client.wait_for(
            SNAPSHOTS, name, WORKERS_NAMESPACE, lambda _raw: False, timeout_s=GONE_S
        )


async def _named_again(drive: Drive, data: RetiredData, origin: Origin) -> RawObject:
    body = adopted_content(
        data.pvc, SnapshotHandle(handle=data.id, driver=data.driver), origin=origin
    )
    body["metadata"]["name"] = data.name
    body["spec"]["volumeSnapshotRef"]["name"] = data.name
    return await ensure(drive, SNAPSHOT_CONTENTS, body)


async def _until_gone(drive: Drive, name: str) -> None:
    try:
        with contextlib.suppress(NotFound):
            await drive.client.wait_for(
                SNAPSHOT_CONTENTS, name, "", lambda _raw: False, timeout_s=GONE_S
            )
    except EngineError as error:
        if error.code != "cluster.timeout":
            raise
        there = await drive.client.find(SNAPSHOT_CONTENTS, name) or {}
        told = (there.get("status", {}).get("error") or {}).get("message", "")
        raise EngineError(
            f"the storage has not deleted the snapshot within {GONE_S / 60:.0f} minutes"
            + (f": {told[:256]}" if told else ""),
            subject=f"VolumeSnapshotContent {name}",
            hint="see the CSI driver's log, then ask for the retirement again",
            code="retire.stuck",
        ) from error
