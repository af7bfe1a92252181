"""The files of a repository that are one sealed message: config, index, snapshots, locks.

Each but `config` is named by the SHA-256 of its sealed bytes, and begins,
opened, with a 2 before a zstd frame (or with `{` where it is plain JSON).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import zstandard

from console.repository.keys import MessageCipher

if TYPE_CHECKING:
    from console.repository.errors import Damage
    from console.repository.keys import DataKey
    from console.storage.protocol import ObjectStore

_COMPRESSED = b"\x02"


def save_message(store: ObjectStore, key: DataKey, folder: str, content: bytes) -> str:
    """Seal and store a message; the id is its name."""
    packed = zstandard.ZstdCompressor(level=3).compress(content)
    sealed = MessageCipher(key).seal(_COMPRESSED + packed)
    id_ = hashlib.sha256(sealed).hexdigest()
    store.put(f"{folder}/{id_}", sealed)
    return id_


def load_message(store: ObjectStore, key: DataKey, name: str, damage: type[Damage]) -> bytes:
    """A message's content; `damage` is raised when it is not what its name says."""
    sealed = store.get(name)
    if hashlib.sha256(sealed).hexdigest() != name.rpartition("/")[2]:
        raise damage(f"{name} does not have the hash it is named by", subject=name)
    message = MessageCipher(key).open(sealed)
    if message is None:
        raise damage(f"{name} can't be authenticated", subject=name)
    if message[:1] in {b"{", b"["}:
        return message
    if message[:1] != _COMPRESSED:
        raise damage(f"{name} is neither JSON nor compressed", subject=name)
    unpacked = _decompress(message[1:])
    if unpacked is None:
        raise damage(f"{name} can't be decompressed", subject=name)
    return unpacked


def _decompress(packed: bytes) -> bytes | None:
    stream = zstandard.ZstdDecompressor().decompressobj()
    try:
        unpacked = stream.decompress(packed)
    except zstandard.ZstdError:
        return None
    return unpacked if stream.eof else None
