"""Comparing a folder on disk with what a snapshot holds: every name, every byte. POSIX.

Reads only, follows no link, and stops at the first difference.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from console.repository.beneath import Beneath, folder_flags
from console.repository.blobs import content_ids
from console.repository.browsing import find_node, folder_nodes
from console.repository.errors import DamagedIndex
from console.repository.source import (
    IGNORED_XATTRS,
    make_node,
    open_file,
    read_folder,
    read_xattrs,
    special_node,
    text_path,
)
from console.repository.stopping import StopToken

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from console.repository.repository import Repository
    from console.repository.snapshots import Snapshot
    from console.repository.source import Item
    from console.repository.trees import Node

PIECE = 1 << 20
_ACL = "system.posix_acl_"


def find_difference(
    repo: Repository,
    snapshot: Snapshot,
    folder: Path,
    *,
    subpath: str = "volume",
    owner_map: Collection[tuple[int, int]] = (),
    stop: StopToken | None = None,
) -> str:
    """The first path where a folder is not what `restore_tree` makes of a snapshot; or nothing.

    The folder's own metadata is not compared, nor is `lost+found` where the
    snapshot has none. Owners count for root only. Holds a shared lock.

    Raises:
        NoSuchPath, RepositoryLocked, Cancelled, Damage, StoreError, OSError.
    """
    with repo.lock():
        root = os.open(folder, folder_flags())
        try:
            with Beneath(root) as beneath:
                compare = _Comparison(repo, beneath, dict(owner_map), stop or StopToken())
                return compare.run(snapshot, subpath)
        finally:
            os.close(root)


class _Comparison:
    def __init__(
        self, repo: Repository, beneath: Beneath, owners: Mapping[int, int], stop: StopToken
    ) -> None:
        self._repo = repo
        self._reader = repo.reader()
        self._beneath = beneath
        self._owners = owners
        self._stop = stop
        self._links: dict[tuple[int, int], int] = {}  # hard links of the snapshot, as found here

    def run(self, snapshot: Snapshot, subpath: str) -> str:
        top = find_node(self._reader, snapshot, subpath)
        stack = [(b"", folder_nodes(self._reader, snapshot, top))]
        while stack:
            self._stop.check()
            path, nodes = stack.pop()
            wanted = {node.name: node for node in nodes if node.type != "socket"}
            found, unread = self._read(path)
            if not path and b"lost+found" not in wanted:
                found.pop(b"lost+found", None)
            for name in sorted({*unread, *(wanted.keys() ^ found.keys())}):
                return text_path(_joined(path, name))
            for name, node in wanted.items():
                here = _joined(path, name)
                if not self._is_same(path, found[name], node):
                    return text_path(here)
                if node.type == "dir":
                    stack.append((here, self._reader.subtree(node)))
        return ""

    def _read(self, path: bytes) -> tuple[dict[bytes, Item], list[bytes]]:
        """A folder's entries by name, and the names of those that can't be looked at."""
        unread: list[bytes] = []

        def on_failure(name: bytes, _fault: OSError) -> None:
            unread.append(name)

        items = read_folder(self._beneath.folder(path), on_failure)
        return {item.name: item for item in items}, unread

    def _is_same(self, path: bytes, item: Item, node: Node) -> bool:
        folder = self._beneath.folder(path)
        if item.kind != node.type:
            return False
        plain = node.type in {"file", "dir"}
        there = make_node(item) if plain else special_node(folder, item)
        same = (there.unix_mode, there.mtime_ns) == (node.unix_mode, node.mtime_ns)
        if os.geteuid() == 0:
            wanted = (self._owners.get(node.uid, node.uid), self._owners.get(node.gid, node.gid))
            same = same and (there.uid, there.gid) == wanted
        if not same:
            return False
        if node.type == "file":
            return self._is_same_file(folder, item, node)
        if node.type == "dir":
            there.extended_attributes = read_xattrs(self._beneath.folder(_joined(path, item.name)))
        targets = (there.target, there.device) == (node.target, node.device)
        return targets and self._xattrs(there) == self._xattrs(node)

    def _is_same_file(self, folder: int, item: Item, node: Node) -> bool:
        if item.stat.st_size != node.size:
            return False
        if node.links > 1 and node.inode:
            key = (node.device_id, node.inode)
            if self._links.setdefault(key, item.stat.st_ino) != item.stat.st_ino:
                return False
        fd = open_file(folder, item.name)
        try:
            there = make_node(item)
            there.extended_attributes = read_xattrs(fd)
            return self._xattrs(there) == self._xattrs(node) and self._is_same_content(fd, node)
        finally:
            os.close(fd)

    def _is_same_content(self, fd: int, node: Node) -> bool:
        """Blob by blob: the hash of what stands here is the id of what was stored."""
        offset = 0
        for id_ in content_ids(node):
            self._stop.check()
            locations = self._repo.index.find("data", id_)
            if not locations:
                raise DamagedIndex(
                    f"no index names the blob {id_.hex()}", subject=f"data {id_.hex()}"
                )
            length = locations[0].plain_length
            digest, end = hashlib.sha256(), offset + length
            while offset < end and (piece := os.pread(fd, min(PIECE, end - offset), offset)):
                digest.update(piece)
                offset += len(piece)
            if offset != end or digest.digest() != id_:
                return False
        return offset == node.size

    def _xattrs(self, node: Node) -> set[tuple[str, bytes]]:
        """ACLs name owners: where these are mapped they are not compared."""
        return {
            (one.name, one.value or b"")
            for one in node.extended_attributes or ()
            if one.name not in IGNORED_XATTRS and not (self._owners and one.name.startswith(_ACL))
        }


def _joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name
