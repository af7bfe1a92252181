"""An application's objects as sealed packs: sorted, compressed, encrypted, named by content.

Local restore points keep their packs in immutable Secrets, shared by all points
that hold the same. Where one pack ends depends on the objects' paths, so that a
changed object changes its own pack and no other. Same key and content give the
same digest, and with the same zstd the same bytes.

    pack = "KHP1" · digest (32) · nonce (12) · AES-256-GCM(zstd(entries)), tag last

The digest is an HMAC of the entries, the nonce one of what is encrypted: two
texts never meet under one nonce, also when another zstd compresses differently.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from console.repository.errors import DamagedPack, RepositoryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST_PACK = 512 * 1024  # sealed; a pack of one object may be larger
LARGEST_OBJECT = 900 * 1024  # sealed: a Secret holds 1 MiB, with its metadata
KEY_BYTES = 32

_MAGIC = b"KHP1"
_HEAD_BYTES = len(_MAGIC) + 32 + 12
_ROOM = LARGEST_PACK - 8 * 1024  # of entries; what zstd can't shrink grows by far less
_ENTRY_ROOM = 16  # what the encoding adds to path and content, at most
_CUT_EVERY = 64  # objects in a pack, on average
_LEVEL = 3  # 9 takes three times as long for a twentieth less
_LARGEST_CONTENT = 256 * 1024 * 1024

Entry = tuple[str, bytes]


class ObjectTooBig(RepositoryError):
    """One object alone is too big for a pack."""

    code = "objects.too_big"


class SealedPack(NamedTuple):
    """A pack, ready to store."""

    digest: str  # 64 hex digits; tells nothing about the content without the key
    data: bytes


def seal_objects(key: bytes, entries: Iterable[Entry]) -> list[SealedPack]:
    """Seal objects; the packs are in the order of the paths.

    Args:
        key: 32 bytes.
        entries: Path and content, in any order; each path once.

    Raises:
        ObjectTooBig: An object compresses to more than a Secret can hold.
    """
    keys = _Keys.of(key)
    return [_sealed(keys, group) for group in _groups(sorted(entries))]


def open_pack(key: bytes, data: bytes) -> list[Entry]:
    """Path and content of the objects in a pack, sorted by path.

    Raises:
        DamagedPack: It is not what was sealed with this key; the subject names it.
    """
    keys = _Keys.of(key)
    name = f"object pack {data[4:36].hex()[:12]}"
    if len(data) < _HEAD_BYTES or not data.startswith(_MAGIC):
        raise DamagedPack(f"{name} does not begin as a pack does", subject=name)
    try:
        packed = AESGCM(keys.seal).decrypt(data[36:_HEAD_BYTES], data[_HEAD_BYTES:], data[:36])
        text = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_LARGEST_CONTENT)
        entries = msgspec.msgpack.decode(text, type=list[Entry])
    except InvalidTag as error:
        hint = "It is damaged, or sealed with another key."
        raise DamagedPack(f"{name} does not open", subject=name, hint=hint) from error
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise DamagedPack(f"{name} can't be decoded: {error}", subject=name) from error
    if not hmac.compare_digest(_mac(keys.digest, text), data[4:36]):
        raise DamagedPack(f"{name} holds something else than its name says", subject=name)
    return entries


class _Keys(NamedTuple):
    digest: bytes
    nonce: bytes
    seal: bytes

    @classmethod
    def of(cls, key: bytes) -> _Keys:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of object packs has {KEY_BYTES} bytes, not {len(key)}")
        return cls(*(_subkey(key, use) for use in cls._fields))


def _subkey(key: bytes, use: str) -> bytes:
    info = f"kubehaven/objects/{use}/v1".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")


def _groups(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Runs of entries, each one pack: cut before chosen paths, and where a pack is full."""
    group: list[Entry] = []
    size = 0
    last = None
    for path, content in entries:
        if path == last:
            raise ValueError(f"{path} is there twice")
        last = path
        entry_size = len(path.encode()) + len(content) + _ENTRY_ROOM
        if group and (size + entry_size > _ROOM or _is_cut(path)):
            yield group
            group, size = [], 0
        group.append((path, content))
        size += entry_size
    if group:
        yield group


def _is_cut(path: str) -> bool:
    return int.from_bytes(sha256(path.encode()).digest()[:4], "big") % _CUT_EVERY == 0


def _sealed(keys: _Keys, group: list[Entry]) -> SealedPack:
    text = msgspec.msgpack.encode(group)
    packed = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False).compress(text)
    digest = _mac(keys.digest, text)
    head = _MAGIC + digest
    nonce = _mac(keys.nonce, packed)[:12]
    data = head + nonce + AESGCM(keys.seal).encrypt(nonce, packed, head)
    if len(data) > LARGEST_OBJECT:
        path = group[0][0]
        message = f"{path} takes {len(data) // 1024} KiB sealed; {LARGEST_OBJECT // 1024} fit"
        hint = "Leave it out of the selection, or export straight to a location."
        raise ObjectTooBig(message, subject=path, hint=hint)
    return SealedPack(digest.hex(), data)
