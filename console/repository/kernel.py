"""The hot loops as one small Protocol: portable (wheels) today, native later.

A kernel is shared; each thread opens a session of its own, which recycles its
cipher and compressor contexts. Calls are few, long and batch-shaped, and give
the GIL up where the implementation can. All kernels produce the same ids and
the same cuts for the same bytes; compressed forms may differ.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.repository.keys import DataKey

Bytes = bytes | bytearray | memoryview

SEAL_OVERHEAD = 32  # a 16 byte nonce before, a 16 byte tag after
MIN_CHUNK = 512 * 1024
AVERAGE_CHUNK = 1024 * 1024
MAX_CHUNK = 8 * 1024 * 1024


class Sealed(NamedTuple):
    """One blob as it stands in a pack."""

    data: Bytes  # nonce, ciphertext, tag
    raw_length: int  # length before compression; 0 when it is not compressed


class Fault(enum.Enum):
    """Why a sealed blob could not be opened."""

    TAG = "its authentication tag does not fit"
    SIZE = "it does not unpack to the length the index names"
    HASH = "its content does not have the hash it is named by"


class Session(Protocol):
    """A kernel as one thread uses it; not to be shared between threads."""

    def hash(self, parts: Sequence[Bytes]) -> list[bytes]:
        """The SHA-256 of each part."""

    def cut(self, window: Bytes) -> list[int]:
        """Lengths of the chunks of a window that begins at a cut; together the whole window.

        The last one is final only when the window ends with the file, or when
        it is `MAX_CHUNK` long.
        """

    def seal(self, parts: Sequence[Bytes], ids: Sequence[bytes]) -> list[Sealed]:
        """Compress where that helps, encrypt and authenticate each part.

        With verification on, each result is opened again and compared with its
        id; a difference raises `SealFailed`.
        """

    def open(
        self, blobs: Sequence[Bytes], raw_lengths: Sequence[int], ids: Sequence[bytes]
    ) -> list[bytes | Fault]:
        """Authenticate, decrypt, decompress and hash each sealed blob."""


class Kernel(Protocol):
    """Makes sessions."""

    def session(self, key: DataKey, *, verify: bool = True) -> Session:
        """A session for the calling thread; `verify` opens again what was sealed."""
