"""Carries a backup out: folders, batches of small files, windows of large ones, in threads.

A folder is read by one job; its small files are read and sealed in batches, a
large file in windows: reading and cutting is serial per file, sealing is not.
A folder's tree is stored when its last entry is done, so at most the folders on
the way down are open. POSIX.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from typing import TYPE_CHECKING, Protocol

from console.repository.beneath import Beneath
from console.repository.blobs import BlobReader
from console.repository.errors import Damage
from console.repository.file_jobs import FileTask, LargeFileJob, batches, unchanged_node
from console.repository.kernel import MAX_CHUNK, MIN_CHUNK
from console.repository.results import ItemFailure
from console.repository.source import (
    Item,
    failure,
    make_node,
    read_folder,
    read_xattrs,
    special_node,
    text_path,
)
from console.repository.trees import Node, encode_node, encode_tree
from console.repository.work import WorkStack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.repository.kernel import Session
    from console.repository.packing import BlobWriter
    from console.repository.repository import Repository
    from console.repository.stopping import StopToken
    from console.repository.tally import Tally

log = logging.getLogger(__name__)


class Folder:
    """A folder under way: its own node, and the encoded nodes of its entries by slot."""

    def __init__(
        self, path: bytes, name: bytes, *, parent: Folder | None, slot: int, before: bytes | None
    ) -> None:
        self.path = path
        self.name = name
        self.parent = parent
        self.slot = slot
        self.before = before  # the tree it had in the parent snapshot
        self.node: Node | None = None  # None: it could not be read
        self.lines: list[bytes | None] = []
        self._lock = threading.Lock()
        self._open = 1

    def hold(self, count: int = 1) -> None:
        """Wait for that many entries more."""
        with self._lock:
            self._open += count

    def release(self) -> bool:
        """An entry is done; True when it was the last."""
        with self._lock:
            self._open -= 1
            return self._open == 0

    def child_path(self, name: bytes) -> bytes:
        """The path of an entry, relative to the root."""
        return self.path + b"/" + name if self.path else name


class Job(Protocol):
    """One piece of work for one thread."""

    def run(self, worker: Worker) -> None:
        """Do it; may push more jobs."""


class Worker:
    """What one thread works with."""

    def __init__(self, archiver: Archiver, beneath: Beneath) -> None:
        self.archiver = archiver
        self.beneath = beneath
        self.session: Session = archiver.repo.session()
        self.reader: BlobReader = archiver.repo.reader()
        self.window = memoryview(bytearray(MAX_CHUNK))
        self._zeros: tuple[int, bytes] | None = None

    def zero_chunk(self) -> tuple[int, bytes]:
        """Length and id of the chunk a hole begins with; the blob is stored."""
        zeros = bytes(MAX_CHUNK)
        if self._zeros is None or not self.archiver.writer.has("data", self._zeros[1]):
            length = self.session.cut(zeros)[0]
            (id_,) = self.archiver.writer.put(self.session, "data", [zeros[:length]])
            self._zeros = length, id_
        return self._zeros

    def close(self, folder: Folder) -> None:
        """Let go of a folder; stores its tree, and those above, when nothing is left."""
        here: Folder | None = folder
        while here is not None and here.release():
            if here.node is not None:
                self.archiver.finish(self.session, here, here.node)
            here = here.parent


class Archiver:
    """One backup of one tree."""

    def __init__(
        self,
        repo: Repository,
        writer: BlobWriter,
        *,
        tally: Tally,
        stop: StopToken,
    ) -> None:
        self.repo = repo
        self.writer = writer
        self.tally = tally
        self.stop = stop
        self._work: WorkStack[Job] = WorkStack(())
        self.open_files: set[int] = set()  # of large files under way
        self._root_tree = b""
        self._root_node: Node | None = None

    def run(
        self, root: int, *, name: bytes, before: bytes | None, workers: int
    ) -> tuple[bytes, Node]:
        """Store the tree of an open folder; its tree's id and its node.

        Raises:
            OSError: The folder itself can't be read.
        """
        folder = Folder(b"", name, parent=None, slot=0, before=before)
        self._work.push([FolderJob(folder)])

        def work(take: Callable[[], Job | None]) -> None:
            with Beneath(root) as beneath:
                worker = Worker(self, beneath)
                while (job := take()) is not None:
                    self.stop.check()
                    job.run(worker)

        try:
            self._work.run(workers, work)
        finally:
            for fd in self.open_files:
                os.close(fd)
        if self._root_node is None:
            raise OSError(errno.EIO, "the folder could not be read")
        return self._root_tree, self._root_node

    def push(self, jobs: Sequence[Job]) -> None:
        """More work; the last job is taken first."""
        self._work.push(jobs)

    def finish(self, session: Session, folder: Folder, node: Node) -> None:
        """Store a folder's tree and give its node to the folder above."""
        tree = encode_tree(line for line in folder.lines if line is not None)
        folder.lines = []
        (id_,) = self.writer.put(session, "tree", [tree])
        known = folder.before is not None
        self.tally.folder(is_new=not known, is_changed=known and id_ != folder.before)
        node.subtree = id_.hex()
        if folder.parent is None:
            self._root_tree, self._root_node = id_, node
        else:
            folder.parent.lines[folder.slot] = encode_node(node)


class FolderJob:
    """Reads a folder, keeps what is unchanged, makes jobs of the rest."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def run(self, worker: Worker) -> None:
        """See `Job`."""
        folder, tally = self._folder, worker.archiver.tally
        try:
            fd = worker.beneath.folder(folder.path)
            own = make_node(Item(folder.name, os.fstat(fd)))
            own.extended_attributes = read_xattrs(fd)
            items = read_folder(
                fd, lambda name, fault: tally.fail(failure(folder.child_path(name), fault))
            )
        except OSError as fault:
            tally.fail(failure(folder.path, fault))
            worker.close(folder)
            return
        folder.node = own
        folder.lines = [None] * len(items)
        known = self._known(worker.reader)
        tally.progress.add(
            files_total=sum(item.kind == "file" for item in items),
            bytes_total=sum(item.stat.st_size for item in items if item.kind == "file"),
        )
        jobs: list[Job] = []
        small: list[FileTask] = []
        for slot, item in enumerate(items):
            job = self._sort(worker, fd, FileTask(folder, slot, item, known.get(item.name)))
            if isinstance(job, FileTask):
                small.append(job)
            elif job is not None:
                jobs.append(job)
        jobs += batches(small)
        folder.hold(len(jobs))
        worker.archiver.push(jobs)
        worker.close(folder)

    def _known(self, reader: BlobReader) -> dict[bytes, Node]:
        """The folder's nodes in the parent snapshot; damage there costs only time."""
        if self._folder.before is None:
            return {}
        try:
            return {node.name: node for node in reader.tree(self._folder.before)}
        except Damage as fault:
            log.warning("a folder is read anew: %s", fault)
            return {}

    def _sort(self, worker: Worker, fd: int, task: FileTask) -> Job | FileTask | None:
        """A job for what needs one, the task itself for a small file, None for what is done."""
        item, folder, archiver = task.item, task.folder, worker.archiver
        path = folder.child_path(item.name)
        match item.kind:
            case "dir":
                before = _subtree(task.before)
                return FolderJob(
                    Folder(path, item.name, parent=folder, slot=task.slot, before=before)
                )
            case "file":
                unchanged = unchanged_node(item, task.before, archiver.writer)
                if unchanged is not None:
                    folder.lines[task.slot] = encode_node(unchanged)
                    archiver.tally.file(unchanged.size, task.before, unchanged=True)
                    return None
                return LargeFileJob(task) if item.stat.st_size > MIN_CHUNK else task
            case "socket":
                archiver.tally.skip(
                    ItemFailure(text_path(path), "item.socket", "sockets are not stored")
                )
            case "":
                archiver.tally.fail(
                    ItemFailure(text_path(path), "item.special", "of a kind that is not stored")
                )
            case _:
                try:
                    folder.lines[task.slot] = encode_node(special_node(fd, item))
                except OSError as fault:
                    archiver.tally.fail(failure(path, fault))
        return None


def _subtree(before: Node | None) -> bytes | None:
    """The id of the tree a folder had, if it was a folder."""
    if before is None or before.type != "dir":
        return None
    try:
        return BlobReader.tree_id(before)
    except Damage:
        return None
