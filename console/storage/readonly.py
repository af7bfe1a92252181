"""A store that refuses to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from console.storage.errors import ReadOnly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.storage.protocol import ObjectInfo, ObjectStore


class ReadOnlyStore:
    """Reads go through; `put`, `create` and `delete` raise `ReadOnly` and send nothing."""

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner

    @property
    def url(self) -> str:
        """Where this is."""
        return self._inner.url

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Refused."""
        self._refuse(name)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Refused."""
        self._refuse(name)

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""
        return self._inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        return self._inner.get_range(name, offset, length)

    def stat(self, name: str) -> ObjectInfo:
        """Name and size."""
        return self._inner.stat(name)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix."""
        return self._inner.list(prefix)

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix."""
        return self._inner.list_folders(prefix)

    def delete(self, name: str) -> None:
        """Refused."""
        self._refuse(name)

    def clock(self) -> float:
        """The store's own time."""
        return self._inner.clock()

    def close(self) -> None:
        """Close the store behind it."""
        self._inner.close()

    def _refuse(self, name: str) -> NoReturn:
        message = f"{self.url} was opened for reading only"
        raise ReadOnly(message, subject=name, hint="Open it for writing, or choose a location.")
