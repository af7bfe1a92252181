"""Restoring a tree: read pack by pack, verified, written sparse, metadata last. POSIX.

One thread walks the tree and makes folders; the blobs its files need are
collected, sorted by place, read in runs and written by several threads. Memory
grows with the number of folders and hard links, not of files.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from console.repository.beneath import Beneath
from console.repository.blobs import content_ids
from console.repository.browsing import find_node, folder_nodes
from console.repository.errors import Damage, DamagedIndex, NoSuchPath, TargetUnfit
from console.repository.landing import Landing, refuse_fatal
from console.repository.pieces import Failures, Piece, PieceWriter, TargetFile
from console.repository.progress import Progress
from console.repository.results import ItemFailure, RestoreResult
from console.repository.stopping import StopToken

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from console.repository.repository import Repository
    from console.repository.snapshots import Snapshot
    from console.repository.trees import Node

WINDOW_PIECES = 8192


def restore_tree(
    repo: Repository,
    snapshot: Snapshot,
    target: Path,
    *,
    subpath: str = "volume",
    progress: Progress | None = None,
    stop: StopToken | None = None,
    owner_map: Collection[tuple[int, int]] = (),
    beside: Collection[str] = (),
) -> RestoreResult:
    """Put what a snapshot holds in one folder into a new or empty folder.

    What can't be restored is in the result's failures, damaged files among it
    (they are taken away again); the rest is restored. An ordinary user's files
    become his own. Holds a shared lock. A stop leaves a partial tree.

    Args:
        subpath: The folder in the snapshot. The target gets its owner, mode, times
            and xattrs too; `""` is the snapshot's root, which has none.
        owner_map: Pairs of an owner or group stored and the one to set.
        beside: Names that the folder may hold already, besides `lost+found`.

    Raises:
        NoSuchPath, TargetUnfit, Cancelled, RepositoryLocked, Damage, StoreError.
    """
    progress, stop = progress or Progress(), stop or StopToken()
    with repo.lock():
        top = find_node(repo.reader(), snapshot, subpath)
        if top is not None and top.type != "dir":
            raise NoSuchPath(f"{subpath!r} is a {top.type}, not a folder", subject=subpath)
        if snapshot.summary is not None and subpath == "volume":
            progress.expect(
                bytes_total=snapshot.summary.total_bytes_processed,
                files_total=snapshot.summary.total_files_processed,
            )
        root = _open_target(target, {"lost+found", *beside})
        try:
            restore = _Restore(repo, root, progress=progress, stop=stop, owners=dict(owner_map))
            return restore.run(snapshot, top)
        except OSError as fault:
            raise TargetUnfit(
                f"{target} can't be written: {fault.strerror}", subject=str(target)
            ) from fault
        finally:
            os.close(root)


def _open_target(target: Path, allowed: set[str]) -> int:
    """A descriptor of the folder, made if need be; it must be empty but for what is allowed."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        names = set(os.listdir(fd))
        lost = "lost+found" in names and os.listdir(target / "lost+found")
        if names <= allowed and not lost:
            return fd
    except OSError as fault:
        raise TargetUnfit(
            f"{target} can't be restored to: {fault.strerror}", subject=str(target)
        ) from fault
    os.close(fd)
    raise TargetUnfit(
        f"{target} is not empty", subject=str(target), hint="restore to a new or empty folder"
    )


class _Restore:
    """One restore of one folder."""

    def __init__(
        self,
        repo: Repository,
        root: int,
        *,
        progress: Progress,
        stop: StopToken,
        owners: dict[int, int],
    ) -> None:
        self._repo = repo
        self._root = root
        self._progress = progress
        self._stop = stop
        self._owners = owners
        self._reader = repo.reader()
        self._failures = Failures(progress)
        self._pieces: list[Piece] = []
        self._folders: list[tuple[bytes, Node]] = []
        self._first_names: dict[tuple[int, int], TargetFile] = {}
        self._links: list[tuple[TargetFile, bytes]] = []

    def run(self, snapshot: Snapshot, top: Node | None) -> RestoreResult:
        nodes = folder_nodes(self._reader, snapshot, top)
        with contextlib.ExitStack() as stack:
            landing = self._make_landing(stack)
            lanes = [self._make_landing(stack) for _ in range(self._repo.threads)]
            writer = stack.enter_context(PieceWriter(self._repo, lanes, self._failures, self._stop))
            self._walk(landing, writer, nodes)
            writer.write(self._pieces)
            self._make_links(landing)
            for path, node in reversed(self._folders):
                self._dress(landing, path, node)
            if top is not None:
                landing.dress(self._root, b"", top)
        counts = self._progress.snapshot()
        return RestoreResult(
            files=counts.files_done,
            dirs=len(self._folders) + 1,
            bytes=counts.bytes_done,
            failures=tuple(self._failures.items),
        )

    def _make_landing(self, stack: contextlib.ExitStack) -> Landing:
        beneath = stack.enter_context(Beneath(self._root))
        return Landing(beneath, owners=self._owners, report=self._failures.add)

    def _walk(self, landing: Landing, writer: PieceWriter, nodes: list[Node]) -> None:
        stack = [(b"", nodes)]
        while stack:
            folder, nodes = stack.pop()
            self._progress.add(
                files_total=sum(node.type == "file" for node in nodes),
                bytes_total=sum(node.size for node in nodes if node.type == "file"),
            )
            below: list[tuple[bytes, list[Node]]] = []
            for node in nodes:
                self._stop.check()
                path = folder + b"/" + node.name if folder else node.name
                try:
                    if node.type == "dir":
                        below += self._enter(landing, path, node)
                    else:
                        self._place(landing, path, node)
                except Damage as fault:
                    self._failures.damage(path, fault)
                except OSError as fault:
                    refuse_fatal(fault)
                    self._failures.system(path, "item.write", fault)
                if len(self._pieces) >= WINDOW_PIECES:
                    writer.write(self._pieces)
                    self._pieces = []
            stack += reversed(below)

    def _enter(self, landing: Landing, path: bytes, node: Node) -> list[tuple[bytes, list[Node]]]:
        nodes = self._reader.subtree(node)
        landing.make_folder(path)
        self._folders.append((path, node))
        return [(path, nodes)]

    def _place(self, landing: Landing, path: bytes, node: Node) -> None:
        match node.type:
            case "file":
                self._place_file(landing, path, node)
            case "symlink" | "fifo" | "dev" | "chardev":
                landing.make_special(path, node)
            case "socket":
                pass  # lives only as long as its process
            case _:
                self._failures.add(
                    ItemFailure(
                        path.decode("utf-8", "surrogateescape"),
                        "item.special",
                        f"of the unknown kind {node.type[:40]!r}",
                    )
                )

    def _place_file(self, landing: Landing, path: bytes, node: Node) -> None:
        """Collect the pieces of a file; one with many, or none, is made at once."""
        key = (node.device_id, node.inode)
        if node.links > 1 and node.inode:
            first = self._first_names.get(key)
            if first is not None:
                self._links.append((first, path))
                return
        pieces: list[Piece] = []
        file = TargetFile(path, node, self._progress)
        for id_ in content_ids(node):
            locations = self._repo.index.find("data", id_)
            if not locations:
                raise DamagedIndex(
                    f"no index names the blob {id_.hex()}", subject=f"data {id_.hex()}"
                )
            pieces.append(Piece(locations[0], id_, file, file.size))
            file.size += locations[0].plain_length
        file.left = len(pieces)
        if len(pieces) != 1:
            file.create(landing)
        self._pieces += pieces
        if node.links > 1 and node.inode:
            self._first_names[key] = file

    def _make_links(self, landing: Landing) -> None:
        for first, path in self._links:
            try:
                landing.link(first.path, path)
            except OSError as fault:
                refuse_fatal(fault)
                self._failures.system(path, "item.link", fault)
            else:
                self._progress.add(files_done=1, bytes_done=first.size)

    def _dress(self, landing: Landing, path: bytes, node: Node) -> None:
        try:
            landing.dress_folder(path, node)
        except OSError as fault:
            refuse_fatal(fault)
            self._failures.system(path, "item.write", fault)
