"""What asyncio leaves open: who owns a task, how many threads block, which clock, how to back off.

Knows nothing of the domain. The only place where a task is made without a
TaskGroup; everybody else starts tasks through a `TaskOwner`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

T = TypeVar("T")

logger = logging.getLogger(__name__)


def _log_failure(name: str, error: BaseException) -> None:
    logger.error("task %s failed: %s", name, type(error).__name__, exc_info=error)


async def side_by_side(
    calls: Iterable[Callable[[], Coroutine[Any, Any, T]]], *, at_once: int
) -> list[T]:
    """What each call returns, in order; the first that fails ends the others.

    Raises:
        Exception: The first failure itself, not a group of them.
    """
    limit = asyncio.Semaphore(at_once)

    async def one(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with limit:
            return await call()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in calls]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


class TaskOwner:
    """Starts tasks, keeps them referenced and named, reports a failure once, ends them all.

    Args:
        name: Goes before the name of each task.
        sink: Called on the loop with (task name, error) for each task that failed and that
            nobody replaced or closed; by default the failure is logged.
    """

    def __init__(
        self, name: str, *, sink: Callable[[str, BaseException], None] = _log_failure
    ) -> None:
        self._name = name
        self._sink = sink
        self._tasks: dict[asyncio.Task[Any], str] = {}
        self._closing = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the tasks that have not ended, in the order in which they were started."""
        return tuple(self._tasks.values())

    def start(
        self, coro: Coroutine[Any, Any, T], *, name: str, replaces: bool = False
    ) -> asyncio.Task[T]:
        """Run `coro` as a task named `<owner>:<name>`.

        Args:
            replaces: Cancel what still runs under this name (search as you type, refresh).

        Raises:
            RuntimeError: The owner is closed.
        """
        if self._closing:
            coro.close()
            raise RuntimeError(f"{self._name} is closed: {name} is not started")
        if replaces:
            self.cancel(name)
        task = asyncio.get_running_loop().create_task(coro, name=f"{self._name}:{name}")
        self._tasks[task] = name
        task.add_done_callback(self._on_done)
        return task

    def cancel(self, name: str) -> None:
        """Cancel every task of this name; does not wait."""
        for task, other in self._tasks.items():
            if other == name:
                task.cancel()

    async def aclose(self, *, timeout_s: float = 10.0) -> tuple[str, ...]:
        """Cancel all and wait for them.

        Returns:
            The names of those that still run after `timeout_s`; they are logged too.
        """
        self._closing = True
        waiting = set(self._tasks) - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)
        stuck = tuple(name for task, name in self._tasks.items() if task in waiting)
        if stuck:
            logger.warning("%s: still running after %s s: %s", self._name, timeout_s, stuck)
        return stuck

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        name = self._tasks.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._sink(f"{self._name}:{name}", error)


class BoundedExecutor:
    """Named threads for calls that block; what finds no free thread waits on the loop."""

    def __init__(self, name: str, *, threads: int) -> None:
        self.name = name
        self._threads = threads
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._free = asyncio.Semaphore(threads)
        self._running: set[asyncio.Future[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `function` in one of the threads.

        Cancel: what has no thread yet never starts; what runs goes on in its thread, which
        counts as taken until it ends.
        """
        await self._free.acquire()
        try:
            call = partial(function, *args, **kwargs)
            future = asyncio.get_running_loop().run_in_executor(self._pool, call)
        except BaseException:
            self._free.release()
            raise
        self._running.add(future)
        future.add_done_callback(self._on_done)
        return await asyncio.shield(future)

    async def aclose(self, *, timeout_s: float = 10.0) -> int:
        """Wait for what runs, then let the threads go.

        Returns:
            How many calls still ran after `timeout_s`.
        """
        running = set(self._running)
        if running:
            await asyncio.wait(running, timeout=timeout_s)
        stuck = len(self._running)
        if stuck:
            logger.warning("%s: %d calls still run after %s s", self.name, stuck, timeout_s)
        self._pool.shutdown(wait=not stuck, cancel_futures=True)
        return stuck

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        self._running.discard(future)
        self._free.release()
        if not future.cancelled():
            future.exception()  # a cancelled caller no longer asks for it


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Wall time, aware, UTC."""

    def elapsed_s(self) -> float:
        """Seconds since some moment; never goes back, and counts suspend where it can."""


class SystemClock:
    """The machine's clocks: CLOCK_BOOTTIME where there is one, else the monotonic clock."""

    def __init__(self) -> None:
        self._clock_id: int | None = getattr(time, "CLOCK_BOOTTIME", None)

    def now(self) -> datetime:
        """Wall time, aware, UTC."""
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        """Seconds since the machine started, time asleep included where the system tells."""
        if self._clock_id is None:
            return time.monotonic()
        return time.clock_gettime(self._clock_id)


class Backoff:
    """Growing pauses with jitter: each is between half and all of first · factor^n, up to limit."""

    def __init__(self, *, first_s: float = 0.5, limit_s: float = 30.0, factor: float = 2.0) -> None:
        self._first_s = first_s
        self._limit_s = limit_s
        self._factor = factor
        self._base_s = first_s

    def next_s(self) -> float:
        """The next pause, in seconds."""
        base = self._base_s
        self._base_s = min(self._limit_s, base * self._factor)
        return base * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, guards nothing

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._base_s = self._first_s
