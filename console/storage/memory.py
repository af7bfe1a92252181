"""A store in this process's memory, for tests."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from console.storage.errors import NoSuchObject, ShortRead
from console.storage.names import checked_name, checked_prefix
from console.storage.protocol import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class MemoryStore:
    """Objects in a dict; gone with the process."""

    def __init__(self, label: str = "memory", *, clock: Callable[[], float] = time.time) -> None:
        self._label = label
        self._clock = clock
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """`memory:<label>`; no store can be opened by it."""
        return f"memory:{self._label}"

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Store an object whole."""
        checked_name(name)
        with self._lock:
            self._objects[name] = bytes(data)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does."""
        checked_name(name)
        with self._lock:
            if name in self._objects:
                return False
            self._objects[name] = bytes(data)
            return True

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""
        checked_name(name)
        with self._lock:
            data = self._objects.get(name)
        if data is None:
            raise NoSuchObject(f"there is no object {name}", subject=name)
        return data

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        data = self.get(name)
        if offset + length > len(data):
            message = f"{name} holds {len(data)} bytes, not {offset + length}"
            raise ShortRead(message, subject=name)
        return data[offset : offset + length]

    def stat(self, name: str) -> ObjectInfo:
        """Name and size."""
        return ObjectInfo(name, len(self.get(name)))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix."""
        checked_prefix(prefix)
        with self._lock:
            found = [ObjectInfo(n, len(d)) for n, d in self._objects.items()]
        return (info for info in found if info.name.startswith(prefix))

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix."""
        rest = [info.name[len(prefix) :] for info in self.list(prefix)]
        return iter(sorted({name.split("/", 1)[0] + "/" for name in rest if "/" in name}))

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        checked_name(name)
        with self._lock:
            self._objects.pop(name, None)

    def clock(self) -> float:
        """The time of this machine."""
        return self._clock()

    def close(self) -> None:
        """Nothing to give back."""
