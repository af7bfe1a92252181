"""`Engine`: the facade (console.engine.facade) in this process.

Wires the rest: the list of clusters on this desktop, one session per connected
cluster, one stream of events. Groups by noun; every call connects what it needs.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from console.engine.actions.authorising import with_rights
from console.engine.actions.collecting import collect
from console.engine.actions.reading import make_plan
from console.engine.catalog import browsing, exported
from console.engine.catalog.contents import list_contents
from console.engine.catalog.locations import open_location
from console.engine.catalog.rediscover import (
    forget_foreign,
    join_exported,
    join_local,
    look_into,
)
from console.engine.controller import asking
from console.engine.controller.adding import add_location, note_check
from console.engine.controller.rows import (
    KINDS,
    ClusterFacts,
    action_view,
    application_rows,
    listed_points,
    location_view,
    point_view,
    with_waiting,
)
from console.engine.controller.sessions import Sessions
from console.engine.errors import NotFound, PlanError
from console.engine.events import EventBus
from console.engine.kube.lease import holder_id
from console.engine.model.intent import Location
from console.engine.model.kinds import CLAIMS, DEPLOYMENTS, LOCATIONS, NAMESPACES, STATEFUL_SETS
from console.engine.model.names import NAMESPACE
from console.engine.model.record import ACTION_KINDS
from console.engine.model.views import PlannedObject
from console.engine.model.wire import decode
from console.engine.plan.restore_plan import to_preview
from console.engine.plan.retire_plan import to_preview as retire_preview
from console.engine.settings import home_folder
from console.storage import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from console.engine.catalog.locations import OpenLocation
    from console.engine.controller.session import ClusterSession
    from console.engine.events import Event
    from console.engine.facade import LocationDraft, RestoreRequest, RetireRequest
    from console.engine.kube import Write
    from console.engine.kube.lease import HostKind
    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.points import RestorePointContent
    from console.engine.model.record import ActionKind, ExecHook
    from console.engine.model.views import (
        ActionRef,
        ActionView,
        ApplicationView,
        BrowseEntry,
        LocationView,
        PointView,
        RestorePreview,
        RetirePreview,
    )
    from console.engine.plan.restore_plan import RestorePlan
    from console.engine.plan.select import Decision


class Engine:
    """One engine in this process. Made by `open_engine`; used on one loop only."""

    def __init__(
        self,
        home: Path,
        *,
        host_kind: HostKind,
        on_write: Callable[[Write], Awaitable[None]] | None = None,
    ) -> None:
        self._bus = EventBus()
        self._sessions = Sessions(
            home, bus=self._bus, holder=holder_id(host_kind), on_write=on_write
        )
        self.clusters = self._sessions.clusters
        self.applications = ApplicationsGroup(self._sessions)
        self.locations = LocationsGroup(self._sessions)
        self.restore_points = PointsGroup(self._sessions)
        self.actions = ActionsGroup(self._sessions)

    def events(self) -> AsyncGenerator[Event]:
        """All events from now on, beginning with the lists as they are."""
        return self._bus.read()

    async def aclose(self) -> None:
        """Stop driving, give every Lease up, end every task."""
        await self._sessions.aclose()


@asynccontextmanager
async def open_engine(
    home: Path | None = None,
    *,
    host_kind: HostKind = "cli",
    on_write: Callable[[Write], Awaitable[None]] | None = None,
) -> AsyncIterator[Engine]:
    """An engine for the length of the block.

    Args:
        home: Where the list of clusters lies; by default this user's configuration folder.
        on_write: Called after every write to any cluster (tests hang faults there).
    """
    # big lists are many small objects: the collector's defaults stall the loop for 100 ms
    gc.set_threshold(100_000, 50, 100)
    engine = Engine(home_folder(home), host_kind=host_kind, on_write=on_write)
    try:
        yield engine
    finally:
        await engine.aclose()


class ApplicationsGroup:
    """Applications."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def list(self, cluster: str) -> tuple[ApplicationView, ...]:
        """All applications, the removed ones that still have points included."""
        session = await self._sessions.connected(cluster)
        client = session.client
        namespaces, deployments, sets, claims = await asyncio.gather(
            client.list(NAMESPACES),
            client.list(DEPLOYMENTS),
            client.list(STATEFUL_SETS),
            client.list(CLAIMS),
        )
        points = await _points(session)
        actions = await _actions(session)
        facts = ClusterFacts(namespaces, [*deployments, *sets], claims)
        return tuple(application_rows(cluster, facts, points=points, actions=actions))

    async def show(self, cluster: str, name: str) -> ApplicationView:
        """One application, with its workloads and volumes."""
        for row in await self.list(cluster):
            if row.name == name:
                return row
        raise NotFound(
            "there is no such application",
            subject=f"namespace {name}",
            hint="see which there are with: kubehaven app list",
        )

    async def objects(self, cluster: str, name: str) -> tuple[PlannedObject, ...]:
        """What a backup would take now, and leave out."""
        session = await self._sessions.connected(cluster)
        return tuple((await collect(session.client, name, _planned)).kept)


def _planned(kind: Kind, raw: RawObject, decision: Decision) -> PlannedObject:
    return PlannedObject(
        verb="create" if decision.take else "skip",
        resource=kind.resource,
        namespace=raw["metadata"].get("namespace", ""),
        name=raw["metadata"]["name"],
        reason=decision.reason,
    )


class LocationsGroup:
    """Locations."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def list(self, cluster: str) -> tuple[LocationView, ...]:
        """All locations of a cluster."""
        session = await self._sessions.prepared(cluster)
        points = await _points(session)
        return tuple(
            _location_row(cluster, decode(raw, Location), points)
            for raw in await session.client.list(LOCATIONS, NAMESPACE)
        )

    async def add(self, cluster: str, draft: LocationDraft) -> LocationView:
        """Add a location: test it, write and read back the recovery kit, make it usable."""
        session = await self._sessions.prepared(cluster)
        await add_location(session.client, draft)
        return await self.check(cluster, draft.name)

    async def check(self, cluster: str, name: str, *, all_clusters: bool = False) -> LocationView:
        """Look into the location now; points found there, and local ones, join the catalogue."""
        session = await self._sessions.prepared(cluster)
        client = session.client
        location = await open_location(client, name)
        now = (await client.server_time()).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            known = await list_contents(client)
            owner = "" if all_clusters else session.uid
            seen = await session.threads.run(look_into, location, cluster_uid=owner)
        except StoreError as error:
            await note_check(client, name, error.message, at=now)
            raise
        await join_exported(client, name, seen.points)
        if all_clusters:
            await forget_foreign(client, name, seen, known=known, cluster_uid=session.uid)
        await join_local(client)
        unread = "; ".join(f"{path}: {fault.message}" for path, fault in seen.damaged.items())
        await note_check(client, name, unread and f"damaged: {unread}", at=now)
        for fault in seen.damaged.values():
            raise fault  # what the others hold has joined the catalogue
        raw = await client.get(LOCATIONS, name, NAMESPACE)
        return _location_row(cluster, decode(raw, Location), await _points(session))


class PointsGroup:
    """Restore points."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def list(self, cluster: str, *, application: str = "") -> tuple[PointView, ...]:
        """All Ready and Damaged points, the newest first."""
        session = await self._sessions.prepared(cluster)
        rows = await _points(session)
        return tuple(row for row in rows if not application or row.application == application)

    async def show(self, cluster: str, name: str) -> PointView:
        """One point by the name of its content, or by its id."""
        session = await self._sessions.prepared(cluster)
        content = await asking.resolve_point(session.client, name)
        return point_view(cluster, content, uid=session.uid)

    async def preview(self, cluster: str, request: RestoreRequest) -> RestorePreview:
        """What a restore would do; writes nothing."""
        session = await self._sessions.prepared(cluster)
        content = await asking.resolve_point(session.client, request.point)
        return to_preview(await _plan(session, content, request), cluster=cluster)

    async def preview_retire(self, cluster: str, request: RetireRequest) -> RetirePreview:
        """What a retirement would free, by id; writes nothing."""
        session = await self._sessions.prepared(cluster)
        plan = await asking.plan_retirement(session.client, request, cluster_uid=session.uid)
        return retire_preview(plan, cluster=cluster)

    async def browse(self, cluster: str, name: str, path: str = "") -> tuple[BrowseEntry, ...]:
        """A folder of an exported point."""
        session = await self._sessions.prepared(cluster)
        content, location = await self._exported(session, name)
        rows = await session.threads.run(_browse, location, content, path)
        return tuple(rows)

    async def get(self, cluster: str, name: str, path: str, target: str) -> int:
        """Copy a file, folder or object out of an exported point into a folder; its bytes."""
        session = await self._sessions.prepared(cluster)
        content, location = await self._exported(session, name)
        return await session.threads.run(_get, location, content, path, Path(target))

    async def _exported(
        self, session: ClusterSession, name: str
    ) -> tuple[RestorePointContent, OpenLocation]:
        content = await asking.resolve_point(session.client, name)
        if content.spec.kind != "exported":
            content = await asking.resolve_point(session.client, content.spec.id, kind="exported")
        return content, await open_location(session.client, content.spec.location)


class ActionsGroup:
    """Actions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def back_up(
        self,
        cluster: str,
        application: str,
        *,
        export_to: str = "",
        hooks: tuple[ExecHook, ...] = (),
    ) -> ActionRef:
        """Ask for a backup; with `export_to`, its export follows by itself."""
        session = await self._sessions.prepared(cluster)
        return await asking.ask_backup(
            session.client,
            cluster,
            application,
            user=session.asker(),
            export_to=export_to,
            hooks=hooks,
        )

    async def export(self, cluster: str, point: str, *, location: str) -> ActionRef:
        """Ask for a copy of a local point in a location."""
        session = await self._sessions.prepared(cluster)
        return await asking.ask_export(
            session.client, cluster, point, location=location, user=session.asker()
        )

    async def restore(
        self, cluster: str, request: RestoreRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        """Ask for a restore; with `plan_hash`, refused when the preview is no longer true."""
        session = await self._sessions.prepared(cluster)
        if plan_hash:
            content = await asking.resolve_point(session.client, request.point)
            plan = await _plan(session, content, request)
            if plan.hash != plan_hash or plan.blockers:
                raise PlanError(
                    "the target or the point has changed since the preview",
                    subject=request.point,
                    hint="look at the preview again",
                    code="plan.stale",
                )
        return await asking.ask_restore(session.client, cluster, request, user=session.asker())

    async def undo(self, cluster: str, namespace: str, name: str) -> ActionRef:
        """Ask for a restore in place to be undone."""
        session = await self._sessions.prepared(cluster)
        return await asking.ask_undo(session.client, cluster, namespace, name, user=session.asker())

    async def retire(
        self, cluster: str, request: RetireRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        """Ask for points to be freed; with `plan_hash`, refused when the preview changed."""
        session = await self._sessions.prepared(cluster)
        return await asking.ask_retire(
            session.client,
            cluster,
            request,
            user=session.asker(),
            cluster_uid=session.uid,
            plan_hash=plan_hash,
        )

    async def list(self, cluster: str) -> tuple[ActionView, ...]:
        """All actions, the newest first."""
        return tuple(await _actions(await self._sessions.prepared(cluster)))

    async def show(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> ActionView:
        """One action with its live state."""
        session = await self._sessions.prepared(cluster)
        raw = await session.client.get(asking.KIND_OF[kind], name, namespace)
        row = action_view(cluster, kind, decode(raw, KINDS[kind]))
        return with_waiting(row, session.waiting)

    async def cancel(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> None:
        """Ask for an action to stop."""
        session = await self._sessions.prepared(cluster)
        await asking.ask_cancel(session.client, kind, namespace, name)


async def _plan(
    session: ClusterSession, content: RestorePointContent, request: RestoreRequest
) -> RestorePlan:
    """A restore's plan for this console's user, what he may not do among its blockers."""
    plan = await make_plan(session.client, content, request, session.threads.run)
    in_cluster = session.driven_by.startswith("cluster:")
    return await with_rights(session.client, plan, user=None, engine=not in_cluster, home=NAMESPACE)


async def _points(session: ClusterSession) -> list[PointView]:
    if not session.prepared:
        return []
    return listed_points(session.name, await list_contents(session.client), uid=session.uid)


async def _actions(session: ClusterSession) -> list[ActionView]:
    if not session.prepared:
        return []
    rows = [
        with_waiting(action_view(session.name, kind, decode(raw, KINDS[kind])), session.waiting)
        for kind in ACTION_KINDS
        for raw in await session.client.list(asking.KIND_OF[kind])
    ]
    return sorted(rows, key=lambda row: (row.created_at, row.name), reverse=True)


def _location_row(cluster: str, location: Location, points: list[PointView]) -> LocationView:
    name = location.metadata.name
    return location_view(cluster, location, points=sum(point.location == name for point in points))


def _browse(location: OpenLocation, content: RestorePointContent, path: str) -> list[BrowseEntry]:
    with exported.opened_point(location, content) as (repository, point):
        return browsing.list_folder(repository, point, path)


def _get(location: OpenLocation, content: RestorePointContent, path: str, target: Path) -> int:
    with exported.opened_point(location, content) as (repository, point):
        return browsing.copy_out(repository, point, path, target)
