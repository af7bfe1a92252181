"""Backing entries from memory up: Kubernetes objects as files of a snapshot."""

from __future__ import annotations

import time as clock
from typing import TYPE_CHECKING

from console.repository.finish import draft_snapshot, save_result
from console.repository.packing import BlobWriter
from console.repository.progress import Progress
from console.repository.quoting import quote
from console.repository.tally import Tally
from console.repository.trees import (
    Node,
    encode_node,
    encode_tree,
    format_time,
    go_mode,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from console.repository.kernel import Session
    from console.repository.repository import Repository
    from console.repository.results import BackupResult

BATCH_BYTES = 4 * 1024 * 1024
_EPOCH = format_time(0)
_FILE_MODE, _FOLDER_MODE = 0o100644, 0o040755

Folder = dict[bytes, "Folder | Node"]


def back_up_objects(
    repo: Repository,
    entries: Iterable[tuple[str, bytes]],
    *,
    tags: Collection[str] = (),
    paths: Collection[str] = ("/objects",),
    hostname: str = "kubehaven",
    time: str = "",
) -> BackupResult:
    """Back entries from memory up: pairs of path and content.

    Metadata is fixed (mode 0644 and 0755, owner 0, times 1970), so unchanged
    entries and folders are the same blobs in every snapshot. Holds a shared lock.

    Args:
        time: The snapshot's time, RFC 3339; now when not said.

    Raises:
        ValueError: A path no folder can hold, or given twice.
        RepositoryLocked, LockLost, Damage, StoreError.
    """
    repo.require_writable()
    taken_at = parse_time(time) if time else clock.time_ns()
    tally = Tally(Progress())
    with repo.lock():
        with BlobWriter(repo, tally.progress) as writer:
            session = repo.session()
            root: Folder = {}
            for path, node in _stored_files(entries, writer, session, tally):
                _enter(root, path, node)
            tree = _store_folder(root, writer, session, tally)
        draft = draft_snapshot(taken_at, tree, paths=paths, tags=tags, hostname=hostname)
        return save_result(repo, draft, tally, writer.added, None)


def _stored_files(
    entries: Iterable[tuple[str, bytes]], writer: BlobWriter, session: Session, tally: Tally
) -> Iterator[tuple[str, Node]]:
    """Each path with the node of its stored content, a few MiB at a time."""
    batch: list[tuple[str, bytes]] = []
    size = 0
    for path, content in entries:
        batch.append((path, content))
        size += len(content)
        if size > BATCH_BYTES:
            yield from _store_batch(batch, writer, session, tally)
            batch, size = [], 0
    yield from _store_batch(batch, writer, session, tally)


def _store_batch(
    batch: list[tuple[str, bytes]], writer: BlobWriter, session: Session, tally: Tally
) -> Iterator[tuple[str, Node]]:
    pieces = [_cut(content, session) for _, content in batch]
    ids = iter(writer.put(session, "data", [piece for parts in pieces for piece in parts]))
    for (path, content), parts in zip(batch, pieces, strict=True):
        node = _fixed_node(path.rpartition("/")[2].encode(), "file", _FILE_MODE)
        node.size = len(content)
        node.links = 1
        node.content = [next(ids).hex() for _ in parts]
        tally.progress.add(bytes_done=len(content))
        tally.file(len(content), None)
        yield path, node


def _cut(content: bytes, session: Session) -> list[memoryview]:
    """The chunks of a content, as of a file."""
    view, at, parts = memoryview(content), 0, []
    for length in session.cut(view) if content else ():
        parts.append(view[at : at + length])
        at += length
    return parts


def _enter(root: Folder, path: str, node: Node) -> None:
    """Put a file's node where its path says."""
    *folders, name = [step.encode() for step in path.split("/")]
    here = root
    for step in folders:
        below = here.setdefault(_checked(step, path), {})
        if isinstance(below, Node):
            raise ValueError(f"{path!r} goes through an entry")  # noqa: TRY004 - of the value
        here = below
    if here.setdefault(_checked(name, path), node) is not node:
        raise ValueError(f"{path!r} is given twice")


def _checked(step: bytes, path: str) -> bytes:
    if step in {b"", b".", b".."} or b"\0" in step:
        raise ValueError(f"{path!r} is no path a folder can hold")
    return step


def _store_folder(folder: Folder, writer: BlobWriter, session: Session, tally: Tally) -> bytes:
    lines = []
    for name in sorted(folder):
        entry = folder[name]
        if not isinstance(entry, Node):
            node = _fixed_node(name, "dir", _FOLDER_MODE)
            node.subtree = _store_folder(entry, writer, session, tally).hex()
            entry = node
        lines.append(encode_node(entry))
    (tree,) = writer.put(session, "tree", [encode_tree(lines)])
    tally.folder(is_new=True, is_changed=False)
    return tree


def _fixed_node(name: bytes, kind: str, st_mode: int) -> Node:
    return Node(
        quoted_name=quote(name),
        type=kind,
        mode=go_mode(st_mode),
        mtime=_EPOCH,
        atime=_EPOCH,
        ctime=_EPOCH,
    )
