"""Our custom resources as values: what stands in the cluster's record (architecture: The record).

Field names are the wire's (camelCase), so that a struct is the schema; the
CRDs in resources/crds are their twin and a test holds both together. Every
field of a status has a default: a resource without a status decodes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from console.engine.model.names import API_VERSION
from console.engine.model.transforms import Transform
from console.engine.model.wire import Record

Phase = Literal["Pending", "Queued", "Running", "Cancelling", "Finished"]
Outcome = Literal["", "Complete", "Partial", "Failed", "Cancelled", "Skipped"]
ActionKind = Literal["BackupAction", "ExportAction", "RestoreAction", "RetireAction"]

ACTION_KINDS: tuple[ActionKind, ...] = (
    "BackupAction",
    "ExportAction",
    "RestoreAction",
    "RetireAction",
)


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
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    ownerReferences: tuple[OwnerReference, ...] = ()


class NamedRef(Record, frozen=True, kw_only=True):
    """A reference by name; `namespace` empty means `kubehaven`."""

    name: str
    namespace: str = ""


class Subject(Record, frozen=True, kw_only=True):
    """What an action works on: a namespace, a point, its content, or a restore to be undone."""

    name: str
    namespace: str = ""
    kind: Literal["", "Namespace", "RestorePoint", "RestorePointContent", "RestoreAction"] = ""


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


class ExecHook(Record, frozen=True, kw_only=True):
    """Commands in an application's pods around the cut; pre and post are one session.

    The post command runs on every way out, and at the latest `limitSeconds` after the
    session began. Commands are programs with their arguments, no shell text.
    """

    podSelector: str  # labels, as `kubectl get pods -l` takes them
    namespace: str = ""  # empty = the application's; no other is allowed
    container: str = ""  # empty = the pod's default, or its first
    pre: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    timeoutSeconds: int = 60  # of each command
    limitSeconds: int = 600  # frozen at most


class BackupActionSpec(ActionControl, frozen=True, kw_only=True):
    """Make a local restore point of one application."""

    subject: Subject
    hooks: tuple[ExecHook, ...] = ()
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
    mapped by name; `""` as a key maps the claims that name none. `inPlace`
    swaps the volumes of claims that are there. A RestoreAction as subject is a
    restore in place that is undone; nothing else is said then.
    `ownerMap` is by uid and gid, `claimSizes` by claim; a claim may become larger.
    """

    subject: Subject
    targetNamespace: str = ""
    inPlace: bool = False
    storageClassMap: dict[str, str] = msgspec.field(default_factory=dict)
    ownerMap: dict[str, int] = msgspec.field(default_factory=dict)
    claimSizes: dict[str, str] = msgspec.field(default_factory=dict)
    transforms: tuple[Transform, ...] = ()  # refused for now; here for admission to see them
    requestedBy: Requester | None = None


class RetiredPoint(Record, frozen=True, kw_only=True):
    """One copy of a restore point that a RetireAction frees, by the ids that its content had."""

    name: str  # of the RestorePointContent
    uid: str
    id: str
    kind: Literal["local", "exported"]
    state: Literal["Ready", "Damaged"] = "Ready"  # what it goes back to when nothing was freed
    location: str = ""  # exported
    repository: str = ""
    objectsSnapshot: str = ""


class RetiredData(Record, frozen=True, kw_only=True):
    """The data of one volume of a retired point."""

    point: str  # name of the RestorePointContent
    id: str  # local: the snapshot's handle; exported: the snapshot in the repository
    pvc: str = ""
    driver: str = ""  # local
    name: str = ""  # local: its VolumeSnapshotContent


class RetireActionSpec(ActionControl, frozen=True, kw_only=True):
    """Free the data of restore points of one application; nothing else frees any.

    `allowMany` is the answer to "over a fifth of the application's points?",
    `allowLast` to "its last good one?".
    """

    subject: Subject  # the application's namespace
    points: tuple[RetiredPoint, ...]
    data: tuple[RetiredData, ...] = ()
    allowMany: bool = False
    allowLast: bool = False
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
    copiedAt: str = ""  # export without a snapshot of the storage: when the copy began


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


class FreedData(Record, frozen=True, kw_only=True):
    """One thing that a RetireAction has let go of."""

    point: str  # name of the RestorePointContent
    kind: Literal["Manifest", "VolumeSnapshot", "RepositorySnapshot"]
    id: str
    pvc: str = ""
    # now: freed. prune: removed; its bytes come back when the repository is pruned.
    # kept: another VolumeSnapshotContent names the snapshot.
    bytes: Literal["now", "prune", "kept"] = "now"


class HookResult(Record, frozen=True, kw_only=True):
    """What one hook did in one pod; exit codes are -1 where none was seen."""

    pod: str
    container: str = ""
    pre: int = -1
    post: int = -1
    woke: str = ""  # `go`, or why it thawed by itself
    output: str = ""  # the beginning of what both commands wrote


class BackupActionStatus(ActionStatus, frozen=True, kw_only=True):
    """Where a backup stands, and what its hooks did in the last attempt."""

    hooks: tuple[HookResult, ...] = ()


class RetireActionStatus(ActionStatus, frozen=True, kw_only=True):
    """Where a retirement stands, and what it has freed by id."""

    begun: tuple[str, ...] = ()  # contents whose data is no longer whole
    freed: tuple[FreedData, ...] = ()


class StoppedWorkload(Record, frozen=True, kw_only=True):
    """A workload that stands still while volumes are swapped, and how it comes back."""

    apiVersion: str
    kind: str
    plural: str
    name: str
    uid: str
    replicas: int = 0  # before, and to come back with; 1 for what is suspended


class SwappedVolume(Record, frozen=True, kw_only=True):
    """One claim whose volume is swapped."""

    pvc: str
    claimUID: str = ""  # of the claim that was there
    old: str = ""  # PersistentVolume that it had; empty: it had none yet
    new: str = ""  # PersistentVolume that takes its place; empty until it is filled


class Swap(Record, frozen=True, kw_only=True):
    """What a restore in place stopped and swapped: enough to bring it all back."""

    workloads: tuple[StoppedWorkload, ...] = ()
    volumes: tuple[SwappedVolume, ...] = ()
    stands: Literal["", "old", "new"] = ""  # which volumes the application has; empty: undecided
    keptUntil: str = ""  # the old volumes and objects can be had back until then
    stoppedAt: str = ""  # the first scale-down was sent
    startedAt: str = ""  # the first scale-up was sent
    downtimeSeconds: float = 0.0  # from the one to the other, the pods' grace included


class Resource(Record, frozen=True, kw_only=True):
    """What all of our resources have."""

    metadata: Meta = Meta()
    kind: str = ""
    apiVersion: str = API_VERSION


class BackupAction(Resource, frozen=True, kw_only=True):
    """A BackupAction in the cluster."""

    spec: BackupActionSpec
    status: BackupActionStatus = BackupActionStatus()


class ExportAction(Resource, frozen=True, kw_only=True):
    """An ExportAction in the cluster."""

    spec: ExportActionSpec
    status: ActionStatus = ActionStatus()


class RestoreActionStatus(ActionStatus, frozen=True, kw_only=True):
    """Where a restore stands."""

    swap: Swap | None = None


class RestoreAction(Resource, frozen=True, kw_only=True):
    """A RestoreAction in the cluster."""

    spec: RestoreActionSpec
    status: RestoreActionStatus = RestoreActionStatus()


class RetireAction(Resource, frozen=True, kw_only=True):
    """A RetireAction in the cluster; only those in `kubehaven` are carried out."""

    spec: RetireActionSpec
    status: RetireActionStatus = RetireActionStatus()


Action = BackupAction | ExportAction | RestoreAction | RetireAction
