"""Our custom resources as values: what stands in the cluster's record (architecture: The record).

Field names are the wire's (camelCase), so that a struct is the schema; the
CRDs in resources/crds are their twin and a test holds both together. Every
field of a status has a default: a resource without a status decodes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from console.engine.model.names import API_VERSION

Phase = Literal["Pending", "Queued", "Running", "Cancelling", "Finished"]
Outcome = Literal["", "Complete", "Partial", "Failed", "Cancelled", "Skipped"]
ActionKind = Literal["BackupAction", "ExportAction", "RestoreAction"]
PointState = Literal["Building", "Ready", "Damaged"]
PointKind = Literal["local", "exported"]

ACTION_KINDS: tuple[ActionKind, ...] = ("BackupAction", "ExportAction", "RestoreAction")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all: frozen, defaults left out on the wire, unknown fields ignored."""


class OwnerReference(Record, frozen=True, kw_only=True):
    """Who owns an object."""

    apiVersion: str
    kind: str
    name: str
    uid: str


class Meta(Record, frozen=True, kw_only=True):
    """The part of ObjectMeta that the engine reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""
    generation: int = 0
    creationTimestamp: str = ""
    deletionTimestamp: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    ownerReferences: tuple[OwnerReference, ...] = ()


class NamedRef(Record, frozen=True, kw_only=True):
    """A reference by name; `namespace` empty means `kubehaven`."""

    name: str
    namespace: str = ""


class Subject(Record, frozen=True, kw_only=True):
    """What an action works on: a namespace, a RestorePoint or a RestorePointContent."""

    name: str
    namespace: str = ""
    kind: Literal["", "Namespace", "RestorePoint", "RestorePointContent"] = ""


class Requester(Record, frozen=True, kw_only=True):
    """Who asked, by SelfSubjectReview; `verified` is false where there is none (below 1.28)."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    verified: bool = False


class ActionControl(Record, frozen=True, kw_only=True):
    """The only fields of an action's spec that may change."""

    cancel: bool = False
    paused: bool = False
    priority: int = 0


class BackupActionSpec(ActionControl, frozen=True, kw_only=True):
    """Make a local restore point of one application."""

    subject: Subject
    requestedBy: Requester | None = None
    expiresAt: str = ""


class ExportActionSpec(ActionControl, frozen=True, kw_only=True):
    """Copy a local restore point into a location (`profile` names a Location, as in K10)."""

    subject: Subject
    profile: NamedRef
    requestedBy: Requester | None = None
    expiresAt: str = ""


class RestoreActionSpec(ActionControl, frozen=True, kw_only=True):
    """Bring an application back from a restore point.

    `targetNamespace` empty means the application's own. Storage classes are
    mapped by name; `""` as a key maps the claims that name none.
    """

    subject: Subject
    targetNamespace: str = ""
    storageClassMap: dict[str, str] = {}
    requestedBy: Requester | None = None


class Step(Record, frozen=True, kw_only=True):
    """One step of an action, in the order of the action's list."""

    name: str
    state: Literal["pending", "running", "done", "failed", "skipped"] = "pending"
    startTime: str = ""
    endTime: str = ""
    detail: str = ""
    attempt: int = 0


class VolumeProgress(Record, frozen=True, kw_only=True):
    """How far one claim's bytes are."""

    pvc: str
    bytesTotal: int = 0
    bytesDone: int = 0
    bytesStored: int = 0
    filesDone: int = 0
    filesTotal: int = 0
    state: Literal["", "waiting", "running", "done", "failed"] = ""
    snapshot: str = ""  # export: id of the volume's snapshot in the repository


class Failure(Record, frozen=True, kw_only=True):
    """One thing that went wrong, and what to do about it."""

    code: str
    message: str
    object: str = ""  # <group>/<resource>/<namespace>/<name>, or a file path
    hint: str = ""


class Fault(Record, frozen=True, kw_only=True):
    """Why an action failed as a whole."""

    code: str
    message: str
    cause: str = ""
    hint: str = ""


class Driver(Record, frozen=True, kw_only=True):
    """The engine that last drove the action."""

    holder: str = ""
    epoch: int = 0


class PointRef(Record, frozen=True, kw_only=True):
    """A restore point by its handle or its content."""

    name: str
    namespace: str = ""


class ActionStatus(Record, frozen=True, kw_only=True):
    """Where an action stands. Phase and outcome are apart; queue time and run time are apart."""

    phase: Phase = "Pending"
    outcome: Outcome = ""
    reason: str = (
        ""  # why it is Pending or Queued, in a word: SelfServiceUnavailable, NoSlot, Paused
    )
    specHash: str = ""
    queuedAt: str = ""
    startTime: str = ""
    endTime: str = ""
    progress: int = 0
    attempt: int = 0
    steps: tuple[Step, ...] = ()
    volumes: tuple[VolumeProgress, ...] = ()
    failures: tuple[Failure, ...] = ()
    error: Fault | None = None
    driver: Driver = Driver()
    restorePoint: PointRef | None = None
    restorePointContent: PointRef | None = None
    planHash: str = ""
    targetNamespace: str = ""
    objectsDone: int = 0
    objectsTotal: int = 0


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
    crashConsistent: bool = True


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
    labels: dict[str, str] = {}


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


class ObjectStoreSpec(Record, frozen=True, kw_only=True):
    """An S3 bucket."""

    name: str  # bucket
    objectStoreType: Literal["S3"] = "S3"
    endpoint: str = ""
    region: str = ""
    path: str = ""  # prefix inside the bucket
    pathStyle: bool = True
    skipSSLVerify: bool = False


class FileStoreSpec(Record, frozen=True, kw_only=True):
    """A folder that every node and the desktop see under the same path (a shared mount)."""

    path: str


class CredentialRef(Record, frozen=True, kw_only=True):
    """The Secret in `kubehaven` that holds the location's access key."""

    secret: NamedRef
    secretType: Literal["AwsAccessKey"] = "AwsAccessKey"


class LocationSpec(Record, frozen=True, kw_only=True):
    """Where exported points are stored."""

    type: Literal["ObjectStore", "FileStore"]
    objectStore: ObjectStoreSpec | None = None
    fileStore: FileStoreSpec | None = None
    credential: CredentialRef | None = None
    caBundle: str = ""
    readOnly: bool = False
    allowedNamespaces: tuple[str, ...] = ()
    keyId: str = ""  # id of the location key, as in <prefix>/kubehaven.json


class LocationStatus(Record, frozen=True, kw_only=True):
    """Whether the location can be used."""

    validation: Literal["", "Success", "Failed"] = ""
    recoveryKit: bool = False  # the kit was saved and read back
    error: str = ""
    checkedAt: str = ""


class Slots(Record, frozen=True, kw_only=True):
    """How much may run at once."""

    jobs: int = 9
    snapshots: int = 10
    exports: int = 10
    exportsPerAction: int = 3
    restores: int = 10
    restoresPerAction: int = 3


class WorkerSettings(Record, frozen=True, kw_only=True):
    """How worker pods are made."""

    image: str = ""
    imagePullSecrets: tuple[str, ...] = ()
    nodeSelector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()
    priorityClassName: str = ""
    cpu: str = "1"
    memory: str = "400Mi"


class SettingsSpec(Record, frozen=True, kw_only=True):
    """Settings of a cluster; one object, `default`."""

    slots: Slots = Slots()
    workers: WorkerSettings = WorkerSettings()
    snapshotDeadlineSeconds: int = 600
    objectsBudgetMiB: int = 64


class Resource(Record, frozen=True, kw_only=True):
    """What all of our resources have."""

    metadata: Meta = Meta()
    kind: str = ""
    apiVersion: str = API_VERSION


class BackupAction(Resource, frozen=True, kw_only=True):
    """A BackupAction in the cluster."""

    spec: BackupActionSpec
    status: ActionStatus = ActionStatus()


class ExportAction(Resource, frozen=True, kw_only=True):
    """An ExportAction in the cluster."""

    spec: ExportActionSpec
    status: ActionStatus = ActionStatus()


class RestoreAction(Resource, frozen=True, kw_only=True):
    """A RestoreAction in the cluster."""

    spec: RestoreActionSpec
    status: ActionStatus = ActionStatus()


Action = BackupAction | ExportAction | RestoreAction


class RestorePoint(Resource, frozen=True, kw_only=True):
    """A RestorePoint in the cluster."""

    spec: RestorePointSpec
    status: RestorePointStatus = RestorePointStatus()


class RestorePointContent(Resource, frozen=True, kw_only=True):
    """A RestorePointContent in the cluster."""

    spec: RestorePointContentSpec
    status: RestorePointContentStatus = RestorePointContentStatus()


class Location(Resource, frozen=True, kw_only=True):
    """A Location in the cluster."""

    spec: LocationSpec
    status: LocationStatus = LocationStatus()


class Settings(Resource, frozen=True, kw_only=True):
    """The Settings of a cluster."""

    spec: SettingsSpec = SettingsSpec()
