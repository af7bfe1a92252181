"""A store that calls a hook before each write: to fail there, to change things, to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from console.storage import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from console.storage import ObjectInfo, ObjectStore


class HookedStore:
    """Passes everything to another store; `before_write` gets the number (from 1) and the name."""

    def __init__(self, inner: ObjectStore, before_write: Callable[[int, str], None]) -> None:
        self._inner = inner
        self._before_write = before_write
        self._lock = threading.Lock()
        self.writes = 0

    @property
    def url(self) -> str:
        return self._inner.url

    def put(self, name: str, data: bytes | memoryview) -> None:
        self._hook(name)
        self._inner.put(name, data)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        self._hook(name)
        return self._inner.create(name, data)

    def delete(self, name: str) -> None:
        self._hook(name)
        self._inner.delete(name)

    def get(self, name: str) -> bytes:
        return self._inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self._inner.get_range(name, offset, length)

    def stat(self, name: str) -> ObjectInfo:
        return self._inner.stat(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return self._inner.list(prefix)

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        return self._inner.list_folders(prefix)

    def clock(self) -> float:
        return self._inner.clock()

    def close(self) -> None:
        self._inner.close()

    def _hook(self, name: str) -> None:
        with self._lock:
            self.writes += 1
            number = self.writes
        self._before_write(number, name)


def fail_at(wanted: int) -> Callable[[int, str], None]:
    """A hook that fails the n-th write and all that follow."""

    def hook(number: int, name: str) -> None:
        if number >= wanted:
            raise Unavailable("the network is gone", subject=name)

    return hook
