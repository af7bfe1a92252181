"""Who owns the sandbox's tasks, and the one loop in which its controllers decide."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

K = TypeVar("K", bound="Hashable")

log = logging.getLogger(__name__)


class Tasks:
    """Starts tasks, tells each failure once, cancels what is left at the end."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[None]] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def start(
        self,
        name: Hashable,
        work: Coroutine[None, None, None],
        then: Callable[[], object] | None = None,
    ) -> None:
        """Start `work` unless a task of this name is running; `then` is called at its end."""
        if name in self._running:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(self._watched(name, work), name=str(name))
        self._running[name] = task

        def end(_: asyncio.Task[None]) -> None:
            self._running.pop(name, None)
            if then is not None:
                then()

        task.add_done_callback(end)

    async def _watched(self, name: Hashable, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:  # the owner of the task
            log.exception("sandbox task %s failed", name)

    def is_running(self, name: Hashable) -> bool:
        """Whether the task of this name still runs."""
        return name in self._running

    def later(self, name: Hashable, delay_s: float, call: Callable[[], object]) -> None:
        """Call once after a delay; the same name again moves the time."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

        def fire() -> None:
            self._timers.pop(name, None)
            call()

        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, fire)

    async def stop(self) -> None:
        """Cancel everything and wait for its end."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Control:
    """The queue of decisions: each is a plain function of a key, asked for once however often."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Callable[..., object], Hashable], None] = {}
        self._news = asyncio.Event()

    def ask(self, decide: Callable[[K], object], key: K) -> None:
        """Have `decide(key)` called soon."""
        self._waiting[decide, key] = None
        self._news.set()

    async def run(self) -> None:
        """Decide for ever; a failing decision is told and does not stop the others."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                decide, key = next(iter(self._waiting))
                del self._waiting[decide, key]
                try:
                    decide(key)
                except Exception:  # one decision must not stop the others
                    log.exception("sandbox controller failed on %s", key)
                await asyncio.sleep(0)
