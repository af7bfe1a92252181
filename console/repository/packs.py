"""Packs: sealed blobs one after the other, a sealed header, the header's length.

The header names each blob's type, length and id in order; offsets follow from
the lengths. A pack's name is the SHA-256 of all its bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal, NamedTuple

from console.repository.errors import DamagedPack
from console.repository.kernel import SEAL_OVERHEAD, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.repository.keys import MessageCipher

Kind = Literal["data", "tree"]

PACK_BYTES = 16 * 1024 * 1024
TREE_PACK_BYTES = 4 * 1024 * 1024
MAX_BLOBS = 100_000  # restic refuses headers over 16 MiB
_TYPES: dict[Kind, int] = {"data": 0, "tree": 1}
_PLAIN = struct.Struct("<BI32s")
_PACKED = struct.Struct("<BII32s")
_LENGTH = struct.Struct("<I")


class PackedBlob(NamedTuple):
    """Where a blob stands in its pack."""

    kind: Kind
    id: bytes
    offset: int
    length: int  # sealed
    raw_length: int  # 0 when it is not compressed


def pack_name(pack_id: str) -> str:
    """A pack's name in the store."""
    return f"data/{pack_id[:2]}/{pack_id}"


def pack_size(blobs: Iterable[PackedBlob]) -> int:
    """The length of a pack that holds exactly these blobs."""
    size = SEAL_OVERHEAD + _LENGTH.size
    for blob in blobs:
        size += blob.length + (_PACKED if blob.raw_length else _PLAIN).size
    return size


def encode_header(blobs: Iterable[PackedBlob]) -> bytes:
    """The header before it is sealed."""
    return b"".join(
        _PACKED.pack(_TYPES[blob.kind] + 2, blob.length, blob.raw_length, blob.id)
        if blob.raw_length
        else _PLAIN.pack(_TYPES[blob.kind], blob.length, blob.id)
        for blob in blobs
    )


def decode_header(raw: bytes, subject: str) -> list[PackedBlob]:
    """The blobs that an opened header names; `DamagedPack` when it is none."""
    blobs: list[PackedBlob] = []
    at = offset = 0
    while at < len(raw):
        layout = _PACKED if raw[at] & 2 else _PLAIN
        if raw[at] > 3 or at + layout.size > len(raw):
            raise DamagedPack(f"the header of {subject} names unknown things", subject=subject)
        kind: Kind = "tree" if raw[at] & 1 else "data"
        if layout is _PACKED:
            _, length, raw_length, id_ = _PACKED.unpack_from(raw, at)
        else:
            (_, length, id_), raw_length = _PLAIN.unpack_from(raw, at), 0
        blobs.append(PackedBlob(kind, id_, offset, length, raw_length))
        offset += length
        at += layout.size
    return blobs


def read_header(pack: bytes, cipher: MessageCipher, subject: str) -> list[PackedBlob]:
    """The blobs that a whole pack's header names; `DamagedPack` when it can't be read."""
    if len(pack) < _LENGTH.size + SEAL_OVERHEAD:
        raise DamagedPack(f"{subject} is too short for a pack", subject=subject)
    (length,) = _LENGTH.unpack_from(pack, len(pack) - _LENGTH.size)
    start = len(pack) - _LENGTH.size - length
    if start < 0:
        raise DamagedPack(f"the header of {subject} is longer than the pack", subject=subject)
    raw = cipher.open(memoryview(pack)[start : len(pack) - _LENGTH.size])
    if raw is None:
        raise DamagedPack(f"the header of {subject} can't be authenticated", subject=subject)
    blobs = decode_header(raw, subject)
    if sum(blob.length for blob in blobs) != start:
        raise DamagedPack(f"the header of {subject} does not fit its blobs", subject=subject)
    return blobs


class OpenPack:
    """A pack being filled; not thread-safe."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.blobs: list[PackedBlob] = []
        self._limit = limit

    @property
    def is_full(self) -> bool:
        """Whether it is time to finish it."""
        return len(self.data) >= self._limit or len(self.blobs) >= MAX_BLOBS

    def add(self, kind: Kind, id_: bytes, sealed: Sealed) -> None:
        """Append one sealed blob."""
        length = len(sealed.data)
        self.blobs.append(PackedBlob(kind, id_, len(self.data), length, sealed.raw_length))
        self.data += sealed.data

    def finish(self, cipher: MessageCipher) -> None:
        """Append the header; the pack is complete then."""
        header = cipher.seal(encode_header(self.blobs))
        self.data += header
        self.data += _LENGTH.pack(len(header))
