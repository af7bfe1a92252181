"""Jobs that read files: small ones in batches, large ones window by window. POSIX."""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import TYPE_CHECKING, NamedTuple

from console.repository.kernel import MAX_CHUNK, MIN_CHUNK
from console.repository.results import ItemFailure
from console.repository.source import (
    IGNORED_XATTRS,
    Item,
    failure,
    make_node,
    next_data,
    open_file,
    read_xattrs,
    text_path,
)
from console.repository.trees import Node, encode_node, parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.repository.archiver import Folder, Worker
    from console.repository.packing import BlobWriter

BATCH_FILES = 64
BATCH_BYTES = 2 * 1024 * 1024


class FileTask(NamedTuple):
    """A file to be read."""

    folder: Folder
    slot: int
    item: Item
    before: Node | None  # what stood under its name in the parent snapshot

    @property
    def path(self) -> bytes:
        """Relative to the root."""
        return self.folder.child_path(self.item.name)


def unchanged_node(item: Item, before: Node | None, writer: BlobWriter) -> Node | None:
    """The file's node when it is what the parent snapshot holds and its blobs are stored.

    Unchanged is: same size, inode, change and modification time. The change time
    covers xattrs too. A prune may have removed blobs, so each is looked up.
    """
    st = item.stat
    if before is None or before.type != "file" or before.content is None:
        return None
    if before.size != st.st_size or before.inode != st.st_ino:
        return None
    node = make_node(item)
    if not (_same_time(before.ctime, node.ctime) and _same_time(before.mtime, node.mtime)):
        return None
    if (st.st_size > 0) != bool(before.content):
        return None
    for text in before.content:
        if len(text) != 64 or not writer.has("data", bytes.fromhex(text)):
            return None
    node.content = before.content
    node.extended_attributes = [
        attribute
        for attribute in before.extended_attributes or ()
        if attribute.name not in IGNORED_XATTRS
    ]
    return node


def batches(tasks: Sequence[FileTask]) -> list[BatchJob]:
    """Small files in groups of bounded number and size."""
    jobs: list[BatchJob] = []
    batch: list[FileTask] = []
    size = 0
    for task in tasks:
        if batch and (len(batch) == BATCH_FILES or size + task.item.stat.st_size > BATCH_BYTES):
            jobs.append(BatchJob(batch))
            batch, size = [], 0
        batch.append(task)
        size += task.item.stat.st_size
    if batch:
        jobs.append(BatchJob(batch))
    return jobs


class BatchJob:
    """Reads some small files of one folder; each is one blob."""

    def __init__(self, tasks: Sequence[FileTask]) -> None:
        self._tasks = tasks

    def run(self, worker: Worker) -> None:
        """See `Job`."""
        archiver, folder = worker.archiver, self._tasks[0].folder
        read: list[tuple[FileTask, Node, bytes]] = []
        for task in self._tasks:
            archiver.stop.check()
            try:
                fd = open_file(worker.beneath.folder(folder.path), task.item.name)
            except OSError as fault:
                archiver.tally.fail(failure(task.path, fault))
                continue
            try:
                node, content = self._read(fd, worker, task)
            except OSError as fault:
                archiver.tally.fail(failure(task.path, fault))
            else:
                if node is not None:
                    read.append((task, node, content))
            finally:
                os.close(fd)
        self._store(worker, read)
        worker.close(folder)

    @staticmethod
    def _read(fd: int, worker: Worker, task: FileTask) -> tuple[Node | None, bytes]:
        """A file's node and content; no node when it has grown into a large file."""
        st = _regular(fd)
        if st.st_size > MIN_CHUNK:
            task.folder.hold()
            worker.archiver.push([LargeFileJob(task)])
            return None, b""
        node = _file_node(fd, task, st)
        content = _read_exactly(fd, st.st_size)
        node.size = len(content)
        _note_change(fd, st, worker, task, read=len(content))
        return node, content

    @staticmethod
    def _store(worker: Worker, read: Sequence[tuple[FileTask, Node, bytes]]) -> None:
        archiver = worker.archiver
        contents = [content for _, _, content in read if content]
        ids = iter(archiver.writer.put(worker.session, "data", contents))
        for task, node, content in read:
            if content:
                node.content = [next(ids).hex()]
            task.folder.lines[task.slot] = encode_node(node)
            archiver.tally.progress.add(bytes_done=len(content))
            archiver.tally.file(len(content), task.before)


class LargeFileJob:
    """Reads a large file; put back on the stack after each window, so all threads share it."""

    def __init__(self, task: FileTask) -> None:
        self._task = task
        self._lock = threading.Lock()
        self._fd = -1
        self._node: Node | None = None
        self._stat: os.stat_result | None = None
        self._offset = 0
        self._ids: list[list[bytes]] = []
        self._sealing = 0
        self._at_end = False

    def run(self, worker: Worker) -> None:
        """See `Job`."""
        chunks: list[memoryview] = []
        with self._lock:
            self._sealing += 1
            try:
                chunks = self._next_window(worker)
            except OSError as fault:
                worker.archiver.tally.fail(failure(self._task.path, fault))
                self._node, self._at_end = None, True
            ids: list[bytes] = []
            self._ids.append(ids)
            more = not self._at_end
        if more:
            worker.archiver.push([self])
        ids += worker.archiver.writer.put(worker.session, "data", chunks)
        worker.archiver.tally.progress.add(bytes_done=sum(map(len, chunks)))
        with self._lock:
            self._sealing -= 1
            last = self._at_end and not self._sealing
        if last:
            self._finish(worker)

    def _next_window(self, worker: Worker) -> list[memoryview]:
        """The next chunks; sets the end when they are the last."""
        size = (self._stat or self._open(worker)).st_size
        self._skip_hole(worker, size)
        want = min(MAX_CHUNK, size - self._offset)
        length = _read_into(self._fd, worker.window[:want], self._offset)
        lengths = worker.session.cut(worker.window[:length]) if length else []
        # less than a window: the file ends here, or has shrunk meanwhile
        self._at_end = length < want or self._offset + length >= size
        if not self._at_end and len(lengths) > 1:
            lengths.pop()  # its cut may lie beyond the window
        chunks, at = [], 0
        for chunk in lengths:
            chunks.append(worker.window[at : at + chunk])
            at += chunk
        self._offset += at
        return chunks

    def _open(self, worker: Worker) -> os.stat_result:
        task = self._task
        self._fd = open_file(worker.beneath.folder(task.folder.path), task.item.name)
        worker.archiver.open_files.add(self._fd)
        self._stat = _regular(self._fd)
        self._node = _file_node(self._fd, task, self._stat)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return self._stat

    def _skip_hole(self, worker: Worker, size: int) -> None:
        """Name the zeros of a hole without reading them; the cuts are those of reading."""
        hole = min(next_data(self._fd, self._offset), size) - self._offset
        if hole < MAX_CHUNK:
            return
        length, id_ = worker.zero_chunk()
        count = 1 + (hole - MAX_CHUNK) // length  # a cut looks no further than a window
        self._ids.append([id_] * count)
        self._offset += count * length
        worker.archiver.tally.progress.add(bytes_done=count * length)

    def _finish(self, worker: Worker) -> None:
        task, node = self._task, self._node
        if node is not None and self._stat is not None:
            node.content = [id_.hex() for ids in self._ids for id_ in ids]
            node.size = self._offset
            _note_change(self._fd, self._stat, worker, task, read=self._offset)
            task.folder.lines[task.slot] = encode_node(node)
            worker.archiver.tally.file(self._offset, task.before)
        if self._fd >= 0:
            worker.archiver.open_files.discard(self._fd)
            os.close(self._fd)
        worker.close(task.folder)


def _regular(fd: int) -> os.stat_result:
    st = os.fstat(fd)
    if not stat.S_ISREG(st.st_mode):
        raise OSError(errno.ESTALE, "it is no longer a file")
    return st


def _file_node(fd: int, task: FileTask, st: os.stat_result) -> Node:
    node = make_node(Item(task.item.name, st))
    node.extended_attributes = read_xattrs(fd)
    return node


def _read_exactly(fd: int, size: int) -> bytes:
    """That many bytes, or fewer where the file ends."""
    content = os.read(fd, size)
    while len(content) < size:
        more = os.read(fd, size - len(content))
        if not more:
            break
        content += more
    return content


def _read_into(fd: int, window: memoryview, offset: int) -> int:
    """Fill a window; the length is shorter where the file ends."""
    length = 0
    while length < len(window):
        count = os.preadv(fd, [window[length:]], offset + length)
        if not count:
            break
        length += count
    return length


def _note_change(fd: int, st: os.stat_result, worker: Worker, task: FileTask, *, read: int) -> None:
    """Report a file that changed while it was read; what is stored is what was read."""
    now = os.fstat(fd)
    if read != st.st_size or (now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (
        st.st_size,
        st.st_mtime_ns,
        st.st_ctime_ns,
    ):
        worker.archiver.tally.fail(
            ItemFailure(
                text_path(task.path),
                "item.changed",
                f"it changed while it was read; {read} bytes are stored as they were read",
            )
        )


def _same_time(one: str, other: str) -> bool:
    if one == other:
        return True
    if one.endswith("Z"):
        return False
    try:
        return parse_time(one) == parse_time(other)
    except ValueError:
        return False
