"""Looking into snapshots: one folder, a whole tree, a file's content. Works everywhere.

Paths are relative to the snapshot's root and use `/`; bytes of names that are
not UTF-8 stand as surrogates (Python's `surrogateescape`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.repository.blobs import BlobReader, content_ids
from console.repository.errors import NoSuchPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.repository.repository import Repository
    from console.repository.snapshots import Snapshot
    from console.repository.trees import Node


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a folder, for people."""

    name: str
    path: str
    type: str  # file, dir, symlink, dev, chardev, fifo, socket
    size: int  # bytes; 0 for all but files
    mtime: str  # RFC 3339
    mode: int  # permissions and special bits, as chmod takes them
    uid: int
    gid: int
    link_target: str = ""
    links: int = 1


def list_tree(repo: Repository, snapshot: Snapshot, path: str = "") -> Iterator[Entry]:
    """The entries of one folder, in the order of their names' bytes; of a file, itself.

    Raises:
        NoSuchPath, Damage, StoreError.
    """
    reader = repo.reader()
    node = find_node(reader, snapshot, path)
    if node is not None and node.type != "dir":
        yield entry_of(node, path.strip("/"))
        return
    prefix = _joined(path.strip("/"), "")
    for child in folder_nodes(reader, snapshot, node):
        yield entry_of(child, prefix + child.text_name)


def walk(repo: Repository, snapshot: Snapshot, path: str = "") -> Iterator[tuple[str, Node]]:
    """Everything below a path, the path itself first where it names something; depth first."""
    reader = repo.reader()
    top = find_node(reader, snapshot, path)
    at = path.strip("/")
    if top is not None:
        yield at, top
    if top is not None and top.type != "dir":
        return
    stack = [(at, folder_nodes(reader, snapshot, top))]
    while stack:
        folder, nodes = stack.pop()
        for at_node, node in enumerate(nodes):
            below = _joined(folder, node.text_name)
            yield below, node
            if node.type == "dir":
                stack += ((folder, nodes[at_node + 1 :]), (below, reader.subtree(node)))
                break


def read_file(repo: Repository, snapshot: Snapshot, path: str) -> Iterator[bytes]:
    """A file's content, piece by piece; each was compared with its hash.

    Raises:
        NoSuchPath: There is no such path, or it is not a file.
        Damage, StoreError.
    """
    reader = repo.reader()
    node = find_node(reader, snapshot, path)
    if node is None or node.type != "file":
        kind = node.type if node else "dir"
        raise NoSuchPath(f"{path!r} is a {kind}, not a file", subject=path)
    for id_ in content_ids(node):
        yield reader.data(id_)


def find_node(reader: BlobReader, snapshot: Snapshot, path: str) -> Node | None:
    """The node at a path, None for the root; `NoSuchPath` when there is none.

    A link on the way is not followed.
    """
    node: Node | None = None
    for step in filter(None, path.split("/")):
        if node is not None and node.type != "dir":
            raise _no_path(snapshot, path)
        wanted = step.encode("utf-8", "surrogateescape")
        nodes = folder_nodes(reader, snapshot, node)
        node = next((child for child in nodes if child.name == wanted), None)
        if node is None:
            raise _no_path(snapshot, path)
    return node


def folder_nodes(reader: BlobReader, snapshot: Snapshot, node: Node | None) -> list[Node]:
    """The nodes of a folder; of the snapshot's root for None."""
    return reader.tree(bytes.fromhex(snapshot.tree)) if node is None else reader.subtree(node)


def _no_path(snapshot: Snapshot, path: str) -> NoSuchPath:
    return NoSuchPath(f"snapshot {snapshot.id[:8]} holds no {path!r}", subject=path)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def entry_of(node: Node, path: str) -> Entry:
    """A node at a path, for people."""
    return Entry(
        name=node.text_name,
        path=path,
        type=node.type,
        size=node.size,
        mtime=node.mtime,
        mode=node.unix_mode,
        uid=node.uid,
        gid=node.gid,
        link_target=node.target.decode("utf-8", "surrogateescape"),
        links=node.links,
    )
