"""Backing a folder up: its tree becomes a snapshot. POSIX."""

from __future__ import annotations

import contextlib
import os
import time as clock
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from console.repository.archiver import Archiver
from console.repository.blobs import BlobReader
from console.repository.errors import Damage, SourceUnfit
from console.repository.finish import draft_snapshot, save_result
from console.repository.packing import BlobWriter
from console.repository.progress import Progress
from console.repository.source import count_tree
from console.repository.stopping import StopToken
from console.repository.tally import Tally
from console.repository.trees import encode_node, encode_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from console.repository.repository import Repository
    from console.repository.results import BackupResult
    from console.repository.snapshots import Snapshot
    from console.repository.trees import Node


def back_up(
    repo: Repository,
    source: Path,
    *,
    tags: Collection[str] = (),
    paths: Collection[str] = ("/",),
    top_name: str | None = "volume",
    parent: Snapshot | None = None,
    hostname: str = "kubehaven",
    progress: Progress | None = None,
    stop: StopToken | None = None,
) -> BackupResult:
    """Back a folder's tree up.

    What can't be read is in the result's failures; the rest is stored. Holds a
    shared lock. After an error or a stop the repository is valid, without a
    snapshot, and finished packs are kept, so that a second try is cheap.

    Args:
        paths: Labels, as restic shows them.
        top_name: The snapshot holds one folder of this name, which carries the
            root's own owner, mode, times and xattrs; None: it holds the contents.
        parent: Files unchanged since this snapshot are not read.

    Raises:
        SourceUnfit, Cancelled, RepositoryLocked, LockLost, Damage, StoreError.
    """
    repo.require_writable()
    is_watched = progress is not None
    progress, stop = progress or Progress(), stop or StopToken()
    started = clock.time_ns()
    root = _open_source(source)
    try:
        with repo.lock():
            tally = Tally(progress)
            before = _tree_before(repo, parent, top_name)
            early = _expecting(root, progress, parent) if is_watched else contextlib.nullcontext()
            with early, BlobWriter(repo, progress) as writer:
                archiver = Archiver(repo, writer, tally=tally, stop=stop)
                name = os.fsencode(top_name or "volume")
                try:
                    tree, node = archiver.run(root, name=name, before=before, workers=repo.threads)
                except OSError as fault:
                    raise _unreadable(source, fault) from fault
                tree = tree if top_name is None else _wrapped(repo, writer, node)
            stop.check()
            draft = draft_snapshot(started, tree, paths=paths, tags=tags, hostname=hostname)
            return save_result(repo, draft, tally, writer.added, parent)
    finally:
        os.close(root)


def _wrapped(repo: Repository, writer: BlobWriter, node: Node) -> bytes:
    """The tree that holds one folder, and with it the root's own owner, mode and times."""
    (tree,) = writer.put(repo.session(), "tree", [encode_tree([encode_node(node)])])
    return tree


@contextlib.contextmanager
def _expecting(root: int, progress: Progress, parent: Snapshot | None) -> Iterator[None]:
    """Tell the totals early: from the parent, else by counting beside the backup."""
    if parent is not None and parent.summary is not None:
        progress.expect(
            bytes_total=parent.summary.total_bytes_processed,
            files_total=parent.summary.total_files_processed,
        )
        yield
        return
    done = StopToken()

    def count() -> None:
        total, files = count_tree(root, done)
        if not done.stopped:
            progress.expect(bytes_total=total, files_total=files)

    with ThreadPoolExecutor(1, "repository:count") as pool:
        counting = pool.submit(count)
        try:
            yield
        finally:
            done.stop()
    counting.result()


def _open_source(source: Path) -> int:
    try:
        return os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as fault:
        raise _unreadable(source, fault) from fault


def _unreadable(source: Path, fault: OSError) -> SourceUnfit:
    return SourceUnfit(
        f"{source} can't be backed up: {fault.strerror or fault}", subject=str(source)
    )


def _tree_before(repo: Repository, parent: Snapshot | None, top_name: str | None) -> bytes | None:
    """The tree of the parent snapshot that stands for the folder; damage there is no obstacle."""
    if parent is None:
        return None
    tree = bytes.fromhex(parent.tree)
    if top_name is None:
        return tree
    try:
        for node in repo.reader().tree(tree):
            if node.type == "dir" and node.text_name == top_name:
                return BlobReader.tree_id(node)
    except Damage:
        pass
    return None
