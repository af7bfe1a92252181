"""The exec hooks of a backup: an application stands still while its volumes are cut.

One exec session per hook and pod holds the application frozen (plan.hook_script).
Leaving the block on any way out lets go of the sessions; a session that we can't
reach any more thaws by itself.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from console.engine.errors import EngineError
from console.engine.kube.executing import Command
from console.engine.model.kinds import PODS
from console.engine.model.record import Failure, HookResult
from console.engine.plan.hook_script import GO, Told, argv, heard
from console.engine.plan.hooks import MAX_OUTPUT, chosen, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from console.engine.actions.run import ActionRun
    from console.engine.kube import KubeClient
    from console.engine.kube.executing import ExecSession, Output
    from console.engine.model.record import BackupAction, ExecHook

MAX_RESULTS = 64  # in the record
SLACK_S = 30.0  # for starting the session and hearing of its end, on top of the command's time
LEAVE_S = 5.0  # how long a failing cut waits to hear that all thawed; they thaw unheard too


class Place(NamedTuple):
    """Where a hook runs."""

    hook: ExecHook
    namespace: str
    pod: str
    container: str

    @property
    def subject(self) -> str:
        """How errors name it."""
        return f"Pod {self.namespace}/{self.pod}"


class Freeze:
    """The hooks of one cut, in the order of the action."""

    def __init__(self, client: KubeClient, group: asyncio.TaskGroup) -> None:
        self._client = client
        self._group = group
        self._holds: list[Hold] = []

    async def begin(self, hooks: tuple[ExecHook, ...], namespace: str) -> None:
        """Freeze, hook by hook, all pods of one hook at once."""
        for hook in hooks:
            pods = await self._client.list(PODS, namespace, labels=hook.podSelector)
            places = [
                Place(hook, namespace, pod, container) for pod, container in chosen(hook, pods)
            ]
            holds = [Hold(self._client, place) for place in places]
            self._holds += holds
            for hold in holds:
                hold.task = self._group.create_task(hold.live())
            for hold in holds:
                await hold.wait_frozen()

    async def thaw(self) -> list[Failure]:
        """Let go, the last frozen first; what the post commands failed at.

        Raises:
            EngineError: `cut.thawed`: something was not frozen any more, so the cut is no
                single moment.
        """
        holds = [hold for hold in reversed(self._holds) if hold.place.hook.post]
        for hold in holds:
            await hold.let_go()
        failures = [failure for hold in holds if (failure := await hold.wait_thawed())]
        early = [hold for hold in holds if hold.told.woke != "go"]
        if early:
            raise early[0].thawed()
        return failures

    async def leave(self) -> None:
        """Let go whatever happened; returns within `LEAVE_S`."""
        try:
            async with asyncio.timeout(LEAVE_S):
                for hold in self._holds:
                    await hold.let_go()
                for hold in self._holds:
                    await hold.until(lambda hold: hold.told.post is not None)
        except TimeoutError:
            pass  # the connections are cut, and the containers thaw by themselves
        for hold in self._holds:
            if hold.task is not None:
                hold.task.cancel()

    def results(self) -> tuple[HookResult, ...]:
        """What each session told, for the record."""
        return tuple(hold.result() for hold in self._holds[:MAX_RESULTS])


class Hold:
    """One session: one hook in one pod."""

    def __init__(self, client: KubeClient, place: Place) -> None:
        self.place = place
        self.told = Told()
        self.task: asyncio.Task[None] | None = None
        self._client = client
        self._session: ExecSession | None = None
        self._error: EngineError | None = None
        self._ended = False
        self._released = False
        self._output = bytearray()
        self._line = b""
        self._news = asyncio.Event()

    async def live(self) -> None:
        """Listen until the session ends.

        Raises:
            EngineError: `cut.thawed`: it ended while it was to hold the application frozen.
        """
        was_frozen = False
        try:
            async with self._client.exec_session(self._command()) as session:
                self._session = session
                while (piece := await session.read()) is not None:
                    self._hear(piece)
                    was_frozen = was_frozen or self.told.frozen
                    if was_frozen and not self._released and self.told.woke:
                        raise self.thawed()
        except EngineError as error:
            self._error = error
            if error.code == "cut.thawed":
                raise
        finally:
            self._ended = True
            self._news.set()
        if was_frozen and not self._released and self.place.hook.post:
            raise self.thawed()

    async def wait_frozen(self) -> None:
        """Until the pre command is done.

        Raises:
            EngineError: `hook.failed`, or why it could not be run at all.
        """
        hook = self.place.hook
        try:
            async with asyncio.timeout(2 * hook.timeoutSeconds + SLACK_S):
                await self.until(lambda hold: hold.told.pre is not None)
                if self.told.pre != 0 and hook.post:
                    await self.until(lambda hold: hold.told.post is not None)
        except TimeoutError:
            raise self._failed("did not answer in time") from None
        if self._error is not None:
            raise self._error
        if self.told.pre != 0:
            ended = "ended early" if self.told.pre is None else f"ended with {self.told.pre}"
            raise self._failed(f"{ended}: {shown(self._output)[:256]}")

    async def let_go(self) -> None:
        """Tell the session to thaw; one that is gone has thawed."""
        self._released = True
        if self._session is not None and not self._ended:
            try:
                await self._session.send(GO)
            except EngineError as error:
                self._error = error

    async def wait_thawed(self) -> Failure | None:
        """Until the post command is done; what is to be told of it."""
        try:
            async with asyncio.timeout(self.place.hook.timeoutSeconds + SLACK_S):
                await self.until(lambda hold: hold.told.post is not None)
        except TimeoutError:
            pass
        if self.told.post == 0:
            return None
        ended = f"ended with {self.told.post}" if self.told.post else "was not seen to end"
        return Failure(
            code="hook.post_failed",
            message=f"the post command {ended}: {shown(self._output)[:1024]}",
            object=f"pods/{self.place.namespace}/{self.place.pod}",
            hint="the point is good; see that the application is not frozen any more",
        )

    async def until(self, holds: Callable[[Hold], bool]) -> None:
        """Until something holds, or the session has ended."""
        while not holds(self) and not self._ended:
            await self._news.wait()
            self._news.clear()

    def thawed(self) -> EngineError:
        """The error for a hold that did not last."""
        why = {
            "limit": f"its limit of {self.place.hook.limitSeconds} s was over",
            "superseded": "another backup froze the same container",
        }.get(self.told.woke or "", "the connection to it broke")
        return EngineError(
            f"the application was frozen no more before all volumes were cut: {why}",
            subject=self.place.subject,
            hint="the snapshots of this attempt are thrown away",
            code="cut.thawed",
        )

    def result(self) -> HookResult:
        """What it told, for the record."""
        return HookResult(
            pod=self.place.pod,
            container=self.place.container,
            pre=-1 if self.told.pre is None else self.told.pre,
            post=-1 if self.told.post is None else self.told.post,
            woke=self.told.woke or "",
            output=shown(self._output),
        )

    def _command(self) -> Command:
        place = self.place
        words = argv(
            identity=(place.namespace, place.pod, place.container),
            pre=place.hook.pre,
            post=place.hook.post,
            limit_s=place.hook.limitSeconds,
            each_s=place.hook.timeoutSeconds,
        )
        return Command(place.namespace, place.pod, words, place.container)

    def _hear(self, piece: Output) -> None:
        if piece.stream == "stdout":
            self._output += piece.data[: max(0, MAX_OUTPUT - len(self._output))]
            return
        *lines, self._line = (self._line + piece.data)[-MAX_OUTPUT:].split(b"\n")
        for line in lines:
            self.told = heard(self.told, line.decode("utf-8", "replace"))
        self._news.set()

    def _failed(self, what: str) -> EngineError:
        return EngineError(
            f"the pre command {what}",
            subject=self.place.subject,
            hint="nothing was cut; the post command was run all the same",
            code="hook.failed",
        )


@asynccontextmanager
async def frozen(run: ActionRun[BackupAction], namespace: str) -> AsyncIterator[Freeze]:
    """Hold the application frozen for the block, or until `thaw`; without hooks, nothing happens.

    Raises:
        EngineError: `hook.*`, or `cut.thawed` as soon as one session has ended by itself.
    """
    try:
        async with asyncio.TaskGroup() as group:
            freeze = Freeze(run.drive.client, group)
            try:
                await freeze.begin(run.action.spec.hooks, namespace)
                yield freeze
            finally:
                await freeze.leave()
                run.note(hooks=freeze.results())
    except ExceptionGroup as errors:
        raise _first(errors) from None


def _first(group: ExceptionGroup[Exception]) -> Exception:
    leaves = [_first(e) if isinstance(e, ExceptionGroup) else e for e in group.exceptions]
    return next((error for error in leaves if isinstance(error, EngineError)), leaves[0])
