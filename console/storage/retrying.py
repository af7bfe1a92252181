"""Tries again what may succeed later: busy servers, cut connections.

The pauses grow and are jittered, so that many workers that were thrown out
together do not come back together. There is one such layer: the SDKs' own
retries are off.
"""

from __future__ import annotations

import time
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol, TypeVar

from console.storage.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from console.storage.protocol import ObjectInfo, ObjectStore

T = TypeVar("T")

_random = SystemRandom().random

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 20.0


class Pause(Protocol):
    """Waits; a test's only counts."""

    def __call__(self, seconds: float, /) -> None:
        """Wait this long."""


class RetryingStore:
    """Repeats calls that fail with a `retryable` error until `patience_s` is over.

    The last error is then raised as it came. Errors that are not retryable are
    raised at once.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        patience_s: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Pause = time.sleep,
        jitter: Callable[[], float] = _random,
    ) -> None:
        """Wrap a store.

        Args:
            patience_s: From a call's first failure; 0 tries once.
            now: Seconds of a clock that is never set back.
            jitter: From 0 to 1; a pause is 50 to 100 % of its step.
        """
        self._inner = inner
        self._patience_s = patience_s
        self._now = now
        self._sleep = sleep
        self._jitter = jitter

    @property
    def url(self) -> str:
        """Where this is."""
        return self._inner.url

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Store an object whole."""
        self._patiently(lambda: self._inner.put(name, data))

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does.

        A first try may have written the object although its answer was lost:
        what then exists and is what we wanted to write was written by us.
        """
        tries = 0

        def once() -> bool:
            nonlocal tries
            tries += 1
            created = self._inner.create(name, data)
            return created or (tries > 1 and self._inner.get(name) == data)

        return self._patiently(once)

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""
        return self._patiently(lambda: self._inner.get(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        return self._patiently(lambda: self._inner.get_range(name, offset, length))

    def stat(self, name: str) -> ObjectInfo:
        """Name and size."""
        return self._patiently(lambda: self._inner.stat(name))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix; no name twice, also when a page had to be read again."""
        return self._without_repeats(lambda: self._inner.list(prefix))

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix."""
        return self._without_repeats(lambda: self._inner.list_folders(prefix))

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        self._patiently(lambda: self._inner.delete(name))

    def clock(self) -> float:
        """The store's own time."""
        return self._patiently(self._inner.clock)

    def close(self) -> None:
        """Close the store behind it."""
        self._inner.close()

    def _patiently(self, call: Callable[[], T]) -> T:
        pauses = self._pauses()
        while True:
            try:
                return call()
            except StoreError as error:
                self._wait_or_raise(error, pauses)

    def _without_repeats(self, start: Callable[[], Iterator[T]]) -> Iterator[T]:
        seen: set[T] = set()
        pauses = self._pauses()
        while True:
            try:
                for item in start():
                    if item not in seen:
                        seen.add(item)
                        pauses = self._pauses()
                        yield item
            except StoreError as error:
                self._wait_or_raise(error, pauses)
            else:
                return

    def _wait_or_raise(self, error: StoreError, pauses: Iterator[float]) -> None:
        pause = next(pauses, None) if error.retryable else None
        if pause is None:
            raise error
        self._sleep(pause)

    def _pauses(self) -> Iterator[float]:
        """Seconds to wait before each further try; ends when patience would."""
        deadline = self._now() + self._patience_s
        step = FIRST_PAUSE_S
        while True:
            pause = step * (0.5 + self._jitter() / 2)
            if self._now() + pause > deadline:
                return
            yield pause
            step = min(step * 2, LONGEST_PAUSE_S)
