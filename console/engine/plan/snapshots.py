"""CSI snapshots: which class, and the objects of cut, adoption and clone.

All names are derived from (action uid, step, object, attempt): an engine that
takes over derives the same ones and finds what is already there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.model.names import (
    ANNOTATION_FULL_NAME,
    LABEL_ACTION_UID,
    LABEL_APP_NAMESPACE,
    LABEL_ATTEMPT,
    LABEL_MANAGED_BY,
    LABEL_POINT,
    LABEL_ROLE,
    MANAGED_BY,
    WORKERS_NAMESPACE,
    derived_name,
)
from console.engine.model.points import SnapshotHandle, VolumeArtifact
from console.engine.model.quantity import quantity_bytes, quantity_text
from console.engine.model.record import NamedRef
from console.engine.plan.raw import (
    annotations_of,
    name_of,
    part,
    text,
)

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

SNAPSHOT_GROUP = "snapshot.storage.k8s.io"
SNAPSHOT_API = f"{SNAPSHOT_GROUP}/v1"
_ANNOTATIONS = "snapshot.storage.kubernetes.io"  # not the group's name
DELETION_SECRET_NAME = f"{_ANNOTATIONS}/deletion-secret-name"
DELETION_SECRET_NAMESPACE = f"{_ANNOTATIONS}/deletion-secret-namespace"
DEFAULT_CLASS = f"{_ANNOTATIONS}/is-default-class"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """The work that an object of ours is made for; its names and labels come from this."""

    action_uid: str
    point: str
    application: str  # namespace
    attempt: int = 0

    def name(self, step: str, obj: str) -> str:
        """The name of what this step makes for one object."""
        return derived_name(self.action_uid, step, obj, str(self.attempt))

    def metadata(self, step: str, obj: str, *, role: str, namespace: str = "") -> dict[str, Any]:
        """Metadata of what this step makes for one object."""
        full = f"{self.application}/{obj} {step} of {self.point}"
        where = {"namespace": namespace} if namespace else {}
        labels = {
            LABEL_MANAGED_BY: MANAGED_BY,
            LABEL_ACTION_UID: self.action_uid,
            LABEL_APP_NAMESPACE: self.application,
            LABEL_ATTEMPT: str(self.attempt),
            LABEL_POINT: self.point,
            LABEL_ROLE: role,
        }
        return {
            "name": self.name(step, obj),
            **where,
            "labels": labels,
            "annotations": {ANNOTATION_FULL_NAME: full},
        }


def class_copy(source: RawObject) -> RawObject:
    """Our own copy of a VolumeSnapshotClass: nothing of ours is deleted with its snapshot.

    A class whose driver or parameters change gets a new copy.
    """
    parameters = part(source, "parameters")
    digest = msgspec.json.encode([text(source, "driver"), parameters], order="sorted").decode()
    copy = {
        "apiVersion": SNAPSHOT_API,
        "kind": "VolumeSnapshotClass",
        "metadata": {
            "name": derived_name("snapshotclass", name_of(source), digest),
            "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_ROLE: "snapshotclass"},
            "annotations": {ANNOTATION_FULL_NAME: f"copy of {name_of(source)}"},
        },
        "driver": text(source, "driver"),
        "deletionPolicy": "Retain",
    }
    return {**copy, "parameters": dict(parameters)} if parameters else copy


def cut_snapshot(claim: str, *, origin: Origin, snapshot_class: str) -> RawObject:
    """The VolumeSnapshot of one claim, in the application's namespace."""
    return {
        "apiVersion": SNAPSHOT_API,
        "kind": "VolumeSnapshot",
        "metadata": origin.metadata("cut", claim, role="cut", namespace=origin.application),
        "spec": {
            "volumeSnapshotClassName": snapshot_class,
            "source": {"persistentVolumeClaimName": claim},
        },
    }


def snapshot_handle(content: RawObject, *, name: str) -> SnapshotHandle | None:
    """What a cut VolumeSnapshotContent says of its snapshot; None while it says too little.

    Complete means: a handle and a creationTime (readyToUse may take long).

    Args:
        name: Of the adopted pair in `kubehaven-workers`.
    """
    handle = text(content, "status", "snapshotHandle")
    created = part(content, "status").get("creationTime")
    if not handle or not isinstance(created, int):
        return None
    size = part(content, "status").get("restoreSize")
    notes = annotations_of(content)
    secret = notes.get(DELETION_SECRET_NAME)
    return SnapshotHandle(
        handle=handle,
        driver=text(content, "spec", "driver"),
        snapshotClass=text(content, "spec", "volumeSnapshotClassName"),
        sourceVolumeMode=text(content, "spec", "sourceVolumeMode") or "Filesystem",
        restoreSize=size if isinstance(size, int) else 0,
        creationTime=_nanoseconds_text(created),
        deletionSecret=NamedRef(name=secret, namespace=notes.get(DELETION_SECRET_NAMESPACE, ""))
        if isinstance(secret, str)
        else None,
        name=name,
    )


def artifact(claim: RawObject, handle: SnapshotHandle) -> VolumeArtifact:
    """A claim of a local point: how it was, and its snapshot."""
    return VolumeArtifact(
        pvc=name_of(claim),
        size=claim_size(claim),
        storageClass=text(claim, "spec", "storageClassName"),
        accessModes=tuple(part(claim, "spec").get("accessModes") or ()),
        volumeMode=text(claim, "spec", "volumeMode") or "Filesystem",
        snapshot=handle,
    )


def claim_size(claim: RawObject) -> int:
    """The bytes that a claim asks for; 0 when it does not say."""
    return max(0, quantity_bytes(part(claim, "spec", "resources", "requests").get("storage", "")))


def adopted_name(origin: Origin, claim: str) -> str:
    """Name of the adopted content and of its VolumeSnapshot."""
    return origin.name("adopt", claim)


def adopted_content(claim: str, handle: SnapshotHandle, *, origin: Origin) -> RawObject:
    """The static content by which we adopt a snapshot: Retain from birth."""
    metadata = origin.metadata("adopt", claim, role="snapshot")
    if handle.deletionSecret:
        metadata["annotations"] |= {
            DELETION_SECRET_NAME: handle.deletionSecret.name,
            DELETION_SECRET_NAMESPACE: handle.deletionSecret.namespace,
        }
    spec: dict[str, Any] = {
        "deletionPolicy": "Retain",
        "driver": handle.driver,
        "source": {"snapshotHandle": handle.handle},
        "sourceVolumeMode": handle.sourceVolumeMode,
        "volumeSnapshotRef": {
            "apiVersion": SNAPSHOT_API,
            "kind": "VolumeSnapshot",
            "name": adopted_name(origin, claim),
            "namespace": WORKERS_NAMESPACE,
        },
    }
    if handle.snapshotClass:
        spec["volumeSnapshotClassName"] = handle.snapshotClass
    return {
        "apiVersion": SNAPSHOT_API,
        "kind": "VolumeSnapshotContent",
        "metadata": metadata,
        "spec": spec,
    }


def adopted_snapshot(claim: str, handle: SnapshotHandle, *, origin: Origin) -> RawObject:
    """The VolumeSnapshot in `kubehaven-workers` that stands for an adopted content."""
    spec: dict[str, Any] = {
        "source": {"volumeSnapshotContentName": adopted_name(origin, claim)},
    }
    if handle.snapshotClass:
        spec["volumeSnapshotClassName"] = handle.snapshotClass
    metadata = origin.metadata("adopt", claim, role="snapshot", namespace=WORKERS_NAMESPACE)
    return {
        "apiVersion": SNAPSHOT_API,
        "kind": "VolumeSnapshot",
        "metadata": metadata,
        "spec": spec,
    }


def work_claim(
    volume: VolumeArtifact, *, origin: Origin, step: str, size: int = 0, storage_class: str = ""
) -> RawObject:
    """A claim in `kubehaven-workers`: a clone of the volume's snapshot, or empty to be filled.

    Empty when the volume has no snapshot (exported points). Its access modes
    are the recorded ones: a hand-over gives this very volume to the target.

    Args:
        size: Bytes to ask for at least; the recorded and the snapshot's size count too.
        storage_class: Overrides the recorded one.
    """
    restore_size = volume.snapshot.restoreSize if volume.snapshot else 0
    wanted = quantity_text(max(size, volume.size, restore_size))
    spec: dict[str, Any] = {
        "accessModes": list(volume.accessModes) or ["ReadWriteOnce"],
        "volumeMode": volume.volumeMode,
        "resources": {"requests": {"storage": wanted}},
    }
    chosen = storage_class or volume.storageClass
    if chosen:
        spec["storageClassName"] = chosen
    if volume.snapshot:
        spec["dataSource"] = {
            "apiGroup": SNAPSHOT_GROUP,
            "kind": "VolumeSnapshot",
            "name": volume.snapshot.name,
        }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": origin.metadata(step, volume.pvc, role="volume", namespace=WORKERS_NAMESPACE),
        "spec": spec,
    }


def target_claim(claim: RawObject, volume_name: str) -> RawObject:
    """A planned claim as it takes a filled volume over: bound by name, by nothing else."""
    spec = {**part(claim, "spec"), "volumeName": volume_name}
    for field in ("dataSource", "dataSourceRef", "selector"):
        spec.pop(field, None)
    return {**claim, "spec": spec}


def _nanoseconds_text(nanoseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
