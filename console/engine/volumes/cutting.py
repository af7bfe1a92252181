"""The cut: all snapshots of a point, taken as one step; then adoption, a move into our namespace.

Artefacts carry the attempt in their names: what one attempt made is adopted
whole or thrown away whole, and never meets another's.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from console.engine.errors import AlreadyExists, Conflict, EngineError, NotFound
from console.engine.model.kinds import (
    PODS,
    SNAPSHOT_CLASSES,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import (
    LABEL_ACTION_UID,
    LABEL_ATTEMPT,
    LABEL_MANAGED_BY,
    LABEL_ROLE,
    MANAGED_BY,
    WORKERS_NAMESPACE,
)
from console.engine.model.points import Cut, SnapshotHandle, VolumeArtifact
from console.engine.model.views import Blocker
from console.engine.plan.claims import (
    Snapshottable,
    check_claim,
    no_snapshot,
    no_snapshots_known,
)
from console.engine.plan.copies import check_copy, said_later, source_of, without_snapshot
from console.engine.plan.snapshots import (
    adopted_content,
    adopted_name,
    adopted_snapshot,
    artifact,
    class_copy,
    cut_snapshot,
    snapshot_handle,
)
from console.engine.volumes.releasing import is_being_cut, release

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from console.engine.model.kinds import Kind, RawObject
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive


TRIES = 20
GONE_DEADLINE_S = 120.0


class Cuttable(NamedTuple):
    """What a cut can take of an application's claims."""

    targets: list[tuple[RawObject, Snapshottable]]  # each with the class that snapshots it
    without: list[VolumeArtifact]  # claims whose data an export has to copy
    told: list[Blocker]  # claims that are in the point without data, and why
    blockers: list[Blocker]  # claims whose data could not be had: nothing may be cut


async def cuttable_claims(drive: Drive, claims: Sequence[RawObject]) -> Cuttable:
    """Look at each claim of one namespace; our own copies of the classes are made."""
    found = Cuttable([], [], [], [])
    if not claims:
        return found
    volumes = {raw["metadata"]["name"]: raw for raw in await drive.client.list(VOLUMES)}
    mine = [volumes.get(claim["spec"].get("volumeName", "")) for claim in claims]
    classes = await _snapshot_classes(drive)
    if classes is None and any(source_of(volume or {}) in {"", "csi"} for volume in mine):
        return found._replace(blockers=[no_snapshots_known()])
    for claim, volume in zip(claims, mine, strict=True):
        checked = check_claim(claim, volume, classes or ())
        if isinstance(checked, Snapshottable):
            found.targets.append((claim, checked))
        elif checked.code == "claim.pending":
            found.told.append(checked)
        elif checked.code == "claim.no_snapshot" and volume is not None:
            pods = await drive.client.list(PODS, claim["metadata"]["namespace"])
            how = check_copy(claim, volume, pods, node_path=drive.settings.nodePath)
            if isinstance(how, Blocker):
                found.blockers.append(no_snapshot(checked, how))
            else:
                found.without.append(without_snapshot(claim))
                found.told.append(said_later(checked))
        else:
            found.blockers.append(checked)
    await _copy_classes(drive, classes or (), [how for _, how in found.targets])
    return found


async def _snapshot_classes(drive: Drive) -> list[RawObject] | None:
    """None: the cluster knows no snapshots."""
    try:
        return await drive.client.list(SNAPSHOT_CLASSES)
    except NotFound:
        return None


async def cut_volumes(
    drive: Drive, claims: Sequence[tuple[RawObject, Snapshottable]], *, origin: Origin
) -> tuple[VolumeArtifact, ...]:
    """Ask for all snapshots at once and wait until each has a handle and a creationTime.

    Raises:
        EngineError: `cut.late` after the deadline, `cut.failed` when a driver said no.
    """
    if not claims:
        return ()
    classes = await drive.client.list(SNAPSHOT_CLASSES)
    copies = {raw["metadata"]["name"]: class_copy(raw)["metadata"]["name"] for raw in classes}
    deadline = drive.settings.snapshotDeadlineSeconds
    try:
        async with asyncio.timeout(deadline), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_cut_one(drive, claim, copies[how.snapshot_class], origin=origin))
                for claim, how in claims
            ]
    except TimeoutError as error:
        raise EngineError(
            f"not every snapshot was taken within {deadline} s",
            subject=origin.application,
            hint="the snapshots of this attempt are thrown away; see the CSI driver's log",
            code="cut.late",
        ) from error
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    return tuple(task.result() for task in tasks)


async def adopt(drive: Drive, volume: VolumeArtifact, *, origin: Origin) -> None:
    """Take a snapshot over: first our own pair is made, then the application's pair goes."""
    handle = volume.snapshot
    if handle is None:
        return
    await ensure(drive, SNAPSHOT_CONTENTS, adopted_content(volume.pvc, handle, origin=origin))
    await ensure(drive, SNAPSHOTS, adopted_snapshot(volume.pvc, handle, origin=origin))
    name = origin.name("cut", volume.pvc)
    original = await drive.client.find(SNAPSHOTS, name, origin.application)
    await _delete_original(drive, original, handle, origin=origin, name=name)


async def discard_attempt(drive: Drive, *, origin: Origin, claims: Iterable[str] = ()) -> None:
    """Throw one attempt away whole, by name: its snapshots never became a point.

    Args:
        claims: What was cut: a snapshot that went with its namespace left a content behind,
            which nothing but their names tells apart.
    """
    labels = f"{LABEL_ACTION_UID}={origin.action_uid},{LABEL_ATTEMPT}={origin.attempt}"
    try:
        contents = {raw["metadata"]["name"]: raw for raw in await _adopted(drive, labels)}
    except NotFound:  # a cluster that knows no snapshots has none of ours
        return
    cut = await drive.client.list(SNAPSHOTS, origin.application, labels=labels)
    for snapshot in cut:
        await _delete(drive, SNAPSHOTS, snapshot)
    for snapshot in cut:
        await _wait_gone(drive, snapshot)
    for snapshot in await drive.client.list(SNAPSHOTS, WORKERS_NAMESPACE, labels=labels):
        await _delete(drive, SNAPSHOTS, snapshot)
    # now no controller makes a content any more; a snapshot may not have named its own yet
    names = {snapshot["metadata"]["name"] for snapshot in cut}
    names |= {origin.name("cut", claim) for claim in claims}
    for content in await drive.client.list(SNAPSHOT_CONTENTS) if names else ():
        there = content["spec"].get("volumeSnapshotRef", {})
        if there.get("namespace") == origin.application and there.get("name") in names:
            contents[content["metadata"]["name"]] = content
    for content in contents.values():
        await free_content(drive, content)


async def _wait_gone(drive: Drive, snapshot: RawObject) -> None:
    meta = snapshot["metadata"]
    try:
        await drive.client.wait_for(
            SNAPSHOTS,
            meta["name"],
            meta["namespace"],
            lambda raw: raw["metadata"]["uid"] != meta["uid"],
            timeout_s=GONE_DEADLINE_S,
        )
    except NotFound:
        return


async def free_content(drive: Drive, content: RawObject) -> None:
    """Free the snapshot behind a content, unless another content names the same handle."""
    handle = handle_of(content)
    name = content["metadata"]["name"]
    others = [
        raw
        for raw in await drive.client.list(SNAPSHOT_CONTENTS)
        if raw["metadata"]["name"] != name
        and handle
        and handle_of(raw) == handle
        and not raw["metadata"].get("deletionTimestamp")
    ]
    for _ in range(TRIES):
        try:
            await release(drive.client, content, "Retain" if others else "Delete")
        except Conflict:  # the snapshot controller writes to it too
            there = await drive.client.find(SNAPSHOT_CONTENTS, name)
            if there is None or there["metadata"]["uid"] != content["metadata"]["uid"]:
                return
            content = there
        except NotFound:
            return
        else:
            return
    raise EngineError(
        "the snapshot's content changes each time it is looked at",
        subject=f"VolumeSnapshotContent {name}",
        hint="who else writes to it?",
        code="snapshot.busy",
    )


def cut_of(volumes: Sequence[VolumeArtifact], *, attempt: int) -> Cut:
    """When the cut was, and how far apart its snapshots are."""
    times = sorted(v.snapshot.creationTime for v in volumes if v.snapshot)
    if not times:
        return Cut(attempt=attempt)
    spread = datetime.fromisoformat(times[-1]) - datetime.fromisoformat(times[0])
    return Cut(
        attempt=attempt,
        startTime=times[0],
        endTime=times[-1],
        spreadSeconds=spread.total_seconds(),
    )


async def ensure(drive: Drive, kind: Kind, body: RawObject) -> RawObject:
    """Create an object of ours with a derived name, or take the one that is there."""
    try:
        return await drive.client.create(kind, body)
    except AlreadyExists:
        meta = body["metadata"]
        return await drive.client.get(kind, meta["name"], meta.get("namespace", ""))


async def _copy_classes(
    drive: Drive, classes: Sequence[RawObject], chosen: Sequence[Snapshottable]
) -> None:
    wanted = {verdict.snapshot_class for verdict in chosen}
    for raw in classes:
        if raw["metadata"]["name"] in wanted:
            await ensure(drive, SNAPSHOT_CLASSES, class_copy(raw))


async def _cut_one(
    drive: Drive, claim: RawObject, snapshot_class: str, *, origin: Origin
) -> VolumeArtifact:
    pvc = claim["metadata"]["name"]
    async with drive.slots.slot(
        "snapshot",
        action=origin.action_uid,
        label=f"snapshot of {origin.application}/{pvc}",
        application=origin.application,
    ):
        body = cut_snapshot(pvc, origin=origin, snapshot_class=snapshot_class)
        await ensure(drive, SNAPSHOTS, body)
        name = body["metadata"]["name"]
        snapshot = await drive.client.wait_for(
            SNAPSHOTS,
            name,
            origin.application,
            _has_content,
            timeout_s=drive.settings.snapshotDeadlineSeconds,
        )
        if not _bound_to(snapshot):
            _refuse_error(snapshot, pvc)
        content = await drive.client.wait_for(
            SNAPSHOT_CONTENTS,
            _bound_to(snapshot),
            "",
            lambda raw: _is_cut(raw) or (_error_of(raw) != "" and not is_being_cut(raw)),
            timeout_s=drive.settings.snapshotDeadlineSeconds,
        )
        handle = snapshot_handle(content, name=adopted_name(origin, pvc))
        if handle is None:
            _refuse_error(content, pvc)
            raise EngineError("the snapshot has no handle", subject=pvc, code="cut.failed")
        return artifact(claim, handle)


def _bound_to(snapshot: RawObject) -> str:
    return str(snapshot.get("status", {}).get("boundVolumeSnapshotContentName") or "")


def _has_content(raw: RawObject) -> bool:
    return bool(_bound_to(raw) or _error_of(raw))


def _is_cut(raw: RawObject) -> bool:
    return snapshot_handle(raw, name="") is not None


def _error_of(raw: RawObject) -> str:
    error = raw.get("status", {}).get("error") or {}
    return str(error.get("message", ""))


def _refuse_error(raw: RawObject, pvc: str) -> None:
    message = _error_of(raw)
    if message:
        raise EngineError(
            f"the storage could not take the snapshot: {message[:256]}",
            subject=f"PersistentVolumeClaim {pvc}",
            hint="see the CSI driver's log; the attempt is thrown away",
            code="cut.failed",
        )


async def _delete_original(
    drive: Drive,
    snapshot: RawObject | None,
    handle: SnapshotHandle,
    *,
    origin: Origin,
    name: str,
) -> None:
    """Delete the application's pair; its content is Retain, so the snapshot itself stays."""
    bound = snapshot.get("status", {}).get("boundVolumeSnapshotContentName") if snapshot else None
    originals = [bound] if bound else []
    if snapshot is not None:
        await _delete(drive, SNAPSHOTS, snapshot)
    else:
        reference = {"name": name, "namespace": origin.application}
        originals = [
            raw["metadata"]["name"]
            for raw in await drive.client.list(SNAPSHOT_CONTENTS)
            if _refers_to(raw, reference)
        ]
    for content_name in originals:
        content = await drive.client.find(SNAPSHOT_CONTENTS, content_name)
        if content is None or handle_of(content) != handle.handle:
            continue
        if content["spec"]["deletionPolicy"] != "Retain":
            raise EngineError(
                "the snapshot's content is not Retain: deleting it would free the point's data",
                subject=f"VolumeSnapshotContent {content_name}",
                code="adopt.not_retained",
            )
        await _delete(drive, SNAPSHOT_CONTENTS, content)


def _refers_to(content: RawObject, reference: dict[str, str]) -> bool:
    there = content["spec"].get("volumeSnapshotRef", {})
    return all(there.get(field) == value for field, value in reference.items())


def handle_of(content: RawObject) -> str:
    """The snapshot behind a VolumeSnapshotContent; empty while there is none."""
    return str(
        content.get("status", {}).get("snapshotHandle")
        or content["spec"].get("source", {}).get("snapshotHandle")
        or ""
    )


async def _adopted(drive: Drive, labels: str) -> list[RawObject]:
    ours = f"{labels},{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_ROLE}=snapshot"
    return await drive.client.list(SNAPSHOT_CONTENTS, labels=ours)


async def _delete(drive: Drive, kind: Kind, raw: RawObject) -> None:
    """Delete exactly this object; one that was replaced meanwhile is another's."""
    meta = raw["metadata"]
    try:
        await drive.client.delete(kind, meta["name"], meta.get("namespace", ""), uid=meta["uid"])
    except Conflict:
        return
