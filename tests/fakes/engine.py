"""An engine with invented data that behaves: actions run, progress, end; events flow.

Typed against `EngineFacade`, so that it can't drift. Time is the loop's; with
`speed` 0 nothing moves by itself, so that pictures are always the same.
"""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from console.engine import (
    ActionRef,
    ActionsChanged,
    ActionsListed,
    ActionView,
    ApplicationsChanged,
    ApplicationsListed,
    ApplicationView,
    Blocker,
    BrowseEntry,
    ClusterCheck,
    ClustersListed,
    ClusterView,
    EngineError,
    ExecHook,
    Leftover,
    Leftovers,
    LocationsListed,
    LocationView,
    Manifests,
    NotFound,
    PlanError,
    PlannedObject,
    PointsChanged,
    PointsListed,
    PointView,
    PreparePlan,
    RemovedObject,
    RemovePlan,
    RestorePreview,
    RestoreRequest,
    RetiredItem,
    RetirePreview,
    RetireRequest,
    Step,
    UntrustedPrograms,
    VolumeProgress,
)
from tests.fakes.data import (
    MIB,
    STEPS,
    demo_actions,
    demo_applications,
    demo_clusters,
    demo_locations,
    demo_points,
    preview_objects,
    stamp,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from console.engine import ActionKind, Event, LocationDraft

TICK_S = 0.1
ROWS = ("applications", "points", "actions", "locations")


class DemoEngine:
    """Two clusters, fourteen applications, two running actions, one failed.

    Attributes:
        calls: Every call that would change something, in order, as `noun.verb arguments`.
        fail: Raised by the next call whose name it is filed under (`actions.back_up`).
    """

    def __init__(self, *, empty: bool = False, speed: float = 1.0, many: int = 0) -> None:
        self.now = datetime.now(UTC)
        self.speed = speed
        self.calls: list[str] = []
        self.fail: dict[str, EngineError] = {}
        self.closed = False
        self._clusters = [] if empty else list(demo_clusters(self.now))
        self._rows: dict[str, dict[str, dict[str, object]]] = {name: {} for name in ROWS}
        if not empty:
            applications = demo_applications(self.now, many)
            self._load("applications", applications)
            self._load("points", demo_points(self.now, applications))
            self._load("actions", demo_actions(self.now))
            self._load("locations", demo_locations())
        self._revision = itertools.count(1)
        self._revisions: dict[tuple[str, str], int] = {}
        self._readers: list[asyncio.Queue[Event]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.clusters = DemoClusters(self)
        self.applications = DemoApplications(self)
        self.locations = DemoLocations(self)
        self.restore_points = DemoPoints(self)
        self.actions = DemoActions(self)

    async def events(self) -> AsyncIterator[Event]:
        """The lists as they are, then every change."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._readers.append(queue)
        try:
            yield ClustersListed(rows=tuple(self._clusters))
            for cluster in tuple(self._clusters):
                for event in self._listed(cluster.name):
                    yield event
            while True:
                yield await queue.get()
        finally:
            self._readers.remove(queue)

    async def aclose(self) -> None:
        """End everything."""
        self.closed = True
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run something in the background until `aclose`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note(self, call: str, *arguments: object) -> None:
        """Write a call down; raise what was filed under its name."""
        self.calls.append(" ".join([call, *map(str, arguments)]))
        if call in self.fail:
            raise self.fail.pop(call)

    def rows(self, stream: str, cluster: str) -> list[object]:
        """All rows of a stream."""
        return list(self._rows[stream].get(cluster, {}).values())

    def put(
        self, row: ActionView | ApplicationView | PointView | LocationView, *, skip: int = 0
    ) -> None:
        """Change or add a row and tell the readers; `skip` leaves a gap in the revisions."""
        stream, key = _place(row)
        self._rows[stream].setdefault(row.cluster, {})[key] = row
        at = (stream, row.cluster)
        self._revisions[at] = self._revisions.get(at, 0) + 1 + skip
        if isinstance(row, LocationView):
            self._tell(self._locations_listed(row.cluster))
        elif isinstance(row, ActionView):
            self._tell(
                ActionsChanged(cluster=row.cluster, revision=self._revisions[at], upserts=(row,))
            )
        elif isinstance(row, PointView):
            self._tell(
                PointsChanged(cluster=row.cluster, revision=self._revisions[at], upserts=(row,))
            )
        else:
            self._tell(
                ApplicationsChanged(
                    cluster=row.cluster, revision=self._revisions[at], upserts=(row,)
                )
            )

    def put_cluster(self, row: ClusterView) -> None:
        """Change or add a cluster and tell the readers."""
        names = [c.name for c in self._clusters]
        if row.name in names:
            self._clusters[names.index(row.name)] = row
        else:
            self._clusters.append(row)
        self._tell(ClustersListed(rows=tuple(self._clusters)))
        if row.name not in names:
            for event in self._listed(row.name):
                self._tell(event)

    def drop_cluster(self, name: str) -> None:
        """Forget a cluster."""
        self._clusters = [c for c in self._clusters if c.name != name]
        self._tell(ClustersListed(rows=tuple(self._clusters)))

    def cluster(self, name: str) -> ClusterView:
        """A cluster by name."""
        for row in self._clusters:
            if row.name == name:
                return row
        raise NotFound("no such cluster", subject=name)

    def all_clusters(self) -> tuple[ClusterView, ...]:
        """All clusters."""
        return tuple(self._clusters)

    def tell(self, event: Event) -> None:
        """Send an event to every reader."""
        self._tell(event)

    def _tell(self, event: Event) -> None:
        for queue in self._readers:
            queue.put_nowait(event)

    def _load(self, stream: str, rows: object) -> None:
        assert isinstance(rows, tuple)
        for row in rows:
            self._rows[stream].setdefault(row.cluster, {})[_place(row)[1]] = row

    def _listed(self, cluster: str) -> list[Event]:
        def of(stream: str) -> int:
            return self._revisions.setdefault((stream, cluster), 0)

        apps = tuple(
            r for r in self.rows("applications", cluster) if isinstance(r, ApplicationView)
        )
        points = tuple(r for r in self.rows("points", cluster) if isinstance(r, PointView))
        actions = tuple(r for r in self.rows("actions", cluster) if isinstance(r, ActionView))
        return [
            ApplicationsListed(cluster=cluster, revision=of("applications"), rows=apps),
            PointsListed(cluster=cluster, revision=of("points"), rows=points),
            ActionsListed(cluster=cluster, revision=of("actions"), rows=actions),
            self._locations_listed(cluster),
        ]

    def _locations_listed(self, cluster: str) -> LocationsListed:
        rows = tuple(r for r in self.rows("locations", cluster) if isinstance(r, LocationView))
        return LocationsListed(cluster=cluster, revision=0, rows=rows)


def _place(row: ActionView | ApplicationView | PointView | LocationView) -> tuple[str, str]:
    if isinstance(row, LocationView):
        return "locations", f"{row.cluster}/{row.name}"
    streams = {ActionView: "actions", ApplicationView: "applications", PointView: "points"}
    return streams[type(row)], row.key


class DemoClusters:
    """Clusters."""

    def __init__(self, engine: DemoEngine) -> None:
        self._engine = engine

    async def list(self) -> tuple[ClusterView, ...]:
        return self._engine.all_clusters()

    async def add(
        self, name: str, kubeconfig: str, *, context: str = "", trust_programs: bool = False
    ) -> ClusterView:
        self._engine.note("clusters.add", name, kubeconfig, context, trust_programs)
        if "exec" in kubeconfig and not trust_programs:
            raise UntrustedPrograms(
                "the kubeconfig names programs or files",
                items=("program /usr/local/bin/tke-login --region hk", "file ~/.kube/ca.crt"),
                subject=kubeconfig,
            )
        row = ClusterView(
            name=name,
            server="https://203.0.113.9:6443",
            kubeconfig=kubeconfig,
            context=context or "default",
            health="live",
            as_of=stamp(self._engine.now),
            version="1.33",
            engine="unprepared",
        )
        self._engine.put_cluster(row)
        return row

    async def forget(self, name: str) -> None:
        self._engine.note("clusters.forget", name)
        self._engine.drop_cluster(name)

    async def plan_prepare(self, name: str, *, allow_node_path: bool = False) -> PreparePlan:
        self._engine.cluster(name)
        kinds = ("policies", "locations", "backupactions", "exportactions", "restoreactions")
        crds = [f"{kind}.kubehaven.io" for kind in (*kinds, "restorepoints")]
        objects = [
            PlannedObject(verb="create", resource="Namespace", namespace="", name="kubehaven"),
            PlannedObject(
                verb="create", resource="Namespace", namespace="", name="kubehaven-workers"
            ),
            *(
                PlannedObject(
                    verb="create", resource="CustomResourceDefinition", namespace="", name=crd
                )
                for crd in crds
            ),
            PlannedObject(
                verb="update",
                resource="ClusterRole",
                namespace="",
                name="kubehaven-admin",
                changes=("adds restorepointcontents",),
            ),
            PlannedObject(
                verb="keep",
                resource="ServiceAccount",
                namespace="kubehaven",
                name="engine",
                reason="is already so",
            ),
        ]
        return PreparePlan(cluster=name, objects=tuple(objects), hash="prepare-1")

    async def manifests(self, name: str, *, allow_node_path: bool = False) -> Manifests:
        self._engine.cluster(name)
        one = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubehaven"}}
        return Manifests(cluster=name, objects=(one,))

    async def prepare(
        self, name: str, *, plan_hash: str, allow_node_path: bool = False
    ) -> PreparePlan:
        self._engine.note("clusters.prepare", name, plan_hash)
        row = self._engine.cluster(name)
        self._engine.put_cluster(msgspec.structs.replace(row, engine="driving"))
        return await self.plan_prepare(name)

    async def plan_remove(self, name: str, *, retire_local: bool = False) -> RemovePlan:
        self._engine.cluster(name)
        crd = "customresourcedefinitions.apiextensions.k8s.io"
        one = RemovedObject(verb="delete", resource=crd, name="locations.kubehaven.io")
        points = ("p1",) if retire_local else ()
        return RemovePlan(cluster=name, objects=(one,), retires=points, hash="remove-1")

    async def remove(self, name: str, *, plan_hash: str, retire_local: bool = False) -> RemovePlan:
        self._engine.note("clusters.remove", name, plan_hash, retire_local)
        row = self._engine.cluster(name)
        self._engine.put_cluster(msgspec.structs.replace(row, engine="unprepared"))
        return await self.plan_remove(name, retire_local=retire_local)

    async def check(self, name: str, *, storage_classes: tuple[str, ...] = ()) -> ClusterCheck:
        self._engine.note("clusters.check", name, storage_classes)
        return ClusterCheck(
            cluster=name, id="check-1", started_at="", ended_at="", outcome="ok", results=()
        )

    async def leftovers(self, name: str) -> Leftovers:
        self._engine.cluster(name)
        job = Leftover(
            verb="delete",
            resource="jobs.batch",
            namespace="kubehaven-workers",
            name="kh-0123456789ab",
            reason="its action has ended",
        )
        return Leftovers(cluster=name, items=(job,))

    async def watch(self, name: str, *, take_over: bool = False) -> None:
        self._engine.note("clusters.watch", name, take_over)
        if self._engine.speed:
            self._engine.start(self._engine.actions.run_all(name))


class DemoApplications:
    """Applications."""

    def __init__(self, engine: DemoEngine) -> None:
        self._engine = engine

    async def list(self, cluster: str) -> tuple[ApplicationView, ...]:
        rows = self._engine.rows("applications", cluster)
        return tuple(row for row in rows if isinstance(row, ApplicationView))

    async def show(self, cluster: str, name: str) -> ApplicationView:
        for row in await self.list(cluster):
            if row.name == name:
                return row
        raise NotFound("no such application", subject=name)

    async def objects(self, cluster: str, name: str) -> tuple[PlannedObject, ...]:
        return preview_objects(await self.show(cluster, name), name)


class DemoLocations:
    """Locations."""

    def __init__(self, engine: DemoEngine) -> None:
        self._engine = engine

    async def list(self, cluster: str) -> tuple[LocationView, ...]:
        rows = self._engine.rows("locations", cluster)
        return tuple(row for row in rows if isinstance(row, LocationView))

    async def add(self, cluster: str, draft: LocationDraft) -> LocationView:
        self._engine.note("locations.add", cluster, draft.name)
        row = LocationView(
            cluster=cluster, name=draft.name, url=draft.bucket or draft.folder, state="usable"
        )
        self._engine.put(row)
        return row

    async def check(self, cluster: str, name: str, *, all_clusters: bool = False) -> LocationView:
        self._engine.note("locations.check", cluster, name)
        for row in await self.list(cluster):
            if row.name == name:
                checked = msgspec.structs.replace(row, state="usable", error="")
                self._engine.put(checked)
                return checked
        raise NotFound("no such location", subject=name)


class DemoPoints:
    """Restore points."""

    def __init__(self, engine: DemoEngine) -> None:
        self._engine = engine

    async def list(self, cluster: str, *, application: str = "") -> tuple[PointView, ...]:
        rows = self._engine.rows("points", cluster)
        found = [row for row in rows if isinstance(row, PointView)]
        found = [row for row in found if not application or row.application == application]
        return tuple(sorted(found, key=lambda row: row.taken_at, reverse=True))

    async def show(self, cluster: str, name: str) -> PointView:
        for row in await self.list(cluster):
            if name in (row.name, row.id):
                return row
        raise NotFound("no such restore point", subject=name)

    async def preview(self, cluster: str, request: RestoreRequest) -> RestorePreview:
        point = await self.show(cluster, request.point)
        target = request.target or point.application
        if target == "kube-system":
            raise PlanError(
                "kube-system belongs to the cluster", subject=target, hint="Choose another name."
            )
        applications = await self._engine.applications.list(cluster)
        taken = any(row.name == target and row.state != "removed" for row in applications)
        blockers: tuple[Blocker, ...] = ()
        if taken:
            blockers = (
                Blocker(
                    code="restore.target_exists",
                    message=f"The namespace {target} exists and has workloads",
                    object=f"Namespace {target}",
                    hint="Restore into another namespace, or delete this one first.",
                ),
            )
        warning = Blocker(
            code="restore.node_port",
            message="Service web gets another node port than before",
            object="Service web",
            hint="The cluster chooses a free one.",
        )
        application = next((r for r in applications if r.name == point.application), None)
        objects = preview_objects(application, target)
        return RestorePreview(
            cluster=cluster,
            point=point.name,
            target=target,
            objects=objects,
            volumes=point.volumes,
            blockers=blockers,
            warnings=(warning,),
            hash=f"restore {point.name} {target}",
        )

    async def preview_retire(self, cluster: str, request: RetireRequest) -> RetirePreview:
        points = [await self.show(cluster, name) for name in request.points]
        good = await self.list(cluster, application=points[0].application)
        last = Blocker(
            code="retire.last",
            message=f"no good restore point of {points[0].application} would be left",
            hint="if that is meant, ask again with --allow-last (spec.allowLast)",
        )
        return RetirePreview(
            cluster=cluster,
            application=points[0].application,
            items=tuple(
                RetiredItem(
                    point=row.name,
                    kind=row.kind,
                    what="VolumeSnapshot" if row.kind == "local" else "RepositorySnapshot",
                    id=f"snap-{row.id}",
                    pvc="data",
                    location=row.location,
                    taken_at=row.taken_at,
                    bytes="now" if row.kind == "local" else "prune",
                )
                for row in points
            ),
            blockers=() if request.allow_last or len(good) > len(points) else (last,),
            hash=f"retire {' '.join(row.name for row in points)}",
        )

    async def browse(self, cluster: str, name: str, path: str = "") -> tuple[BrowseEntry, ...]:
        if "restore_points.browse" in self._engine.fail:
            raise self._engine.fail.pop("restore_points.browse")
        point = await self.show(cluster, name)
        when = point.taken_at
        if not path:
            return tuple(BrowseEntry(name=n, kind="folder") for n in ("objects", "volumes"))
        if path == "volumes":
            return tuple(
                BrowseEntry(name=v.pvc, kind="folder", size=v.size, modified_at=when)
                for v in point.volumes
            )
        if path == "objects":
            kinds = ("configmaps", "deployments.apps", "secrets", "services")
            return tuple(BrowseEntry(name=n, kind="folder") for n in kinds)
        if path.startswith("objects/"):
            return (BrowseEntry(name="web.yaml", kind="file", size=1830, modified_at=when),)
        if path.count("/") > 3:
            return ()
        return (
            BrowseEntry(name="media", kind="folder", modified_at=when),
            BrowseEntry(name="reports", kind="folder", modified_at=when),
            BrowseEntry(name="VERSION", kind="file", size=6, modified_at=when),
            BrowseEntry(name="current", kind="link", modified_at=when),
            BrowseEntry(name="settings.py", kind="file", size=6350, modified_at=when),
            BrowseEntry(name="dump.sql", kind="file", size=48 * MIB, modified_at=when),
        )

    async def get(self, cluster: str, name: str, path: str, target: str) -> int:
        self._engine.note("restore_points.get", cluster, name, path, target)
        return 6350


class DemoActions:
    """Work."""

    def __init__(self, engine: DemoEngine) -> None:
        self._engine = engine
        self._numbers = itertools.count(1)

    async def back_up(
        self,
        cluster: str,
        application: str,
        *,
        export_to: str = "",
        hooks: tuple[ExecHook, ...] = (),
    ) -> ActionRef:
        self._engine.note("actions.back_up", cluster, application, export_to)
        return self._add(cluster, "BackupAction", application, location=export_to)

    async def export(self, cluster: str, point: str, *, location: str) -> ActionRef:
        self._engine.note("actions.export", cluster, point, location)
        row = await self._engine.restore_points.show(cluster, point)
        return self._add(cluster, "ExportAction", row.application, location=location)

    async def restore(
        self, cluster: str, request: RestoreRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        self._engine.note("actions.restore", cluster, request.point, request.target, plan_hash)
        row = await self._engine.restore_points.show(cluster, request.point)
        target = request.target or row.application
        return self._add(cluster, "RestoreAction", row.application, target=target)

    async def undo(self, cluster: str, namespace: str, name: str) -> ActionRef:
        self._engine.note("actions.undo", cluster, namespace, name)
        return self._add(cluster, "RestoreAction", namespace)

    async def retire(
        self, cluster: str, request: RetireRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        self._engine.note("actions.retire", cluster, *request.points, plan_hash)
        row = await self._engine.restore_points.show(cluster, request.points[0])
        return self._add(cluster, "RetireAction", row.application)

    async def list(self, cluster: str) -> tuple[ActionView, ...]:
        rows = self._engine.rows("actions", cluster)
        found = [row for row in rows if isinstance(row, ActionView)]
        return tuple(sorted(found, key=lambda row: row.created_at, reverse=True))

    async def show(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> ActionView:
        for row in await self.list(cluster):
            if (row.kind, row.namespace, row.name) == (kind, namespace, name):
                return row
        raise NotFound("no such action", subject=f"{kind} {namespace}/{name}")

    async def cancel(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> None:
        self._engine.note("actions.cancel", cluster, kind, namespace, name)
        row = await self.show(cluster, kind, namespace, name)
        self._engine.put(msgspec.structs.replace(row, phase="Cancelling"))

    async def run_all(self, cluster: str) -> None:
        """Move everything that runs forward, until there is nothing left."""
        while True:
            await asyncio.sleep(TICK_S)
            for row in await self.list(cluster):
                if row.phase == "Cancelling":
                    self._end(row, "Cancelled")
                elif row.phase == "Running":
                    self.advance(row, TICK_S * self._engine.speed)

    def advance(self, row: ActionView, seconds: float) -> None:
        """Copy bytes for some seconds; the last byte ends the action."""
        volumes = []
        room = 60 * MIB * seconds
        for volume in row.volumes:
            left = volume.bytesTotal - volume.bytesDone
            step = min(left, room if volume.state == "running" else 0)
            done = int(volume.bytesDone + step)
            state = "done" if done >= volume.bytesTotal else "running"
            volumes.append(msgspec.structs.replace(volume, bytesDone=done, state=state))
        total = sum(v.bytesTotal for v in volumes) or 1
        progress = 100 * sum(v.bytesDone for v in volumes) // total
        moved = msgspec.structs.replace(row, volumes=tuple(volumes), progress=progress)
        if progress >= 100:
            self._end(moved, "Complete")
        else:
            self._engine.put(moved)

    def _end(self, row: ActionView, outcome: str) -> None:
        now = stamp(datetime.now(UTC))
        self._engine.put(
            msgspec.structs.replace(row, phase="Finished", ended_at=now, outcome=outcome)
        )

    def _add(
        self,
        cluster: str,
        kind: ActionKind,
        application: str,
        *,
        location: str = "",
        target: str = "",
    ) -> ActionRef:
        number = next(self._numbers)
        now = datetime.now(UTC)
        steps = tuple(
            Step(name=name, state="running" if at == 0 else "pending", startTime=stamp(now))
            for at, name in enumerate(STEPS[kind])
        )
        size = 212 * MIB
        row = ActionView(
            cluster=cluster,
            kind=kind,
            namespace="kubehaven" if kind == "RestoreAction" else application,
            name=f"{application}-{number:05}",
            uid=f"uid-new-{number}",
            application=application,
            phase="Running",
            created_at=stamp(now),
            started_at=stamp(now + timedelta(seconds=0)),
            steps=steps,
            volumes=(VolumeProgress(pvc="data", bytesTotal=size, state="running"),),
            location=location,
            target=target,
            requested_by="anna",
        )
        self._engine.put(row)
        return ActionRef(
            cluster=cluster, kind=kind, namespace=row.namespace, name=row.name, uid=row.uid
        )
