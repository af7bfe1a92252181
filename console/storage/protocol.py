"""What every object store promises; the repository uses nothing else.

All methods block and may be called from any thread at the same time. Names are
relative to the store's own prefix, use `/`, and hold only `[A-Za-z0-9._~/-]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class ObjectInfo(NamedTuple):
    """One stored object."""

    name: str
    size: int  # bytes


class ObjectStore(Protocol):
    """A flat, durable map from names to bytes.

    Every method raises `StoreError`; its `code` says which. `NoSuchObject`
    is raised by `get`, `get_range` and `stat` alone. A name that breaks the
    rules (`names`) raises `BadName`; what lies in a store under such a name is
    not listed.
    """

    @property
    def url(self) -> str:
        """Where this is, for people and logs; never holds a credential."""

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Store an object whole; durable when it returns, never seen half.

        Same name means same bytes: overwriting is allowed only because every
        writer of one name writes the same content.
        """

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does.

        Exactly one of several concurrent callers gets True, also where the
        store has no conditional write (there by write, list, read back).
        """

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; fewer raise `ShortRead`."""

    def stat(self, name: str) -> ObjectInfo:
        """Name and size, without reading the bytes."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix, in any order, read page by page.

        `prefix` is empty or ends with `/`. An object written before the call
        is listed; one written meanwhile may be.
        """

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix: relative names, each ending with `/`.

        A folder whose objects were all deleted may still be shown.
        """

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""

    def clock(self) -> float:
        """The store's own time, in seconds since the epoch (to one second)."""

    def close(self) -> None:
        """Give connections and threads back; the store is not used afterwards."""
