"""Lets a VolumeSnapshotContent go, with or without the snapshot behind it, on any cluster.

What the snapshot controllers do with a deleted content hangs on three things:
a content that was never bound has no finalizer and goes at once, its data left
behind; a bound one whose VolumeSnapshot is gone is touched only when its
annotation says that this was meant; and a snapshot is deleted only while the
status names its handle. So all three are seen to before the content is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from console.engine.errors import EngineError
from console.engine.model.kinds import SNAPSHOT_CONTENTS

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import RawObject

HANDLE_S = 120.0

_BEING_CREATED = "snapshot.storage.kubernetes.io/volumesnapshot-being-created"
_BEING_DELETED = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
_HELD = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
# how drivers and the sidecar say that there is no such snapshot
_MISSING = ("NotFound", "not found", "can not find")


def is_being_cut(content: RawObject) -> bool:
    """Whether a driver may still be taking the snapshot: an error that it told may pass by itself.

    The sidecar takes the mark away with the handle, or with an error that is the end.
    """
    return _BEING_CREATED in (content["metadata"].get("annotations") or {})


async def release(
    client: KubeClient, content: RawObject, policy: Literal["Delete", "Retain"]
) -> None:
    """Delete exactly this content; with `Delete`, the driver deletes its snapshot first.

    Its VolumeSnapshot must be gone. Asks, and does not wait for the end.

    Raises:
        NotFound: It went meanwhile.
        Conflict: It was changed meanwhile: look again.
        EngineError: `snapshot.unknown`: the driver can't say whether the snapshot is there, or
            still takes it.
    """
    if policy == "Delete" and not _status(content).get("snapshotHandle"):
        content = await _with_handle(client, content)
        if not _status(content).get("snapshotHandle"):
            policy = "Retain"  # there is nothing behind it
    meta = content["metadata"]
    metadata = {
        "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"],
        "annotations": {_BEING_DELETED: "yes"},
    }
    held = meta.get("finalizers") or []
    if policy == "Delete" and _HELD not in held and not meta.get("deletionTimestamp"):
        metadata["finalizers"] = [*held, _HELD]
    merge = {"metadata": metadata, "spec": {"deletionPolicy": policy}}
    await client.patch(SNAPSHOT_CONTENTS, meta["name"], merge=merge)
    await client.delete(SNAPSHOT_CONTENTS, meta["name"], uid=meta["uid"])


async def _with_handle(client: KubeClient, content: RawObject) -> RawObject:
    """The content as soon as its driver has found the snapshot, or says that there is none."""
    name = content["metadata"]["name"]
    if not content["spec"].get("source", {}).get("snapshotHandle"):
        return await _settled(client, content)
    content = await client.wait_for(
        SNAPSHOT_CONTENTS,
        name,
        "",
        lambda raw: bool(_status(raw).get("snapshotHandle") or _fault(raw)),
        timeout_s=HANDLE_S,
    )
    told = _fault(content)
    if told and not any(word in told for word in _MISSING):
        raise EngineError(
            f"the driver can't say whether the snapshot is there: {told[:256]}",
            subject=f"VolumeSnapshotContent {name}",
            hint="see the CSI driver's log, and try again",
            code="snapshot.unknown",
        )
    return content


async def _settled(client: KubeClient, content: RawObject) -> RawObject:
    """The content of a cut when its driver works on it no more: let go before, it would be lost."""
    name = content["metadata"]["name"]
    try:
        return await client.wait_for(
            SNAPSHOT_CONTENTS,
            name,
            "",
            lambda raw: bool(_status(raw).get("snapshotHandle")) or not is_being_cut(raw),
            timeout_s=HANDLE_S,
        )
    except EngineError as error:
        if error.code != "cluster.timeout":
            raise
        raise EngineError(
            "the driver still takes a snapshot that is to be thrown away",
            subject=f"VolumeSnapshotContent {name}",
            hint="see the CSI driver's log; it is freed later: kubehaven cluster leftovers",
            code="snapshot.unknown",
        ) from error


def _status(content: RawObject) -> RawObject:
    return content.get("status") or {}


def _fault(content: RawObject) -> str:
    return str((_status(content).get("error") or {}).get("message", ""))
