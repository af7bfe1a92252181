"""Restore points as values: the handle, the content, and the manifest that both stand for."""

from __future__ import annotations

from typing import Literal

import msgspec

from console.engine.model.record import NamedRef, Resource
from console.engine.model.wire import Record

# Retiring: a RetireAction is about to free it; nothing else may begin to use it
PointState = Literal["Building", "Ready", "Damaged", "Retiring"]


PointKind = Literal["local", "exported"]


class Application(Record, frozen=True, kw_only=True):
    """The application a point belongs to."""

    name: str
    namespace: str
    namespaceUID: str = ""


class SnapshotHandle(Record, frozen=True, kw_only=True):
    """A CSI snapshot, enough to adopt it again from nothing but this."""

    handle: str
    driver: str
    snapshotClass: str = ""
    sourceVolumeMode: str = "Filesystem"
    restoreSize: int = 0
    creationTime: str = ""
    deletionSecret: NamedRef | None = None
    name: str = ""  # VolumeSnapshot and content in kubehaven-workers


class VolumeArtifact(Record, frozen=True, kw_only=True):
    """One claim of a point: how it was, and where its data is."""

    pvc: str
    size: int = 0  # bytes asked for by the claim
    storageClass: str = ""
    accessModes: tuple[str, ...] = ()
    volumeMode: str = "Filesystem"
    snapshot: SnapshotHandle | None = None  # local points
    repositorySnapshot: str = ""  # exported points: id of the volume's snapshot
    logicalSize: int = 0
    physicalSize: int = 0
    crashConsistent: bool = True  # false: copied while it may have been written to
    claimUID: str = ""  # of a claim that no snapshot could be taken of: an export copies that one
    copiedAt: str = ""  # when an export began to copy it; long after the objects, perhaps


class Cut(Record, frozen=True, kw_only=True):
    """The moment of the point."""

    attempt: int = 0
    startTime: str = ""  # creationTime of the first snapshot
    endTime: str = ""  # creationTime of the last snapshot
    spreadSeconds: float = 0.0


class RestorePointContentSpec(Record, frozen=True, kw_only=True):
    """What never changes about a restore point."""

    id: str
    kind: PointKind
    application: Application
    clusterUID: str
    action: NamedRef | None = None
    actionUID: str = ""
    location: str = ""  # exported: name of the Location
    repository: str = ""  # exported: path below the location's prefix


class PointManifest(Record, frozen=True, kw_only=True):
    """What a restore point is made of: `restore-point.json`, the same for local and exported ones.

    Local: an immutable Secret in `kubehaven` holds it. Exported: it lies beside
    the objects in the repository's `objects` snapshot.
    """

    version: int = 1
    id: str
    application: Application
    clusterUID: str
    actionUID: str = ""
    attempt: int = 0
    actionTime: str = ""
    scheduledTime: str = ""
    expiresAt: str = ""
    policy: str = ""
    createdBy: str = ""
    cut: Cut = Cut()
    volumes: tuple[VolumeArtifact, ...] = ()
    objectCount: int = 0
    objectBytes: int = 0
    packs: tuple[str, ...] = ()  # local: digests of the sealed packs
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class BoundPoint(Record, frozen=True, kw_only=True):
    """The RestorePoint that a content is bound to; written by the engine alone."""

    name: str
    namespace: str
    uid: str
    namespaceUID: str


class RestorePointContentStatus(Record, frozen=True, kw_only=True):
    """The restore point itself. Written whole by one update, which makes it Ready."""

    state: PointState = "Building"
    reason: str = ""
    actionTime: str = ""
    scheduledTime: str = ""
    expiresAt: str = ""
    logicalSizeBytes: int = 0
    physicalSizeBytes: int = 0
    objectCount: int = 0
    manifest: str = ""  # local: Secret in `kubehaven`
    objectsSnapshot: str = ""  # exported: id of the `objects` snapshot
    verifiedAt: str = ""  # exported: when all of it was read back; empty: it was not
    volumes: tuple[VolumeArtifact, ...] = ()
    cut: Cut = Cut()
    restorePointRef: BoundPoint | None = None


class ContentRef(Record, frozen=True, kw_only=True):
    """The content that a RestorePoint stands for."""

    name: str
    uid: str = ""


class RestorePointSpec(Record, frozen=True, kw_only=True):
    """A handle in the application's namespace."""

    restorePointContentRef: ContentRef


class RestorePointStatus(Record, frozen=True, kw_only=True):
    """A copy of what people want to see in `kubectl get`."""

    state: PointState = "Building"
    kind: PointKind = "local"
    actionTime: str = ""
    logicalSizeBytes: int = 0
    physicalSizeBytes: int = 0


class RestorePoint(Resource, frozen=True, kw_only=True):
    """A RestorePoint in the cluster."""

    spec: RestorePointSpec
    status: RestorePointStatus = RestorePointStatus()


class RestorePointContent(Resource, frozen=True, kw_only=True):
    """A RestorePointContent in the cluster."""

    spec: RestorePointContentSpec
    status: RestorePointContentStatus = RestorePointContentStatus()
