"""Clones, filled volumes, and the hand-over of a filled volume to its claim.

Our claim in `kubehaven-workers` has a volume; the target claim takes that very
volume. The order is what keeps the data: the volume goes to Retain before
anything else, and its reclaim policy goes back only after Bound was read of the
target (Delete on a Released volume destroys the data within a second).
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from console.engine.errors import AlreadyExists, Conflict, EngineError, Forbidden, NotFound
from console.engine.model.kinds import CLAIMS, SNAPSHOTS, STORAGE_CLASSES, VOLUMES
from console.engine.model.names import (
    ANNOTATION_RECLAIM_POLICY,
    ANNOTATION_RESTORED_BY,
    LABEL_ACTION_UID,
    LABEL_ROLE,
    WORKERS_NAMESPACE,
)
from console.engine.plan.copies import TWIN
from console.engine.plan.raw import labels_of
from console.engine.plan.snapshots import target_claim, work_claim
from console.engine.volumes.cutting import ensure
from console.engine.volumes.waiting import last_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.engine.model.kinds import RawObject
    from console.engine.model.points import VolumeArtifact
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive

log = logging.getLogger(__name__)

ANNOTATION_FILLED = "kubehaven.io/filled"  # id of the snapshot that is in the volume
BIND_DEADLINE_S = 600.0
_TRIES = 6


async def make_work_claim(
    drive: Drive,
    volume: VolumeArtifact,
    *,
    origin: Origin,
    step: str,
    size: int = 0,
    storage_class: str = "",
) -> str:
    """A claim of ours: a clone of the volume's snapshot, or an empty one; its name.

    Raises:
        EngineError: `snapshot.not_ready`: the storage has not finished the snapshot in time.
    """
    await _wait_usable(drive, volume)
    body = work_claim(volume, origin=origin, step=step, size=size, storage_class=storage_class)
    await ensure(drive, CLAIMS, body)
    return str(body["metadata"]["name"])


async def _wait_usable(drive: Drive, volume: VolumeArtifact) -> None:
    """A snapshot is taken at once; until it can be read, some storage copies it for hours."""
    if volume.snapshot is None:
        return
    limit = drive.settings.snapshotReadySeconds
    name = volume.snapshot.name
    try:
        await drive.client.wait_for(
            SNAPSHOTS,
            name,
            WORKERS_NAMESPACE,
            lambda raw: bool(raw.get("status", {}).get("readyToUse")),
            timeout_s=limit,
        )
    except NotFound:
        raise EngineError(
            "the snapshot of this volume is not in the cluster any more",
            subject=f"VolumeSnapshot {WORKERS_NAMESPACE}/{name}",
            hint="choose another restore point, or the exported copy of this one",
            code="snapshot.missing",
        ) from None
    except EngineError as error:
        if error.code != "cluster.timeout":
            raise
        raise EngineError(
            f"the storage has not finished the snapshot of {volume.pvc} within {limit} s",
            subject=f"VolumeSnapshot {WORKERS_NAMESPACE}/{name}",
            hint="the point stays: try again later, see the CSI driver's log, "
            "or raise snapshotReadySeconds in Settings",
            code="snapshot.not_ready",
        ) from error


async def note_filled(drive: Drive, name: str, snapshot: str) -> None:
    """Write on our claim that a worker has filled its volume: it is not filled twice."""
    merge = {"metadata": {"annotations": {ANNOTATION_FILLED: snapshot}}}
    await drive.client.patch(CLAIMS, name, WORKERS_NAMESPACE, merge=merge)


async def is_filled(drive: Drive, name: str, snapshot: str) -> bool:
    """Whether a worker has filled the volume of our claim from this snapshot."""
    claim = await drive.client.find(CLAIMS, name, WORKERS_NAMESPACE)
    return claim is not None and _annotations(claim).get(ANNOTATION_FILLED) == snapshot


async def waits_for_consumer(drive: Drive, storage_class: str) -> bool:
    """Whether a class makes its volumes only when a pod wants them."""
    if not storage_class:
        return False
    raw = await drive.client.find(STORAGE_CLASSES, storage_class)
    return raw is not None and raw.get("volumeBindingMode") == "WaitForFirstConsumer"


async def wait_bound(
    drive: Drive, namespace: str, name: str, *, timeout_s: float = BIND_DEADLINE_S
) -> RawObject:
    """Wait until a claim has its volume.

    Raises:
        EngineError: `claim.lost`, or `claim.unbound` with the provisioner's words.
    """
    subject = f"PersistentVolumeClaim {namespace}/{name}"
    try:
        claim = await drive.client.wait_for(
            CLAIMS,
            name,
            namespace,
            lambda raw: raw.get("status", {}).get("phase") in {"Bound", "Lost"},
            timeout_s=timeout_s,
        )
    except EngineError as error:
        if error.code != "cluster.timeout":
            raise
        words = await last_words(drive.client, namespace, {name})
        raise EngineError(
            f"the claim got no volume within {timeout_s:g} s" + (f": {words}" if words else ""),
            subject=subject,
            hint="is there room in the storage, and does its driver run? Then ask again",
            code="claim.unbound",
        ) from error
    if claim["status"]["phase"] == "Lost":
        raise EngineError("the claim has lost its volume", subject=subject, code="claim.lost")
    return claim


async def is_given(drive: Drive, target: RawObject, *, origin: Origin) -> bool:
    """Whether the target claim has its volume from this action already.

    From then on nothing is filled for it any more; `finish_hand_over` does the rest.
    """
    meta = target["metadata"]
    there = await drive.client.find(CLAIMS, meta["name"], meta["namespace"])
    if there is None or there.get("status", {}).get("phase") != "Bound":
        return False
    _refuse_foreign(there, origin)
    return True


async def hand_over(drive: Drive, target: RawObject, *, origin: Origin, step: str) -> None:
    """Give the filled volume of our claim to the target claim; safe to repeat at any point.

    Args:
        target: The claim as the plan says it, without a volume.
        step: The step that filled our claim; its name comes from it.
    """
    meta = target["metadata"]
    ours = await drive.client.get(CLAIMS, origin.name(step, meta["name"]), WORKERS_NAMESPACE)
    volume_name = ours["spec"]["volumeName"]
    await retain(drive, volume_name)
    claim = await _make_target(drive, target_claim(target, volume_name), origin)
    await point_volume(drive, volume_name, claim)
    await wait_bound(drive, meta["namespace"], meta["name"])
    await finish_hand_over(drive, target, origin=origin, step=step)


async def finish_hand_over(drive: Drive, target: RawObject, *, origin: Origin, step: str) -> None:
    """After Bound was read of the target: our claim goes, the reclaim policy goes back."""
    meta = target["metadata"]
    name = origin.name(step, meta["name"])
    ours = await drive.client.find(CLAIMS, name, WORKERS_NAMESPACE)
    if ours is not None:
        await drive.client.delete(CLAIMS, name, WORKERS_NAMESPACE, uid=ours["metadata"]["uid"])
    claim = await drive.client.get(CLAIMS, meta["name"], meta["namespace"])
    await _give_policy_back(drive, claim["spec"]["volumeName"], claim["metadata"]["uid"])


async def drop_unfinished(drive: Drive, action_uid: str) -> None:
    """Let our own claims that were never handed over free their volumes when they go."""
    labels = f"{LABEL_ACTION_UID}={action_uid}"
    for claim in await drive.client.list(CLAIMS, WORKERS_NAMESPACE, labels=labels):
        volume_name = claim["spec"].get("volumeName")
        if volume_name:
            await _give_back(drive, volume_name, claim["metadata"]["uid"])


async def take_back_unbound(drive: Drive, namespace: str, action_uid: str) -> None:
    """Delete the target claims that this action made and that no volume was given to.

    They would stay Pending for ever, and stand in the way of the next restore.
    """
    for claim in await drive.client.list(CLAIMS, namespace):
        if _annotations(claim).get(ANNOTATION_RESTORED_BY) == action_uid:
            await _while_others_write(partial(_take_back, drive, claim["metadata"]))


async def _take_back(drive: Drive, meta: RawObject) -> None:
    claim = await drive.client.find(CLAIMS, meta["name"], meta["namespace"])
    if claim is None or claim["metadata"]["uid"] != meta["uid"]:
        return
    name = claim["spec"].get("volumeName", "")
    volume = await drive.client.find(VOLUMES, name) if name else None
    given = volume is not None and volume["spec"].get("claimRef", {}).get("uid") == meta["uid"]
    # a claim without `volumeName` is an object of the point like any other: nothing was to be given
    if not name or given or claim.get("status", {}).get("phase") == "Bound":
        return
    await drive.client.delete(
        CLAIMS,
        meta["name"],
        meta["namespace"],
        uid=meta["uid"],
        resource_version=claim["metadata"]["resourceVersion"],
    )


async def give_policy_back(drive: Drive, volume: RawObject) -> None:
    """Let a volume that is bound go back to the reclaim policy that it had; else nothing."""
    uid = volume["spec"].get("claimRef", {}).get("uid", "")
    await _give_back(drive, volume["metadata"]["name"], uid)


async def let_volume_go(drive: Drive, claim: RawObject) -> None:
    """See to it that the volume of a claim of ours goes with the claim, whatever its class says.

    A volume that is bound to another claim by now, or to none, stays as it is.
    """
    name = claim["spec"].get("volumeName")
    if not name:
        return
    uid = claim["metadata"]["uid"]
    try:
        await _while_others_write(partial(_let_volume_go, drive, name, uid))
    except Forbidden:  # an export needs no right on volumes
        log.warning("volume %s goes as its class says: we may not say otherwise", name)


async def _let_volume_go(drive: Drive, name: str, claim_uid: str) -> None:
    volume = await drive.client.find(VOLUMES, name)
    if volume is None or volume["spec"].get("claimRef", {}).get("uid") != claim_uid:
        return
    if labels_of(volume).get(LABEL_ROLE) == TWIN:
        return  # its data belongs to an application
    if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
        await patch_volume(drive, volume, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})


async def retain(drive: Drive, name: str) -> None:
    """Set a volume to Retain; what it was is noted on it."""
    await _while_others_write(partial(_retain, drive, name))


async def _retain(drive: Drive, name: str) -> None:
    volume = await drive.client.get(VOLUMES, name)
    if ANNOTATION_RECLAIM_POLICY in _annotations(volume):
        return
    policy = volume["spec"]["persistentVolumeReclaimPolicy"]
    await patch_volume(
        drive,
        volume,
        {
            "metadata": {"annotations": {ANNOTATION_RECLAIM_POLICY: policy}},
            "spec": {"persistentVolumeReclaimPolicy": "Retain"},
        },
    )


async def _make_target(drive: Drive, body: RawObject, origin: Origin) -> RawObject:
    meta = body["metadata"]
    try:
        return await drive.client.create(CLAIMS, body)
    except AlreadyExists:
        there = await drive.client.get(CLAIMS, meta["name"], meta["namespace"])
        _refuse_foreign(there, origin)
        return there


async def point_volume(drive: Drive, name: str, claim: RawObject) -> None:
    """One patch of the volume's claimRef, to the target's uid and resourceVersion."""
    await _while_others_write(partial(_point, drive, name, claim))


async def _point(drive: Drive, name: str, claim: RawObject) -> None:
    volume = await drive.client.get(VOLUMES, name)
    meta = claim["metadata"]
    if volume["spec"].get("claimRef", {}).get("uid") == meta["uid"]:
        return
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"],
    }
    await patch_volume(drive, volume, {"spec": {"claimRef": reference}})


async def _give_policy_back(drive: Drive, name: str, claim_uid: str) -> None:
    await drive.client.wait_for(
        VOLUMES,
        name,
        "",
        lambda raw: raw.get("status", {}).get("phase") == "Bound",
        timeout_s=BIND_DEADLINE_S,
    )
    await _give_back(drive, name, claim_uid)


async def _give_back(drive: Drive, name: str, claim_uid: str) -> None:
    await _while_others_write(partial(_give_back_once, drive, name, claim_uid))


async def _give_back_once(drive: Drive, name: str, claim_uid: str) -> None:
    volume = await drive.client.find(VOLUMES, name)
    if volume is None:
        return
    policy = _annotations(volume).get(ANNOTATION_RECLAIM_POLICY)
    held = volume["spec"].get("claimRef", {}).get("uid") == claim_uid
    bound = volume.get("status", {}).get("phase") == "Bound"
    if not policy or not held or not bound:
        return
    await patch_volume(
        drive,
        volume,
        {
            "metadata": {"annotations": {ANNOTATION_RECLAIM_POLICY: None}},
            "spec": {"persistentVolumeReclaimPolicy": policy},
        },
    )


async def _while_others_write(attempt: Callable[[], Awaitable[None]]) -> None:
    """Read, decide and write anew when a controller wrote the volume in between."""
    for _ in range(_TRIES - 1):
        try:
            return await attempt()
        except Conflict:
            continue
    return await attempt()


async def patch_volume(drive: Drive, volume: RawObject, merge: RawObject) -> None:
    """A merge patch that holds only for the volume as it was read."""
    meta = volume["metadata"]
    metadata = {**merge.get("metadata", {}), "resourceVersion": meta["resourceVersion"]}
    await drive.client.patch(VOLUMES, meta["name"], merge={**merge, "metadata": metadata})


def _refuse_foreign(claim: RawObject, origin: Origin) -> None:
    if _annotations(claim).get(ANNOTATION_RESTORED_BY) == origin.action_uid:
        return
    meta = claim["metadata"]
    raise EngineError(
        "a claim of this name was made by somebody else",
        subject=f"PersistentVolumeClaim {meta['namespace']}/{meta['name']}",
        hint="restore into another namespace, or delete the claim if it is not needed",
        code="restore.exists",
    )


def _annotations(raw: RawObject) -> dict[str, str]:
    return raw["metadata"].get("annotations") or {}
