"""Snapshots: a time, a root tree and labels, each in a file named by its own hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.repository.errors import DamagedSnapshot, NoSuchSnapshot
from console.repository.index import check_id
from console.repository.trees import parse_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the backup counted, as newer versions of restic store it."""

    backup_start: str = ""
    backup_end: str = ""
    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    dirs_new: int = 0
    dirs_changed: int = 0
    dirs_unmodified: int = 0
    data_blobs: int = 0
    tree_blobs: int = 0
    data_added: int = 0  # bytes before compression
    data_added_packed: int = 0  # bytes in packs
    total_files_processed: int = 0
    total_bytes_processed: int = 0
    items_failed: int = 0  # ours; restic leaves it alone


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One state of a tree."""

    id: str = ""  # the file's name, 64 hex digits; not stored inside
    time: str  # RFC 3339
    parent: str = ""
    tree: str
    paths: tuple[str, ...] = ()
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    original: str = ""
    program_version: str = ""
    summary: Summary | None = None

    @property
    def time_ns(self) -> int:
        """When it was taken: nanoseconds since the epoch."""
        return parse_time(self.time)


class _StoredSnapshot(msgspec.Struct):
    """Fields that restic writes as null are none for us."""

    time: str
    tree: str
    parent: str | None = None
    paths: list[str] | None = None
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: list[str] | None = None
    tags: list[str] | None = None
    original: str | None = None
    program_version: str = ""
    summary: Summary | None = None


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot's JSON; the id is not part of it."""
    if snapshot.id:
        raise ValueError("a stored snapshot does not hold its own id")
    return msgspec.json.encode(snapshot)


def decode_snapshot(raw: bytes, name: str) -> Snapshot:
    """A snapshot; `DamagedSnapshot` when it is none."""
    try:
        stored = msgspec.json.decode(raw, type=_StoredSnapshot)
        parse_time(stored.time)
        check_id(stored.tree)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as fault:
        raise DamagedSnapshot(f"{name} is not a snapshot: {fault}", subject=name) from fault
    return Snapshot(
        id=name.rpartition("/")[2],
        time=stored.time,
        parent=stored.parent or "",
        tree=stored.tree,
        paths=tuple(stored.paths or ()),
        hostname=stored.hostname,
        username=stored.username,
        uid=stored.uid,
        gid=stored.gid,
        excludes=tuple(stored.excludes or ()),
        tags=tuple(stored.tags or ()),
        original=stored.original or "",
        program_version=stored.program_version,
        summary=stored.summary,
    )


def select(snapshots: Iterable[Snapshot], *, tags: Collection[str] = ()) -> list[Snapshot]:
    """Those with every one of the tags, oldest first."""
    wanted = set(tags)
    chosen = [snapshot for snapshot in snapshots if wanted <= set(snapshot.tags)]
    return sorted(chosen, key=lambda snapshot: (snapshot.time_ns, snapshot.id))


def find(snapshots: Collection[Snapshot], wanted: str) -> Snapshot:
    """The one whose id begins so, or the newest for `latest`; `NoSuchSnapshot` otherwise."""
    if wanted == "latest":
        if not snapshots:
            raise NoSuchSnapshot("the repository holds no snapshot")
        return select(snapshots)[-1]
    fitting = [snapshot for snapshot in snapshots if wanted and snapshot.id.startswith(wanted)]
    if len(fitting) == 1:
        return fitting[0]
    how_many = f"{len(fitting)} snapshots begin" if fitting else "no snapshot begins"
    raise NoSuchSnapshot(f"{how_many} with {wanted[:80]!r}", subject=wanted[:80])
