"""One cluster that is connected: its client, its rows, and the driver while the Lease is held."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from console.engine.aiokit import BoundedExecutor, TaskOwner
from console.engine.controller.checking import check
from console.engine.controller.driver import Driver
from console.engine.controller.observer import Observer
from console.engine.errors import (
    ClusterError,
    DrivenElsewhere,
    EngineError,
    Forbidden,
    LostLease,
    NotFound,
    SignInFailed,
)
from console.engine.events import Notice
from console.engine.kube import KubeClient
from console.engine.kube.lease import Lease
from console.engine.kube.schemas import refuse_outdated
from console.engine.model.intent import Settings, SettingsSpec
from console.engine.model.kinds import CRDS, LEASES, NAMESPACES, RESTORE_POINT_CONTENTS, SETTINGS
from console.engine.model.names import ANNOTATION_CHECKED, LEASE, NAMESPACE
from console.engine.model.names import SETTINGS as SETTINGS_NAME
from console.engine.model.wire import decode
from console.engine.plan.raw import annotations_of
from console.engine.volumes.drive import Drive, timestamp
from console.engine.volumes.slots import SlotTable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from console.engine.events import EventBus
    from console.engine.kube import ClusterAccess, Write
    from console.engine.model.record import Requester, VolumeProgress
    from console.engine.model.views import ClusterCheck, EngineState, Health, Leftover
    from console.engine.plan.queue import Waiting

log = logging.getLogger(__name__)

REPOSITORY_THREADS = 4
TRY_AGAIN_S = 5.0
HEARTBEAT_S = 5.0


class ClusterSession:
    """A connected cluster. Made by `connect`, ended by `aclose`."""

    def __init__(
        self,
        name: str,
        access: ClusterAccess,
        *,
        bus: EventBus,
        holder: str,
        on_change: Callable[[], None],
        on_write: Callable[[Write], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.client = KubeClient(access, on_write=on_write)
        self.user: Requester | None = None
        self.uid = ""
        self.version = ""
        self.health: Health = "unknown"
        self.problem = ""
        self.as_of = ""
        self.state: EngineState = "unknown"
        self.driven_by = ""
        self.checked = ""  # time and outcome of the last check
        self.threads = BoundedExecutor(f"repository-{name}", threads=REPOSITORY_THREADS)
        self._opened = False
        self._open = contextlib.AsyncExitStack()
        self._access = access
        self._bus = bus
        self._holder = holder
        self._on_change = on_change
        self._owner = TaskOwner(f"cluster:{name}")
        self._driving: TaskOwner | None = None
        self._driver: Driver | None = None
        self._lease: Lease | None = None
        self._asked: Lease | None = None  # the last one, held or not
        self._lost: TaskOwner | None = None  # what drove until it was lost
        self._observer: Observer | None = None
        self._slots: SlotTable | None = None
        self._waiting: Mapping[str, Waiting] = {}

    async def connect(self) -> None:
        """First contact: who we are, which cluster this is.

        Raises:
            ClusterError: It does not work; `health` says so too.
        """
        self.health = "connecting"
        try:
            if not self._opened:
                self._opened = True
                await self._open.enter_async_context(self.client)
            self.version = await self.client.version()
            self.user = await self.client.whoami()
            default = await self.client.get(NAMESPACES, "default")
            self.uid = default["metadata"]["uid"]
            await self._look_who_drives()
        except ClusterError as error:
            self.health = "stale" if error.retryable else "refused"
            self.problem = error.message
            raise
        self.health = "live"
        self.problem = ""
        self.as_of = timestamp(await self.client.server_time())

    @property
    def access(self) -> ClusterAccess:
        """How the cluster is reached."""
        return self._access

    @property
    def holder(self) -> str:
        """Who we are for the Lease."""
        return self._holder

    @property
    def prepared(self) -> bool:
        """Whether our kinds are served."""
        return self.state not in {"unprepared", "unknown"}

    @property
    def busy(self) -> bool:
        """Whether this engine carries out an action here."""
        return self._driver is not None and self._driver.busy

    def asker(self) -> Requester:
        """Who asks when this console writes an action."""
        if self.user is None:
            raise EngineError("the cluster is not connected", subject=self.name)
        return self.user

    async def _look_who_drives(self) -> None:
        crd = await self.client.find(CRDS, f"{RESTORE_POINT_CONTENTS.resource}")
        if crd is None:
            self.state, self.checked = "unprepared", ""
            return
        lease = await self.client.find(LEASES, LEASE, NAMESPACE)
        holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
        self.driven_by = "" if holder == self._holder else holder
        self.state = "elsewhere" if self.driven_by else "idle"
        with contextlib.suppress(Forbidden):  # who may not read the Settings is not told
            settings = await self.client.find(SETTINGS, SETTINGS_NAME, NAMESPACE) or {}
            self.checked = str(annotations_of(settings).get(ANNOTATION_CHECKED, ""))

    def observe(self) -> None:
        """Begin to send rows; once."""
        if self._observer is None:
            self._observer = Observer(
                self.name, self.client, self._bus, self._owner, on_health=self._on_health
            )
            self._observer.start()
            self._owner.start(self._heartbeat(), name="heartbeat")
        self.observe_ours()

    async def _heartbeat(self) -> None:
        """Ask now and then, so that "live" is never older than a few seconds."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                await self.client.version()
            except ClusterError as error:
                self._on_health(error)
            else:
                self.as_of = timestamp(await self.client.server_time())
                self._on_health(None)
                self._on_change()

    def observe_ours(self) -> None:
        """Follow our own kinds too, as soon as *prepare* has put them here."""
        if self._observer is not None and self.prepared:
            self._observer.follow_ours()

    async def check(self, storage_classes: tuple[str, ...]) -> ClusterCheck:
        """Try out what backups and restores need of the cluster."""
        return await check(self, self._access, self._bus, storage_classes=storage_classes)

    async def drive(self, *, take_over: bool = False) -> None:
        """Take the Lease and begin to carry actions out.

        Raises:
            DrivenElsewhere: Somebody else does.
            EngineError: `cluster.outdated`: a newer *prepare* has to come first.
        """
        if self._driver is not None:
            return
        lease = self._asked = Lease(self._access, holder=self._holder)
        try:
            epoch = await lease.acquire(take_over=take_over)
        except DrivenElsewhere as error:
            self.state, self.driven_by = "elsewhere", error.holder
            self._on_change()
            raise
        try:
            await refuse_outdated(self.client)
            settings = await self.settings()
        except EngineError:
            await lease.release()
            raise
        self._lease = lease
        self._slots = SlotTable(settings.slots, on_change=self._wake)
        self._driving = TaskOwner(f"drive:{self.name}")
        drive = Drive(
            client=self.client.fenced(lease.check),
            cluster_uid=self.uid,
            holder=self._holder,
            epoch=epoch,
            settings=settings,
            slots=self._slots,
            threads=self.threads,
            on_progress=self._note_progress,
        )
        self._driver = Driver(
            drive,
            self._driving,
            user=self.asker(),
            desktop=drive.desktop,
            on_lost=self._on_lost,
            on_waiting=self._note_waiting,
            on_swept=self._tell_swept,
        )
        self._driver.start()
        self._owner.start(self._watch_lease(lease), name="lease", replaces=True)
        self.state, self.driven_by = "driving", ""
        self._on_change()

    def drive_when_free(self) -> None:
        """Drive as soon as nobody else does, for as long as this process lives."""
        self._owner.start(self._drive_when_free(), name="drive-when-free", replaces=True)

    async def _drive_when_free(self) -> None:
        while True:
            try:
                if self.prepared:
                    await self.drive()
            except (DrivenElsewhere, ClusterError):
                pass
            except EngineError as error:  # an outdated cluster: a person has to do something
                log.warning("%s is not driven: %s", self.name, error)
                return
            await asyncio.sleep(TRY_AGAIN_S)

    async def _watch_lease(self, lease: Lease) -> None:
        await lease.lost.wait()
        self._on_lost(LostLease("the Lease could not be renewed", subject=self.name))

    def _on_lost(self, error: LostLease | SignInFailed) -> None:
        if self._driver is None:
            return
        driving, lease = self._driving, self._lease
        self._driver, self._driving, self._lease, self._slots = None, None, None, None
        refused = isinstance(error, SignInFailed)
        self.state = "idle" if refused else "elsewhere"
        if refused:
            self._on_health(error)
        self._bus.notify(
            Notice(
                level="warn",
                code=error.code,
                message=error.message,
                subject=self.name,
                hint="sign in again; its actions go on where they are, here or with another engine"
                if refused
                else "the actions go on with the engine that has taken over",
            )
        )
        self._lost = driving
        self._owner.start(self._let_go(driving, lease), name="let-go")
        self._on_change()

    async def _let_go(self, driving: TaskOwner | None, lease: Lease | None) -> None:
        if driving is not None:
            await driving.aclose()
        if lease is not None:
            await lease.release()

    async def settings(self) -> SettingsSpec:
        """The cluster's settings as they are now."""
        try:
            raw = await self.client.get(SETTINGS, SETTINGS_NAME, NAMESPACE)
        except NotFound:
            return SettingsSpec()
        return decode(raw, Settings).spec

    def _wake(self) -> None:
        if self._driver is not None:
            self._driver.wake()

    def _note_progress(self, uid: str, volumes: tuple[VolumeProgress, ...]) -> None:
        if self._observer is not None:
            self._observer.note_progress(uid, volumes)

    def _note_waiting(self, waiting: Mapping[str, Waiting]) -> None:
        if dict(waiting) != dict(self._waiting):
            self._waiting = waiting
            if self._observer is not None:
                self._observer.note_waiting(waiting)

    def _tell_swept(self, leftover: Leftover) -> None:
        where = "/".join(part for part in (leftover.namespace, leftover.name) if part)
        self._bus.notify(
            Notice(
                level="info",
                code="sweep.removed",
                message=f"swept: {leftover.resource} {where}: {leftover.reason}",
                subject=self.name,
            )
        )

    @property
    def waiting(self) -> Mapping[str, Waiting]:
        """What each queued action waits for, by uid."""
        return self._waiting

    def _on_health(self, error: EngineError | None) -> None:
        health: Health = "live"
        if error is not None:
            health = "stale" if error.retryable else "refused"
        problem = error.message if error else ""
        if (health, problem) != (self.health, self.problem):
            self.health, self.problem = health, problem
            self._on_change()

    async def aclose(self) -> None:
        """Stop driving, give the Lease up, end every task."""
        driving, lease = self._driving, self._lease
        self._driver, self._driving, self._lease = None, None, None
        await self._owner.aclose()
        await self._let_go(driving, lease)
        await self._let_go(self._lost, self._asked)  # which may have been cut off just now
        await self.threads.aclose()
        await self._open.aclose()
