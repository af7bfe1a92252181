"""The clusters of this desktop and the sessions of those that are connected."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from console.engine.catalog.rediscover import join_local
from console.engine.controller import removing
from console.engine.controller.asking import KIND_OF
from console.engine.controller.rows import KINDS
from console.engine.controller.session import ClusterSession
from console.engine.controller.sweeping import find_leftovers
from console.engine.errors import DrivenElsewhere, EngineError, PlanError
from console.engine.kube import read_kubeconfig, trust_digest
from console.engine.kube.clusters import ClusterBook, ClusterEntry, check_trust, trusted_access
from console.engine.kube.prepare import plan_prepare, prepare, print_manifests
from console.engine.model.record import ACTION_KINDS
from console.engine.model.views import ClusterView, Leftovers
from console.engine.model.wire import decode
from console.engine.plan.remove_plan import plan_remove

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.engine.events import EventBus
    from console.engine.kube import ClusterAccess, Write
    from console.engine.model.views import ClusterCheck, Manifests, PreparePlan, RemovePlan


class Sessions:
    """Connects on demand; keeps one session per cluster."""

    def __init__(
        self,
        home: Path,
        *,
        bus: EventBus,
        holder: str,
        on_write: Callable[[Write], Awaitable[None]] | None,
    ) -> None:
        self.clusters = ClustersGroup(self)
        self.book = ClusterBook(home)
        self._bus = bus
        self._holder = holder
        self._on_write = on_write
        self._open: dict[str, ClusterSession] = {}

    async def connected(self, name: str) -> ClusterSession:
        """The session of a cluster, connected now if it is not yet."""
        session = self._open.get(name)
        if session is not None and session.health == "live":
            return session
        access = trusted_access(self.book.get(name))
        if session is None:
            session = self.make(name, access)
            self._open[name] = session
        try:
            await session.connect()
        finally:
            self.tell()
        return session

    async def prepared(self, name: str) -> ClusterSession:
        """A connected cluster that *prepare* has been through.

        Raises:
            EngineError: `cluster.unprepared`.
        """
        session = await self.connected(name)
        if not session.prepared:
            raise EngineError(
                "the cluster is not prepared: it does not know Kubehaven's kinds",
                subject=name,
                hint=f"see what would be created with: kubehaven cluster prepare {name}",
                code="cluster.unprepared",
            )
        return session

    def make(self, name: str, access: ClusterAccess) -> ClusterSession:
        """A new session that is not connected."""
        return ClusterSession(
            name,
            access,
            bus=self._bus,
            holder=self._holder,
            on_change=self.tell,
            on_write=self._on_write,
        )

    async def drop(self, name: str) -> None:
        """End a cluster's session."""
        session = self._open.pop(name, None)
        if session is not None:
            await session.aclose()
        self._bus.forget(name)

    def tell(self) -> None:
        """Send the clusters as they are now to whoever reads."""
        self._bus.publish("clusters", "", self.views())

    def views(self) -> tuple[ClusterView, ...]:
        """All clusters as rows, in the user's order."""
        return tuple(self._view(cluster) for cluster in self.book.list())

    def _view(self, cluster: ClusterEntry) -> ClusterView:
        session = self._open.get(cluster.name)
        try:
            access = read_kubeconfig(Path(cluster.kubeconfig), cluster.context)
            server, insecure, problem = access.server, access.insecure, ""
        except EngineError as error:
            server, insecure, problem = "", False, error.message
        view = ClusterView(
            name=cluster.name,
            server=server,
            kubeconfig=cluster.kubeconfig,
            context=cluster.context,
            color=cluster.color,
            insecure=insecure,
            problem=problem,
            health="refused" if problem else "unknown",
        )
        if session is None:
            return view
        return ClusterView(
            name=view.name,
            server=view.server,
            kubeconfig=view.kubeconfig,
            context=view.context,
            color=view.color,
            insecure=view.insecure,
            health=session.health,
            as_of=session.as_of,
            version=session.version,
            engine=session.state,
            holder=session.driven_by,
            checked=session.checked,
            problem=session.problem or view.problem,
        )

    async def aclose(self) -> None:
        """End every session."""
        for name in tuple(self._open):
            session = self._open.pop(name)
            await session.aclose()


class ClustersGroup:
    """Clusters."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def list(self) -> tuple[ClusterView, ...]:
        """All clusters, in the user's order."""
        return self._sessions.views()

    async def add(
        self, name: str, kubeconfig: str, *, context: str = "", trust_programs: bool = False
    ) -> ClusterView:
        """Remember a kubeconfig's path and context after a first connection worked."""
        path = await asyncio.to_thread(_absolute, kubeconfig)
        access = read_kubeconfig(path, context)
        digest = trust_digest(access)
        check_trust(access, digest if trust_programs else "")
        trial = self._sessions.make(name, access)
        try:
            await trial.connect()
        finally:
            await trial.aclose()
        self._sessions.book.add(
            ClusterEntry(name=name, kubeconfig=str(path), context=access.context, trusted=digest)
        )
        self._sessions.tell()
        return next(view for view in self._sessions.views() if view.name == name)

    async def forget(self, name: str) -> None:
        """Forget a cluster here; nothing in the cluster changes."""
        self._sessions.book.get(name)
        await self._sessions.drop(name)
        self._sessions.book.forget(name)
        self._sessions.tell()

    async def plan_prepare(self, name: str, *, allow_node_path: bool = False) -> PreparePlan:
        """Every object that *prepare* would create or update; writes nothing."""
        session = await self._sessions.connected(name)
        return await plan_prepare(session.client, name, allow_node_path=allow_node_path)

    async def manifests(self, name: str, *, allow_node_path: bool = False) -> Manifests:
        """Every object that *prepare* wants there, for `kubectl apply`; writes nothing."""
        session = await self._sessions.connected(name)
        return await print_manifests(session.client, name, allow_node_path=allow_node_path)

    async def prepare(
        self, name: str, *, plan_hash: str, allow_node_path: bool = False
    ) -> PreparePlan:
        """Carry a shown plan out."""
        session = await self._sessions.connected(name)
        plan = await prepare(
            session.client, name, plan_hash=plan_hash, allow_node_path=allow_node_path
        )
        await session.connect()
        session.observe_ours()
        found = await join_local(session.client)  # what an earlier *remove* has kept
        return msgspec.structs.replace(plan, recovered=found.added)

    async def plan_remove(self, name: str, *, retire_local: bool = False) -> RemovePlan:
        """What *remove* would delete and keep; writes nothing."""
        session = await self._sessions.connected(name)
        facts = await removing.read_standing(session, retire_local=retire_local)
        return plan_remove(facts, retire_local=retire_local)

    async def remove(self, name: str, *, plan_hash: str, retire_local: bool = False) -> RemovePlan:
        """Carry a shown plan out."""
        session = await self._sessions.connected(name)
        facts = await removing.read_standing(session, retire_local=retire_local)
        plan = plan_remove(facts, retire_local=retire_local)
        if plan.hash != plan_hash:
            raise removing.stale(name)
        for blocker in plan.blockers:
            raise PlanError(
                blocker.message, subject=blocker.object, hint=blocker.hint, code=blocker.code
            )
        if plan.retires:
            await session.drive()
            await removing.retire_all(session, plan.retires)
        await self._sessions.drop(name)  # nothing of ours may drive or watch what goes
        session = await self._sessions.connected(name)
        await removing.remove(session, plan_hash=plan_remove(facts, retire_local=False).hash)
        await session.connect()
        self._sessions.tell()
        return plan

    async def leftovers(self, name: str) -> Leftovers:
        """What actions that are gone have left; writes nothing."""
        session = await self._sessions.prepared(name)
        actions = [
            decode(raw, KINDS[kind])
            for kind in ACTION_KINDS
            for raw in await session.client.list(KIND_OF[kind])
        ]
        return Leftovers(cluster=name, items=await find_leftovers(session.client, actions))

    async def check(self, name: str, *, storage_classes: tuple[str, ...] = ()) -> ClusterCheck:
        """Try out, in our own namespace, what backups and restores need of the cluster."""
        session = await self._sessions.prepared(name)
        return await session.check(storage_classes)

    async def watch(self, name: str, *, take_over: bool = False) -> None:
        """Begin to send this cluster's rows as events, and to drive it if nobody does.

        Raises:
            DrivenElsewhere: With `take_over`, an engine that may not be pushed aside.
            ClusterError: It can't be reached.
        """
        session = await self._sessions.connected(name)
        session.observe()
        if session.prepared:
            try:
                await session.drive(take_over=take_over)
            except DrivenElsewhere:
                if take_over:
                    raise
        session.drive_when_free()
        self._sessions.tell()


def _absolute(path: str) -> Path:
    return Path(path).expanduser().absolute()
