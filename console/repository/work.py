"""A stack of jobs for a few threads; newest first, so that little is open at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Job = TypeVar("Job")


class WorkStack(Generic[Job]):
    """Jobs may push more jobs; the work ends when none is left and none runs."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._ready = threading.Condition()
        self._stack = list(jobs)
        self._running = 0
        self._ended = False

    def push(self, jobs: Iterable[Job]) -> None:
        """Add jobs; the last is taken first."""
        with self._ready:
            self._stack += jobs
            self._ready.notify_all()

    def end(self) -> None:
        """Hand out no further job."""
        with self._ready:
            self._ended = True
            self._ready.notify_all()

    def run(self, threads: int, work: Callable[[Callable[[], Job | None]], None]) -> None:
        """Call `work` in that many threads until the work ends.

        `work` gets a function that gives it the next job, and None at the end.
        The first exception of any thread ends the others and is raised here.
        """
        with ThreadPoolExecutor(threads, "repository:work") as pool:
            futures = [pool.submit(self._run_one, work) for _ in range(threads)]
            try:
                for future in futures:
                    future.exception()
            finally:
                self.end()
        for future in futures:
            future.result()

    def _run_one(self, work: Callable[[Callable[[], Job | None]], None]) -> None:
        busy = False

        def take() -> Job | None:
            nonlocal busy
            job = self._take(busy=busy)
            busy = job is not None
            return job

        succeeded = False
        try:
            work(take)
            succeeded = True
        finally:
            if not succeeded:
                self.end()

    def _take(self, *, busy: bool) -> Job | None:
        with self._ready:
            if busy:
                self._running -= 1
            while not self._stack and self._running and not self._ended:
                self._ready.wait()
            if self._ended or not self._stack:
                self._ready.notify_all()
                return None
            self._running += 1
            return self._stack.pop()
