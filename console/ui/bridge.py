"""Between asyncio and Qt: owners of tasks, the event pump, the sink of faults, open dialogs.

One qasync loop on the main thread carries the window. No coroutine is a slot
and nothing calls `exec`: slots start a task through a `TaskOwner`, dialogs are
opened and awaited (AA 4.2, 5.4).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from console.engine import EngineError
from console.ui.messages import Problem, explain, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from PySide6.QtCore import QObject
    from PySide6.QtWidgets import QDialog

    from console.engine import EngineFacade, Event
    from console.ui.state import Live, Row

logger = logging.getLogger(__name__)

FLUSH_S = 0.08
RETRY_S = (3.0, 60.0)  # the first and the longest pause between two tries


def problem_from(error: BaseException) -> Problem:
    """An exception in words. An unknown one shows its type and place, never its values."""
    if isinstance(error, EngineError):
        return problem_of(error.code, error.message, subject=error.subject, hint=error.hint)
    known = explain("window.unexpected")
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames))
    return Problem(
        title=known.title if known else "",
        text=f"{type(error).__name__} {where}".strip(),
        hint=known.hint if known else "",
        code="window.unexpected",
    )


class FaultSink:
    """Where every fault ends up that nobody handled: shown, once per unknown place."""

    def __init__(self) -> None:
        self.show: Callable[[Problem], None] | None = None
        self._seen: set[str] = set()

    def report(self, error: BaseException, *, place: str) -> None:
        """Show a fault; a second unknown one from the same place is only logged."""
        problem = problem_from(error)
        known = isinstance(error, EngineError)
        if not known:
            logger.error("unexpected fault in %s: %s", place, problem.text)
            if place in self._seen:
                return
            self._seen.add(place)
        if self.show is not None:
            self.show(problem)

    def install(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """Catch what the loop, slots and threads let fall; the result undoes it."""
        hooks = (sys.excepthook, threading.excepthook)

        def on_loop(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            error = context.get("exception")
            if isinstance(error, BaseException):
                self.report(error, place=str(context.get("message", "loop")))

        def on_slot(
            _: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            self.report(error.with_traceback(trace), place="slot")

        def on_thread(args: threading.ExceptHookArgs) -> None:
            if args.exc_value is not None:
                self.report(args.exc_value, place="thread")

        def undo() -> None:
            sys.excepthook, threading.excepthook = hooks
            loop.set_exception_handler(None)

        loop.set_exception_handler(on_loop)
        sys.excepthook, threading.excepthook = on_slot, on_thread
        return undo


class TaskOwner:
    """Starts tasks, keeps them, reports their failure once, and ends them with itself.

    Attributes:
        name: Prefix of the tasks' names: `applications:show`.
    """

    def __init__(self, name: str, faults: FaultSink) -> None:
        self.name = name
        self._faults = faults
        self._tasks: dict[asyncio.Task[None], str] = {}

    def start(
        self, work: Coroutine[object, object, None], *, name: str, replaces: bool = False
    ) -> asyncio.Task[None]:
        """Start a task; with `replaces`, the last one of that name is cancelled first."""
        if replaces:
            self.stop(name)
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}:{name}")
        self._tasks[task] = name
        task.add_done_callback(self._on_done)
        return task

    def stop(self, name: str) -> None:
        """Cancel the tasks of one name."""
        for task, known in self._tasks.items():
            if known == name:
                task.cancel()

    def cancel(self) -> None:
        """Cancel everything; each task ends at its next await."""
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Cancel everything and wait until it has ended."""
        self.cancel()
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def report(self, error: BaseException, *, name: str) -> None:
        """Show a fault of a task that goes on."""
        self._faults.report(error, place=f"{self.name}:{name}")

    def belong_to(self, widget: QObject) -> None:
        """End with a widget."""
        widget.destroyed.connect(self.cancel)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._faults.report(error, place=task.get_name())


class EventPump:
    """Reads the engine's events into `Live` in batches, at most one per `FLUSH_S`.

    A stream whose revisions do not follow each other is asked for again.
    """

    def __init__(self, engine: EngineFacade, live: Live, tasks: TaskOwner) -> None:
        self._engine = engine
        self._live = live
        self._tasks = tasks
        self._waiting: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Read until cancelled or until the engine ends its stream."""
        loop = asyncio.get_running_loop()
        try:
            async for event in self._engine.events():
                self._waiting.append(event)
                if self._timer is None:
                    self._timer = loop.call_later(FLUSH_S, self.flush)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def flush(self) -> None:
        """Hand on what waits."""
        self._timer = None
        batch, self._waiting = self._waiting, []
        self._live.apply(batch)
        for stream, cluster in tuple(self._live.gaps):
            work = self._relist(stream, cluster)
            self._tasks.start(work, name=f"relist {stream} {cluster}", replaces=True)

    async def _relist(self, stream: str, cluster: str) -> None:
        engine = self._engine
        rows: tuple[Row, ...]
        if self._live.cluster(cluster) is None:
            self._live.gaps.discard((stream, cluster))
            return
        if stream == "applications":
            rows = await engine.applications.list(cluster)
        elif stream == "points":
            rows = await engine.restore_points.list(cluster)
        else:
            rows = await engine.actions.list(cluster)
        self._live.relist(stream, cluster, rows)


class Watching:
    """Has the engine watch every cluster of the list; tries again where that fails.

    A cluster that does not answer says so in its row; what trying again can't
    mend (a credential, a program nobody trusts) is reported once, then tried
    less often.
    """

    def __init__(
        self,
        engine: EngineFacade,
        live: Live,
        tasks: TaskOwner,
        *,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self._engine = engine
        self._live = live
        self._tasks = tasks
        self._retry_s = retry_s
        self._watched: set[str] = set()
        self._stop = live.subscribe(self._on_change)
        self._on_change(frozenset({"clusters"}))

    def close(self) -> None:
        """Begin no more."""
        self._stop()

    def _on_change(self, changed: frozenset[str]) -> None:
        if "clusters" not in changed:
            return
        names = {cluster.name for cluster in self._live.clusters}
        for name in self._watched - names:
            self._tasks.stop(f"watch {name}")
        for name in names - self._watched:
            self._tasks.start(self._watch(name), name=f"watch {name}", replaces=True)
        self._watched = names

    async def _watch(self, name: str) -> None:
        pause_s, told = self._retry_s[0], ""
        while True:
            try:
                await self._engine.clusters.watch(name)
            except EngineError as error:
                if not error.retryable and error.code != told:
                    told = error.code
                    self._tasks.report(error, name=f"watch {name}")
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._retry_s[1])


async def answered(dialog: QDialog) -> bool:
    """Open a dialog beside the running loop and wait for its end: True when it was accepted.

    Cancel: the dialog is closed. It is deleted in any case.
    """
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_finished(result: int) -> None:
        if not done.done():
            done.set_result(result)

    dialog.finished.connect(on_finished)
    dialog.open()
    try:
        return bool(await done)
    finally:
        if not done.done() or done.cancelled():
            dialog.close()
        dialog.deleteLater()
