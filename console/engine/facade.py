"""The engine as its hosts see it: groups of calls by noun and one stream of events.

Implemented by `console.engine.api.Engine` in the same process; a test drives
the window's whole use of it over a pipe. Arguments and results are plain
strings, numbers, and frozen msgspec values; nothing live crosses. Every call
raises `EngineError`, and may be cancelled: what was already written stays
written and is said in the docstring where it matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from console.engine.events import Event
    from console.engine.model.record import ActionKind, ExecHook
    from console.engine.model.views import (
        ActionRef,
        ActionView,
        ApplicationView,
        BrowseEntry,
        ClusterCheck,
        ClusterView,
        Leftovers,
        LocationView,
        Manifests,
        PlannedObject,
        PointView,
        PreparePlan,
        RemovePlan,
        RestorePreview,
        RetirePreview,
    )


class LocationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A location that is about to be added.

    Exactly one of `bucket` and `folder` is set. `credentials_file` holds the
    access key (`aws_access_key_id` and `aws_secret_access_key`, INI or JSON);
    it is read once, into a Secret of the cluster, and never kept.
    """

    name: str
    folder: str = ""
    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    path_style: bool = True
    skip_tls_verify: bool = False
    credentials_file: str = ""
    recovery_kit: str = ""  # file to write the location key to; read back before it counts
    location_key_file: str = ""  # a kit to join an existing location with, instead of a new key


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to restore, and where to."""

    point: str  # name of the content
    target: str = ""  # namespace; empty = the application's own
    storage_class_map: dict[str, str] = {}
    in_place: bool = False  # swap the volumes of claims that are there
    owner_map: dict[str, int] = {}  # owner or group that files have -> the one that they get
    claim_sizes: dict[str, str] = {}  # claim -> a larger size than it had, as `20Gi`


class RetireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which points to free for good, and what was said yes to.

    `points` are names of contents, or ids where one copy alone has the id.
    """

    points: tuple[str, ...]
    allow_many: bool = False  # also over a fifth of the application's points
    allow_last: bool = False  # also its last good one


class Clusters(Protocol):
    """The clusters that the user added. Only path and context are kept, never a copy."""

    async def list(self) -> tuple[ClusterView, ...]:
        """All clusters, in the user's order."""

    async def add(
        self, name: str, kubeconfig: str, *, context: str = "", trust_programs: bool = False
    ) -> ClusterView:
        """Remember a kubeconfig's path and context after a first connection worked.

        Raises:
            UntrustedPrograms: It names programs or files and `trust_programs` is false.
        """

    async def forget(self, name: str) -> None:
        """Forget a cluster here; nothing in the cluster changes."""

    async def plan_prepare(self, name: str, *, allow_node_path: bool = False) -> PreparePlan:
        """Every object that *prepare* would create or update; writes nothing.

        With `allow_node_path`, workers may read volumes in use on their pods' nodes.
        """

    async def manifests(self, name: str, *, allow_node_path: bool = False) -> Manifests:
        """Every object that *prepare* wants there, for `kubectl apply`; writes nothing."""

    async def prepare(
        self, name: str, *, plan_hash: str, allow_node_path: bool = False
    ) -> PreparePlan:
        """Carry a shown plan out; refused when it is no longer true (code `plan.stale`).

        Local points that an earlier *remove* has kept are listed again.
        """

    async def plan_remove(self, name: str, *, retire_local: bool = False) -> RemovePlan:
        """What *remove* would delete and keep; writes nothing."""

    async def remove(self, name: str, *, plan_hash: str, retire_local: bool = False) -> RemovePlan:
        """Carry a shown plan out; refused when it is no longer true (code `plan.stale`).

        With `retire_local` the local points are freed first. The cluster stays known here.

        Raises:
            DrivenElsewhere: Another engine has the Lease.

        Cancel: what is gone stays gone; the next plan holds the rest.
        """

    async def leftovers(self, name: str) -> Leftovers:
        """What actions that are gone have left, and an engine would take away; writes nothing."""

    async def check(self, name: str, *, storage_classes: tuple[str, ...] = ()) -> ClusterCheck:
        """Try out what backups and restores need of the cluster, in `kubehaven-workers` only.

        Each result is an event (`CheckChanged`) as it begins and as it ends. Takes minutes; all
        that was made is taken away, also after a cancel.

        Raises:
            NotFound: There is no such storage class with a CSI driver.
            EngineError: `check.running`, `cluster.unprepared`.
        """

    async def watch(self, name: str, *, take_over: bool = False) -> None:
        """Begin to send this cluster's rows as events, and to drive it if nobody does.

        With `take_over`, drive it also where another engine holds the Lease.
        """


class Applications(Protocol):
    """What can be protected."""

    async def list(self, cluster: str) -> tuple[ApplicationView, ...]:
        """All applications, the removed ones that still have points included."""

    async def show(self, cluster: str, name: str) -> ApplicationView:
        """One application, with its workloads and volumes."""

    async def objects(self, cluster: str, name: str) -> tuple[PlannedObject, ...]:
        """What a backup would take now (`create`) and leave out (`skip`, with the reason)."""


class Locations(Protocol):
    """Where points are exported to."""

    async def list(self, cluster: str) -> tuple[LocationView, ...]:
        """All locations of a cluster."""

    async def add(self, cluster: str, draft: LocationDraft) -> LocationView:
        """Add a location: test it, write and read back the recovery kit, make it usable."""

    async def check(self, cluster: str, name: str, *, all_clusters: bool = False) -> LocationView:
        """Look into the location now; points found there join the catalogue.

        With `all_clusters` those of other clusters join too, and what such clusters have retired
        since the last look leaves. Nothing in the location changes.
        """


class RestorePoints(Protocol):
    """What can be restored."""

    async def list(self, cluster: str, *, application: str = "") -> tuple[PointView, ...]:
        """All Ready and Damaged points, the newest first."""

    async def show(self, cluster: str, name: str) -> PointView:
        """One point by the name of its content, or by its id."""

    async def preview(self, cluster: str, request: RestoreRequest) -> RestorePreview:
        """What a restore would do; writes nothing."""

    async def preview_retire(self, cluster: str, request: RetireRequest) -> RetirePreview:
        """What a retirement would free, by id; writes nothing."""

    async def browse(self, cluster: str, name: str, path: str = "") -> tuple[BrowseEntry, ...]:
        """A folder of an exported point: `objects/…` or `volumes/<pvc>/…`."""

    async def get(self, cluster: str, name: str, path: str, target: str) -> int:
        """Copy a file, folder or object out of an exported point into a folder; its bytes."""


class Actions(Protocol):
    """Work, done and under way."""

    async def back_up(
        self,
        cluster: str,
        application: str,
        *,
        export_to: str = "",
        hooks: tuple[ExecHook, ...] = (),
    ) -> ActionRef:
        """Ask for a backup; with `export_to`, its export follows by itself."""

    async def export(self, cluster: str, point: str, *, location: str) -> ActionRef:
        """Ask for a copy of a local point in a location."""

    async def restore(
        self, cluster: str, request: RestoreRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        """Ask for a restore; with `plan_hash`, refused when the preview is no longer true."""

    async def undo(self, cluster: str, namespace: str, name: str) -> ActionRef:
        """Ask for a restore in place to be undone; refused with the reason where it can't be."""

    async def retire(
        self, cluster: str, request: RetireRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        """Ask for points to be freed; with `plan_hash`, refused when the preview changed."""

    async def list(self, cluster: str) -> tuple[ActionView, ...]:
        """All actions, the newest first."""

    async def show(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> ActionView:
        """One action with its live state."""

    async def cancel(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> None:
        """Ask for an action to stop; it ends as Cancelled when its step has cleaned up."""


class EngineFacade(Protocol):
    """One engine."""

    @property
    def clusters(self) -> Clusters:
        """Clusters."""

    @property
    def applications(self) -> Applications:
        """Applications."""

    @property
    def locations(self) -> Locations:
        """Locations."""

    @property
    def restore_points(self) -> RestorePoints:
        """Restore points."""

    @property
    def actions(self) -> Actions:
        """Actions."""

    def events(self) -> AsyncIterator[Event]:
        """All events from now on, beginning with the lists as they are. One reader each."""

    async def aclose(self) -> None:
        """Stop driving, give the Lease up, end every task; within 10 s."""
