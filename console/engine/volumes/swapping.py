"""The volume of a claim is exchanged for another; the one that goes is kept for an undo.

The order is what keeps the data: both volumes are Retain before a claim goes, a
claim goes only as the very object that was read, and a reclaim policy goes back
only after Bound was read (Delete on a Released volume destroys the data within
a second). Every function looks first and may be repeated.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from console.engine.errors import AlreadyExists, EngineError, NotFound
from console.engine.model.kinds import CLAIMS, VOLUMES
from console.engine.model.names import (
    ANNOTATION_KEPT_CLAIM,
    ANNOTATION_KEPT_POLICY,
    ANNOTATION_KEPT_UNTIL,
    ANNOTATION_RECLAIM_POLICY,
    ANNOTATION_RESTORED_BY,
    LABEL_ACTION_UID,
    LABEL_ROLE,
    ROLE_UNDO,
)
from console.engine.plan.draft import RestoreContext
from console.engine.plan.sanitise import sanitise
from console.engine.plan.snapshots import target_claim
from console.engine.volumes.handover import patch_volume, point_volume, wait_bound

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.model.record import SwappedVolume
    from console.engine.volumes.drive import Drive

GONE_DEADLINE_S = 120.0


async def keep(
    drive: Drive, volume: SwappedVolume, *, namespace: str, uid: str, until: str
) -> None:
    """Set the volume that goes to Retain, with its claim written on it, before anything else."""
    raw = await drive.client.get(VOLUMES, volume.old)
    if is_kept(raw):
        return
    claim = await drive.client.get(CLAIMS, volume.pvc, namespace)
    if claim["metadata"]["uid"] != volume.claimUID:
        raise _foreign(namespace, volume.pvc)
    context = RestoreContext(source_namespace=namespace, target_namespace=namespace)
    body = sanitise(claim, context=context).obj
    # a hand-over that was cut off left the volume Retain; its own policy is in that note
    noted = _annotations(raw).get(ANNOTATION_RECLAIM_POLICY)
    policy = noted or raw["spec"]["persistentVolumeReclaimPolicy"]
    notes = {
        ANNOTATION_KEPT_POLICY: policy,
        ANNOTATION_RECLAIM_POLICY: None,  # from now on nobody but the swap gives it back
        ANNOTATION_KEPT_UNTIL: until,
        ANNOTATION_KEPT_CLAIM: msgspec.json.encode(body).decode(),
    }
    merge = {
        "metadata": {
            "annotations": notes,
            "labels": {LABEL_ROLE: ROLE_UNDO, LABEL_ACTION_UID: uid},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }
    await patch_volume(drive, raw, merge)


def is_kept(raw: RawObject) -> bool:
    """Whether a volume is kept for an undo."""
    return ANNOTATION_KEPT_POLICY in _annotations(raw)


def kept_claim(raw: RawObject) -> RawObject:
    """The claim of a kept volume, as it can be made again.

    Raises:
        EngineError: `undo.released`: it is not kept any more.
    """
    text = _annotations(raw).get(ANNOTATION_KEPT_CLAIM)
    if text is None:
        raise EngineError(
            "the old volume is not kept any more",
            subject=f"PersistentVolume {raw['metadata']['name']}",
            hint="restore a restore point instead",
            code="undo.released",
        )
    claim: RawObject = msgspec.json.decode(text)
    return claim


async def exchange(
    drive: Drive, body: RawObject, volume: str, *, replaces: SwappedVolume, uid: str
) -> None:
    """Make the claim have this volume in the place of what it had; returns when it is Bound.

    Args:
        body: The claim, without a volume.
        replaces: What was there: only that claim, or one that this action made, may go.
        uid: The action's.
    """
    meta = body["metadata"]
    name, namespace = meta["name"], meta["namespace"]
    there = await drive.client.find(CLAIMS, name, namespace)
    if there is not None and there["spec"].get("volumeName") != volume:
        if there["metadata"]["uid"] != replaces.claimUID and not _is_ours(there, uid):
            raise _foreign(namespace, name)
        await _take_away(drive, there)
        there = None
    await _require_retain(drive, volume, there)
    notes = {**(meta.get("annotations") or {}), ANNOTATION_RESTORED_BY: uid}
    wanted = target_claim({**body, "metadata": {**meta, "annotations": notes}}, volume)
    claim = there or await _made(drive, wanted, uid)
    await point_volume(drive, volume, claim)
    await wait_bound(drive, namespace, name)


async def settle(drive: Drive, namespace: str, pvc: str, volume: str) -> None:
    """After Bound was read: the volume is the application's own, with the policy that it had."""
    claim = await drive.client.get(CLAIMS, pvc, namespace)
    raw = await drive.client.wait_for(
        VOLUMES,
        volume,
        "",
        lambda raw: raw.get("status", {}).get("phase") == "Bound",
        timeout_s=GONE_DEADLINE_S,
    )
    notes = _annotations(raw)
    policy = notes.get(ANNOTATION_KEPT_POLICY) or notes.get(ANNOTATION_RECLAIM_POLICY)
    if policy and raw["spec"].get("claimRef", {}).get("uid") == claim["metadata"]["uid"]:
        await patch_volume(drive, raw, _let_go(policy))


async def release(drive: Drive, raw: RawObject) -> None:
    """Let a kept volume go back to its own reclaim policy: Delete frees it, Retain leaves it."""
    if is_kept(raw) and raw.get("status", {}).get("phase") != "Bound":
        await patch_volume(drive, raw, _let_go(_annotations(raw)[ANNOTATION_KEPT_POLICY]))


def _let_go(policy: str) -> RawObject:
    gone = (
        ANNOTATION_KEPT_POLICY,
        ANNOTATION_KEPT_UNTIL,
        ANNOTATION_KEPT_CLAIM,
        ANNOTATION_RECLAIM_POLICY,
    )
    return {
        "metadata": {
            "annotations": dict.fromkeys(gone),
            "labels": {LABEL_ROLE: None, LABEL_ACTION_UID: None},
        },
        "spec": {"persistentVolumeReclaimPolicy": policy},
    }


async def _take_away(drive: Drive, claim: RawObject) -> None:
    meta = claim["metadata"]
    if had := claim["spec"].get("volumeName"):
        await _require_retain(drive, had, None)
    await drive.client.delete(CLAIMS, meta["name"], meta["namespace"], uid=meta["uid"])
    with contextlib.suppress(NotFound):
        await drive.client.wait_for(
            CLAIMS,
            meta["name"],
            meta["namespace"],
            lambda raw: raw["metadata"]["uid"] != meta["uid"],
            timeout_s=GONE_DEADLINE_S,
        )


async def _require_retain(drive: Drive, name: str, claim: RawObject | None) -> None:
    raw = await drive.client.get(VOLUMES, name)
    held = (
        claim is not None
        and raw["spec"].get("claimRef", {}).get("uid") == (claim["metadata"]["uid"])
    )
    if raw["spec"]["persistentVolumeReclaimPolicy"] == "Retain" or held:
        return
    raise EngineError(
        "the volume is not Retain: without a claim its data would be deleted",
        subject=f"PersistentVolume {name}",
        hint="somebody changed it while the restore ran; ask for the restore again",
        code="swap.not_retained",
    )


async def _made(drive: Drive, body: RawObject, uid: str) -> RawObject:
    meta = body["metadata"]
    try:
        return await drive.client.create(CLAIMS, body)
    except AlreadyExists:
        there = await drive.client.get(CLAIMS, meta["name"], meta["namespace"])
        if not _is_ours(there, uid):
            raise _foreign(meta["namespace"], meta["name"]) from None
        return there


def _is_ours(claim: RawObject, uid: str) -> bool:
    return _annotations(claim).get(ANNOTATION_RESTORED_BY) == uid


def _foreign(namespace: str, name: str) -> EngineError:
    return EngineError(
        "the claim was replaced by somebody else while the restore ran",
        subject=f"PersistentVolumeClaim {namespace}/{name}",
        hint="look at who made it; the old volume is kept",
        code="swap.foreign_claim",
    )


def _annotations(raw: RawObject) -> dict[str, str]:
    return raw["metadata"].get("annotations") or {}
