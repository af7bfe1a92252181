"""The kernel made of wheels: hashlib, zstandard, cryptography, pyfastcdc.

Hashing, compressing, ciphering and cutting give the GIL up for parts over a
few KiB; Poly1305 does not.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import zstandard

from console.repository.chunker import make_chunker
from console.repository.errors import SealFailed
from console.repository.kernel import Bytes, Fault, Sealed
from console.repository.keys import MessageCipher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.repository.keys import DataKey

LEVEL = 1  # two thirds of the time of a compressible backup is zstd; 3 costs 30 % more for 12 %
SMALLEST_COMPRESSED = 64


class PortableKernel:
    """Makes sessions that need nothing but wheels."""

    def session(self, key: DataKey, *, verify: bool = True) -> PortableSession:
        """A session for the calling thread."""
        return PortableSession(key, verify=verify)


class PortableSession:
    """One thread's contexts."""

    def __init__(self, key: DataKey, *, verify: bool) -> None:
        self._key = key
        self._cipher = MessageCipher(key)
        self._verify = verify
        self._compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        self._decompressor = zstandard.ZstdDecompressor()
        self._chunker = make_chunker(key)

    def hash(self, parts: Sequence[Bytes]) -> list[bytes]:
        """See `Session.hash`."""
        return [hashlib.sha256(part).digest() for part in parts]

    def cut(self, window: Bytes) -> list[int]:
        """See `Session.cut`."""
        return [chunk.length for chunk in self._chunker.cut_buf(window)]

    def seal(self, parts: Sequence[Bytes], ids: Sequence[bytes]) -> list[Sealed]:
        """See `Session.seal`."""
        return [self._seal_one(part, id_) for part, id_ in zip(parts, ids, strict=True)]

    def open(
        self, blobs: Sequence[Bytes], raw_lengths: Sequence[int], ids: Sequence[bytes]
    ) -> list[bytes | Fault]:
        """See `Session.open`."""
        return [
            self._open_one(blob, raw_length, id_)
            for blob, raw_length, id_ in zip(blobs, raw_lengths, ids, strict=True)
        ]

    def _seal_one(self, part: Bytes, id_: bytes) -> Sealed:
        sealed = self._pack_one(part)
        if self._verify:
            opened = self._open_one(sealed.data, sealed.raw_length, id_)
            if isinstance(opened, Fault):
                raise SealFailed(
                    f"a blob just sealed did not open again: {opened.value}",
                    subject=id_.hex(),
                    hint="the memory or the processor of this machine is faulty",
                )
        return sealed

    def _pack_one(self, part: Bytes) -> Sealed:
        length = len(part)
        if length >= SMALLEST_COMPRESSED:
            packed = self._compressor.compress(part)
            if len(packed) < length:
                return Sealed(self._cipher.seal(packed), length)
        return Sealed(self._cipher.seal(part), 0)

    def _open_one(self, blob: Bytes, raw_length: int, id_: bytes) -> bytes | Fault:
        message = self._cipher.open(blob)
        if message is None:
            return Fault.TAG
        if raw_length:
            unpacked = self._decompress(message, raw_length)
            if unpacked is None:
                return Fault.SIZE
            message = unpacked
        if hashlib.sha256(message).digest() != id_:
            return Fault.HASH
        return message

    def _decompress(self, packed: bytes, raw_length: int) -> bytes | None:
        """None when the frame does not hold exactly that many bytes."""
        try:
            said = zstandard.frame_content_size(packed)
            if said not in {-1, raw_length}:
                return None
            unpacked = self._decompressor.decompress(packed, max_output_size=raw_length)
        except zstandard.ZstdError:
            return None
        return unpacked if len(unpacked) == raw_length else None
