"""What the facade shows: one frozen value per row of a page, ready to be drawn or printed.

All crossing the facade are msgspec structs without references to anything
live, so that the engine may move into a process of its own. Times are RFC 3339
UTC strings as the API server writes them, empty = not known; sizes are bytes,
-1 = not known.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from console.engine.model.points import PointKind, PointState
from console.engine.model.record import (
    ActionKind,
    Failure,
    Fault,
    FreedData,
    HookResult,
    Outcome,
    Phase,
    Step,
    Swap,
    VolumeProgress,
)

Health = Literal["unknown", "connecting", "live", "stale", "refused"]
EngineState = Literal["unprepared", "idle", "driving", "elsewhere", "unknown"]
AppState = Literal["protected", "unprotected", "failing", "running", "removed"]
CheckStatus = Literal["running", "ok", "warning", "failed", "skipped"]
LocationState = Literal["usable", "unproven_kit", "failed", "unchecked"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all rows."""


class ClusterView(View, frozen=True, kw_only=True):
    """A cluster that the user added."""

    name: str
    server: str
    kubeconfig: str  # path
    context: str
    color: str = ""
    health: Health = "unknown"
    as_of: str = ""
    version: str = ""
    engine: EngineState = "unknown"
    holder: str = ""  # who drives it
    checked: str = ""  # time and outcome of the last whole check; empty: none, or not known
    problem: str = ""  # why it is stale or refused
    insecure: bool = False  # TLS is not verified

    @property
    def key(self) -> str:
        """Stable id of the row."""
        return self.name


class VolumeView(View, frozen=True, kw_only=True):
    """A claim of an application."""

    name: str
    size: int
    storage_class: str
    phase: str
    snapshottable: bool | None = None  # None: nobody has looked yet
    problem: str = ""


class WorkloadView(View, frozen=True, kw_only=True):
    """A workload of an application."""

    kind: str
    name: str
    ready: int
    wanted: int


class ApplicationView(View, frozen=True, kw_only=True):
    """An application: a namespace, live or known from its points only (`removed`)."""

    cluster: str
    name: str
    state: AppState
    workloads: tuple[WorkloadView, ...] = ()
    volumes: tuple[VolumeView, ...] = ()
    objects: int = -1
    size: int = -1
    points: int = 0
    last_point: str = ""
    last_export: str = ""
    last_location: str = ""
    labels: dict[str, str] = {}
    reason: str = ""  # of `failing`: the last action's fault

    @property
    def key(self) -> str:
        """Stable id of the row."""
        return f"{self.cluster}/{self.name}"


class PointVolumeView(View, frozen=True, kw_only=True):
    """A claim inside a point."""

    pvc: str
    size: int
    logical_size: int = -1
    physical_size: int = -1
    crash_consistent: bool = True  # false: nothing can snapshot it
    copied_at: str = ""  # when an export began to copy such a one; empty: its data is not here


class PointView(View, frozen=True, kw_only=True):
    """A restore point; local and exported copies of one moment are two rows with one `id`."""

    cluster: str
    name: str  # of the content
    id: str
    kind: PointKind
    state: PointState
    application: str
    taken_at: str
    location: str = ""
    logical_size: int = -1
    physical_size: int = -1
    verified_at: str = ""  # exported: when all of it was read back
    objects: int = 0
    volumes: tuple[PointVolumeView, ...] = ()
    bound: bool = False
    reason: str = ""
    origin: str = ""  # uid of the cluster that it was taken on, where that is another one

    @property
    def crash_consistent(self) -> bool:
        """Whether the data of all its volumes is of one moment, but for what was in memory."""
        return all(volume.crash_consistent for volume in self.volumes)

    @property
    def key(self) -> str:
        """Stable id of the row."""
        return f"{self.cluster}/{self.name}"


class ActionView(View, frozen=True, kw_only=True):
    """One action with its live state."""

    cluster: str
    kind: ActionKind
    namespace: str
    name: str
    uid: str
    application: str
    phase: Phase
    outcome: Outcome = ""
    reason: str = ""
    created_at: str = ""
    queued_at: str = ""
    started_at: str = ""
    ended_at: str = ""
    progress: int = 0
    steps: tuple[Step, ...] = ()
    volumes: tuple[VolumeProgress, ...] = ()
    failures: tuple[Failure, ...] = ()
    error: Fault | None = None
    point: str = ""  # what it made, or works on
    location: str = ""
    target: str = ""  # namespace that a restore writes to
    swap: Swap | None = None  # what a restore in place, or an undo, has stopped and swapped
    freed: tuple[FreedData, ...] = ()  # by a retirement
    hooks: tuple[HookResult, ...] = ()  # of a backup
    requested_by: str = ""
    driver: str = ""
    queue_position: int = 0  # 1 = next; 0 = not queued
    held_by: tuple[str, ...] = ()  # who holds what it waits for

    @property
    def key(self) -> str:
        """Stable id of the row."""
        return f"{self.cluster}/{self.uid}"


class LocationView(View, frozen=True, kw_only=True):
    """A location as the cluster knows it."""

    cluster: str
    name: str
    url: str
    state: LocationState
    error: str = ""
    points: int = 0
    key_id: str = ""

    @property
    def key(self) -> str:
        """Stable id of the row."""
        return f"{self.cluster}/{self.name}"


class ActionRef(View, frozen=True, kw_only=True):
    """An action by name, as a call returns it."""

    cluster: str
    kind: ActionKind
    namespace: str
    name: str
    uid: str = ""


class PlannedObject(View, frozen=True, kw_only=True):
    """One object of a plan: what would be done with it and why."""

    verb: Literal["create", "update", "keep", "skip"]
    resource: str
    namespace: str
    name: str
    changes: tuple[str, ...] = ()  # in words: what was removed or changed
    reason: str = ""


class Blocker(View, frozen=True, kw_only=True):
    """Why a plan can't be carried out."""

    code: str
    message: str
    object: str = ""
    hint: str = ""


class PreparePlan(View, frozen=True, kw_only=True):
    """What *prepare* would put into a cluster."""

    cluster: str
    objects: tuple[PlannedObject, ...]
    hash: str
    recovered: tuple[str, ...] = ()  # local points that it found again, by their contents' names


class Manifests(View, frozen=True, kw_only=True):
    """What *prepare* wants in a cluster, as `kubectl apply` takes it."""

    cluster: str
    objects: tuple[dict[str, Any], ...]  # Kubernetes objects, in the order to apply them
    left_out: tuple[PlannedObject, ...] = ()  # with the reasons


class RemovedObject(View, frozen=True, kw_only=True):
    """One object that *remove* deletes, or keeps and why."""

    verb: Literal["delete", "keep"]
    resource: str
    namespace: str = ""
    name: str
    reason: str = ""


class GoneRecords(View, frozen=True, kw_only=True):
    """How many objects of one of our kinds go with it."""

    resource: str
    count: int


class LostLocation(View, frozen=True, kw_only=True):
    """A location whose record goes, with what it takes to add it again."""

    name: str
    folder: str = ""
    bucket: str = ""
    endpoint: str = ""
    region: str = ""
    prefix: str = ""
    virtual_host_style: bool = False
    skip_tls_verify: bool = False


class RemovePlan(View, frozen=True, kw_only=True):
    """What *remove* would take out of a cluster, and what stays."""

    cluster: str
    objects: tuple[RemovedObject, ...]  # deleted ones first, in order
    records: tuple[GoneRecords, ...] = ()
    retires: tuple[str, ...] = ()  # local points that are freed first, by their contents' names
    locations: tuple[LostLocation, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    hash: str = ""


class RestorePreview(View, frozen=True, kw_only=True):
    """What a restore would do, in the order it would do it."""

    cluster: str
    point: str
    target: str
    objects: tuple[PlannedObject, ...]
    volumes: tuple[PointVolumeView, ...]
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[Blocker, ...] = ()
    stops: tuple[str, ...] = ()  # in place: workloads that stand still meanwhile
    swaps: tuple[str, ...] = ()  # in place: claims with the volumes that are kept for an undo
    hash: str = ""


class RetiredItem(View, frozen=True, kw_only=True):
    """One thing that a retirement would let go of."""

    point: str  # name of the content
    kind: PointKind
    what: Literal["Manifest", "VolumeSnapshot", "RepositorySnapshot"]
    id: str
    pvc: str = ""
    location: str = ""
    taken_at: str = ""
    # now: freed. prune: its bytes come back with the repository's prune. kept: others name it.
    bytes: Literal["now", "prune", "kept"] = "now"


class RetirePreview(View, frozen=True, kw_only=True):
    """What a retirement would free, by id."""

    cluster: str
    application: str
    items: tuple[RetiredItem, ...]
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[Blocker, ...] = ()
    hash: str = ""


class Leftover(View, frozen=True, kw_only=True):
    """Something that an action which is gone has left, and what is done about it."""

    # free: with the snapshot behind it. return: a volume's reclaim policy goes back.
    # release: a volume that was kept for an undo goes back to its reclaim policy.
    # mark: a content is said to be Damaged. complete: one that lacks only its last word gets it.
    verb: Literal["delete", "free", "return", "release", "mark", "complete"]
    resource: str
    namespace: str = ""
    name: str
    uid: str = ""
    reason: str = ""


class Leftovers(View, frozen=True, kw_only=True):
    """What an engine would take away when it next looks, in order."""

    cluster: str
    items: tuple[Leftover, ...]


class CheckResult(View, frozen=True, kw_only=True):
    """One thing that `cluster check` tries: how it went, what was seen, what to do."""

    check: str  # stable: `api.rights`, `volume.clone`, …
    subject: str = (
        ""  # of a check that is made several times: a storage class, a driver, a location
    )
    status: CheckStatus
    code: str = ""  # stable; of `warning` and `failed`
    seen: str = ""
    hint: str = ""
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """Stable id of the row."""
        return f"{self.check}/{self.subject}"


class ClusterCheck(View, frozen=True, kw_only=True):
    """Whether a cluster does what backups and restores need of it."""

    cluster: str
    id: str  # of the run; what it made had it in its labels
    started_at: str
    ended_at: str
    outcome: Literal["ok", "warning", "failed"]  # the gravest of the results
    results: tuple[CheckResult, ...]


class BrowseEntry(View, frozen=True, kw_only=True):
    """A file, folder or object inside a restore point."""

    name: str
    kind: Literal["folder", "file", "link", "other"]
    size: int = -1
    modified_at: str = ""
    mode: int = 0
