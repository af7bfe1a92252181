"""Pieces of files to restore: read in runs of neighbouring blobs, written where they belong."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from console.repository.errors import Damage
from console.repository.kernel import Fault
from console.repository.landing import refuse_fatal, write_sparse
from console.repository.results import ItemFailure
from console.repository.source import text_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from console.repository.blobs import BlobReader
    from console.repository.index import Location
    from console.repository.kernel import Session
    from console.repository.landing import Landing
    from console.repository.progress import Progress
    from console.repository.repository import Repository
    from console.repository.stopping import StopToken
    from console.repository.trees import Node

RUN_BYTES = 4 * 1024 * 1024
RUN_PLAIN_BYTES = 16 * 1024 * 1024
MAX_GAP = 128 * 1024  # so many bytes read in vain cost less than another request


class Failures:
    """What could not be restored; thread-safe."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.items: list[ItemFailure] = []

    def add(self, item: ItemFailure) -> None:
        """One item, or a part of its metadata."""
        self.items.append(item)
        self._progress.add(failed=1)

    def damage(self, path: bytes, fault: Damage) -> None:
        """What the repository holds of it is damaged."""
        self.add(ItemFailure(text_path(path), fault.code, fault.message))

    def system(self, path: bytes, code: str, fault: OSError) -> None:
        """The system refused."""
        self.add(ItemFailure(text_path(path), code, fault.strerror or str(fault)))


class TargetFile:
    """A file being restored; several threads write its pieces."""

    def __init__(self, path: bytes, node: Node, progress: Progress) -> None:
        self.path = path
        self.node = node
        self.size = 0  # bytes, of all pieces
        self.left = 0  # pieces to be written
        self._progress = progress
        self._lock = threading.Lock()
        self._made = False
        self._failed = False

    def create(self, landing: Landing) -> None:
        """Make it with its full length, a hole; an empty one is complete then."""
        fd = landing.create_file(self.path)
        try:
            self._made = True
            os.truncate(fd, self.size)
            if not self.left:
                self._complete(landing, fd)
        finally:
            os.close(fd)

    def write(self, landing: Landing, content: bytes, offset: int) -> None:
        """Write one piece; the last one completes the file."""
        if self._failed:
            self._piece_done()
            return
        fd = landing.reopen_file(self.path) if self._made else landing.create_file(self.path)
        try:
            if not self._made:
                self._made = True
                os.truncate(fd, self.size)
            write_sparse(fd, content, offset)
            self._progress.add(bytes_done=len(content))
            if self._piece_done() and not self._failed:
                self._complete(landing, fd)
        finally:
            os.close(fd)

    def fail(self, landing: Landing) -> bool:
        """Give it up, and take away what is there; True the first time."""
        with self._lock:
            first = not self._failed
            self._failed = True
        if first and self._made:
            with contextlib.suppress(OSError):
                landing.remove_file(self.path)
        return first

    def _piece_done(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left == 0

    def _complete(self, landing: Landing, fd: int) -> None:
        landing.dress(fd, self.path, self.node)
        self._progress.add(files_done=1)


class Piece(NamedTuple):
    """One blob of one file."""

    location: Location
    id: bytes
    file: TargetFile
    offset: int  # in the file


class _Lane:
    """What one thread works with."""

    def __init__(self, repo: Repository, landing: Landing) -> None:
        self.landing = landing
        self.session: Session = repo.session(verify=False)
        self.reader: BlobReader = repo.reader()


class PieceWriter:
    """Reads and writes pieces with the repository's number of threads."""

    def __init__(
        self,
        repo: Repository,
        landings: Sequence[Landing],
        failures: Failures,
        stop: StopToken,
    ) -> None:
        self._failures = failures
        self._stop = stop
        self._pool = ThreadPoolExecutor(len(landings), "repository:write")
        self._lanes: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        for landing in landings:
            self._lanes.put(_Lane(repo, landing))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, pieces: Sequence[Piece]) -> None:
        """Write pieces of any files, in the order they are stored in; returns when done."""
        futures = [self._pool.submit(self._write_run, run) for run in runs(pieces)]
        for future in futures:
            future.result()

    def _write_run(self, run: Sequence[Piece]) -> None:
        self._stop.check()
        lane = self._lanes.get()
        try:
            for piece, content in self._contents(lane, run):
                self._stop.check()  # a run may hold thousands of files
                if isinstance(content, Damage):
                    if piece.file.fail(lane.landing):
                        self._failures.damage(piece.file.path, content)
                    continue
                try:
                    piece.file.write(lane.landing, content, piece.offset)
                except OSError as fault:
                    refuse_fatal(fault)
                    if piece.file.fail(lane.landing):
                        self._failures.system(piece.file.path, "item.write", fault)
        finally:
            self._lanes.put(lane)

    @staticmethod
    def _contents(lane: _Lane, run: Sequence[Piece]) -> Iterator[tuple[Piece, bytes | Damage]]:
        """Each piece with its verified content; blobs used twice are opened once."""
        first, last = run[0].location, run[-1].location
        try:
            raw = memoryview(
                lane.reader.read_range(
                    first.pack, first.offset, last.offset + last.length - first.offset
                )
            )
        except Damage:
            raw = memoryview(b"")  # then each by itself: only some may be lost
        at, content = -1, b""
        for piece in run:
            where = piece.location
            if where.offset != at:
                start = where.offset - first.offset
                sealed = raw[start : start + where.length]
                (opened,) = lane.session.open([sealed], [where.raw_length], [piece.id])
                if isinstance(opened, Fault):
                    try:  # there may be another copy
                        opened = lane.reader.data(piece.id)
                    except Damage as fault:
                        yield piece, fault
                        continue
                at, content = where.offset, opened
            yield piece, content


def runs(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces in groups that are read at once: one pack, near each other, bounded."""
    run: list[Piece] = []
    plain = 0
    for piece in sorted(pieces, key=lambda piece: piece.location[:2]):
        where = piece.location
        if run:
            first, last = run[0].location, run[-1].location
            if (
                where.pack != first.pack
                or where.offset + where.length - first.offset > RUN_BYTES
                or where.offset - last.offset - last.length > MAX_GAP
                or plain > RUN_PLAIN_BYTES
            ):
                yield run
                run, plain = [], 0
        if not run or where.offset != run[-1].location.offset:
            plain += where.plain_length
        run.append(piece)
    if run:
        yield run
