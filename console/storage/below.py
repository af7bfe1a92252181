"""The part of a store below a prefix, as a store of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.storage.names import checked_name, checked_prefix
from console.storage.protocol import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.storage.protocol import ObjectStore


def below(store: ObjectStore, prefix: str) -> ObjectStore:
    """The store below `prefix` (`a/b/`); closing it leaves the outer store open.

    Errors name objects as the outer store does.
    """
    return BelowStore(store, prefix) if checked_prefix(prefix) else store


class BelowStore:
    """Every name gets the prefix on its way in and loses it on its way out."""

    def __init__(self, outer: ObjectStore, prefix: str) -> None:
        self._outer = outer
        self._prefix = prefix

    @property
    def url(self) -> str:
        """The outer URL with the prefix behind it."""
        return f"{self._outer.url.rstrip('/')}/{self._prefix.rstrip('/')}"

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Store an object whole."""
        self._outer.put(self._full(name), data)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does."""
        return self._outer.create(self._full(name), data)

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""
        return self._outer.get(self._full(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        return self._outer.get_range(self._full(name), offset, length)

    def stat(self, name: str) -> ObjectInfo:
        """Name and size."""
        return ObjectInfo(name, self._outer.stat(self._full(name)).size)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix."""
        cut = len(self._prefix)
        found = self._outer.list(self._prefix + checked_prefix(prefix))
        return (ObjectInfo(name[cut:], size) for name, size in found)

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix."""
        return self._outer.list_folders(self._prefix + checked_prefix(prefix))

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        self._outer.delete(self._full(name))

    def clock(self) -> float:
        """The store's own time."""
        return self._outer.clock()

    def close(self) -> None:
        """Nothing: the outer store's owner closes it."""

    def _full(self, name: str) -> str:
        return self._prefix + checked_name(name)
