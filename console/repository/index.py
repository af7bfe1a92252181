"""The index: where each blob stands. Kept in memory as sorted records, no object per blob.

A record is 49 bytes; a table of the first two bytes of the ids leads to a few
records, which are searched as bytes. Blobs added by a running backup collect in
a dict first and are folded into the records now and then.
"""

from __future__ import annotations

import itertools
import struct
import threading
from array import array
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from console.repository.errors import DamagedIndex
from console.repository.packs import Kind, PackedBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_RECORD = struct.Struct(">32sBIIII")  # id, kind, pack number, offset, length, raw length
_PLACE = struct.Struct(">IIII")
_SIZE = _RECORD.size
_KEY = 33
_MAX_RECENT = 50_000
_KINDS: tuple[Kind, Kind] = ("data", "tree")
_SUFFIX: dict[Kind, bytes] = {"data": b"\0", "tree": b"\1"}
_MAX_LENGTH = 0xFFFFFFFF


class Location(NamedTuple):
    """Where one copy of a blob stands."""

    pack: str  # id of the pack
    offset: int
    length: int  # sealed
    raw_length: int  # 0 when it is not compressed

    @property
    def plain_length(self) -> int:
        """The length of the blob's content."""
        return self.raw_length or self.length - 32


class _IndexedBlob(msgspec.Struct, omit_defaults=True):
    id: str
    type: Kind
    offset: int
    length: int
    uncompressed_length: int = 0


class _IndexedPack(msgspec.Struct):
    id: str
    blobs: list[_IndexedBlob]


class _IndexFile(msgspec.Struct):
    packs: list[_IndexedPack]


_decoder = msgspec.json.Decoder(_IndexFile)


class Segment:
    """Immutable records in order, with a table by the first two bytes."""

    def __init__(self, records: list[bytes]) -> None:
        records.sort()
        counts = array("I", bytes(4 * 65537))
        for record in records:
            counts[(record[0] << 8 | record[1]) + 1] += 1
        self._starts = array("I", itertools.accumulate(counts))
        self._records = b"".join(records)

    def __len__(self) -> int:
        return len(self._records) // _SIZE

    def find(self, key: bytes) -> Iterator[bytes]:
        """Every record of a key (id and kind)."""
        prefix = key[0] << 8 | key[1]
        at, end = self._starts[prefix] * _SIZE, self._starts[prefix + 1] * _SIZE
        while (at := self._records.find(key, at, end)) >= 0:
            if at % _SIZE == 0:
                yield self._records[at : at + _SIZE]
            at += 1

    def has(self, key: bytes) -> bool:
        """Whether there is a record of a key."""
        return next(self.find(key), None) is not None

    def records(self) -> list[bytes]:
        """All records in order."""
        return [self._records[at : at + _SIZE] for at in range(0, len(self._records), _SIZE)]


class Index:
    """Every blob whose pack is durable. Any thread may ask or add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packs: list[str] = []
        self._numbers: dict[str, int] = {}
        self._segments: list[Segment] = []
        self._recent: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return sum(map(len, self._segments)) + len(self._recent)

    def has(self, kind: Kind, id_: bytes) -> bool:
        """Whether a blob is stored."""
        key = id_ + _SUFFIX[kind]
        with self._lock:
            return key in self._recent or any(segment.has(key) for segment in self._segments)

    def find(self, kind: Kind, id_: bytes) -> list[Location]:
        """Every copy of a blob, newest first; empty when there is none."""
        key = id_ + _SUFFIX[kind]
        with self._lock:
            places = [self._recent[key]] if key in self._recent else []
            for segment in reversed(self._segments):
                places += [record[_KEY:] for record in segment.find(key)]
        return [self._location(place) for place in places]

    def add_pack(self, pack: str, blobs: Iterable[PackedBlob]) -> None:
        """Enter the blobs of a pack that is durable."""
        with self._lock:
            number = self._number(pack)
            for blob in blobs:
                self._recent[blob.id + _SUFFIX[blob.kind]] = _PLACE.pack(
                    number, blob.offset, blob.length, blob.raw_length
                )
            if len(self._recent) > _MAX_RECENT:
                self._fold([key + place for key, place in self._recent.items()])
                self._recent = {}

    def load(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Enter the blobs of index files, given as (name, JSON); `DamagedIndex` for a bad one."""
        records: list[bytes] = []
        for name, raw in files:
            for pack, blobs in decode_index(raw, name):
                number = self._number(pack)
                records += [
                    _RECORD.pack(b.id, b.kind == "tree", number, b.offset, b.length, b.raw_length)
                    for b in blobs
                ]
        with self._lock:
            self._fold(records)

    def packs(self) -> Iterator[tuple[str, list[PackedBlob]]]:
        """Every pack with its blobs in the order of their offsets."""
        with self._lock:
            records = [key + place for key, place in self._recent.items()]
            for segment in self._segments:
                records += segment.records()
            names = list(self._packs)
        records.sort(key=lambda record: record[_KEY : _KEY + 8])  # pack number, offset
        fields = map(_RECORD.unpack, dict.fromkeys(records))
        for number, group in itertools.groupby(fields, key=lambda field: field[2]):
            yield (
                names[number],
                [
                    PackedBlob(_KINDS[kind], id_, offset, length, raw_length)
                    for id_, kind, _, offset, length, raw_length in group
                ],
            )

    def _number(self, pack: str) -> int:
        """A pack's number, the same each time: two index files may name one pack."""
        number = self._numbers.setdefault(pack, len(self._packs))
        if number == len(self._packs):
            self._packs.append(pack)
        return number

    def _location(self, place: bytes) -> Location:
        number, offset, length, raw_length = _PLACE.unpack(place)
        return Location(self._packs[number], offset, length, raw_length)

    def _fold(self, records: list[bytes]) -> None:
        """Make a segment; segments of like size are merged, so there are few."""
        while self._segments and len(self._segments[-1]) <= 2 * len(records):
            records += self._segments.pop().records()
        if records:
            self._segments.append(Segment(records))


def encode_index(packs: Sequence[tuple[str, Sequence[PackedBlob]]]) -> bytes:
    """An index file's JSON."""
    return msgspec.json.encode(
        _IndexFile(
            [
                _IndexedPack(
                    pack,
                    [
                        _IndexedBlob(
                            blob.id.hex(), blob.kind, blob.offset, blob.length, blob.raw_length
                        )
                        for blob in blobs
                    ],
                )
                for pack, blobs in packs
            ]
        )
    )


def decode_index(raw: bytes, name: str) -> list[tuple[str, list[PackedBlob]]]:
    """The packs of an index file; `DamagedIndex` when it is none."""
    try:
        packs = _decoder.decode(raw).packs
        return [(check_id(pack.id), list(map(_packed_blob, pack.blobs))) for pack in packs]
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as fault:
        raise DamagedIndex(f"{name} is not an index: {fault}", subject=name) from fault


def check_id(text: str) -> str:
    """The id itself; `ValueError` when it is none."""
    if len(bytes.fromhex(text)) != 32 or text != text.lower():
        raise ValueError("an id is 64 lower-case hex digits")
    return text


def _packed_blob(blob: _IndexedBlob) -> PackedBlob:
    id_ = bytes.fromhex(blob.id)
    ends = blob.offset + blob.length
    if len(id_) != 32 or blob.length < 32 or blob.offset < 0 or ends > _MAX_LENGTH:
        raise ValueError("an impossible blob")
    if not 0 <= blob.uncompressed_length <= _MAX_LENGTH:
        raise ValueError("an impossible blob")
    return PackedBlob(blob.type, id_, blob.offset, blob.length, blob.uncompressed_length)
