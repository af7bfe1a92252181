"""Reading blobs: by id, always authenticated and compared with the id.

A reader belongs to one thread. Trees are small and lie side by side, so they
are read through a few cached spans of their packs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from console.repository.errors import DamagedIndex, DamagedPack, DamagedTree
from console.repository.kernel import Fault
from console.repository.packs import Kind, pack_name
from console.repository.trees import Node, decode_tree
from console.storage.errors import Damaged, NoSuchObject, ShortRead

if TYPE_CHECKING:
    from console.repository.index import Index, Location
    from console.repository.kernel import Session
    from console.storage.protocol import ObjectStore

SPAN = 512 * 1024
MAX_SPANS = 16


class BlobReader:
    """Loads blobs for one thread."""

    def __init__(self, store: ObjectStore, index: Index, session: Session) -> None:
        self._store = store
        self._index = index
        self._session = session
        self._spans: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._sizes: dict[str, int] = {}

    def data(self, id_: bytes) -> bytes:
        """A data blob's content."""
        return self._load("data", id_)

    def tree(self, id_: bytes) -> list[Node]:
        """A folder's nodes, in the order of their names' bytes."""
        return decode_tree(self.raw_tree(id_), f"tree {id_.hex()}")

    def raw_tree(self, id_: bytes) -> bytes:
        """A tree blob's content."""
        return self._load("tree", id_)

    def subtree(self, node: Node) -> list[Node]:
        """The nodes of a folder's node."""
        return self.tree(self.tree_id(node))

    @staticmethod
    def tree_id(node: Node) -> bytes:
        """The id of a folder's tree; `DamagedTree` when there is none."""
        return checked_id(node.subtree, node)

    def _load(self, kind: Kind, id_: bytes) -> bytes:
        locations = self._index.find(kind, id_)
        if not locations:
            raise DamagedIndex(
                f"no index names the {kind} blob {id_.hex()}",
                subject=f"{kind} {id_.hex()}",
                hint="`restic repair index` finds packs that no index names",
            )
        damage: list[DamagedPack] = []
        for location in locations:
            try:
                return self._load_copy(kind, id_, location)
            except DamagedPack as fault:
                damage.append(fault)
        raise damage[0]

    def _load_copy(self, kind: Kind, id_: bytes, location: Location) -> bytes:
        sealed = self._span(location) if kind == "tree" else self.read(location)
        (opened,) = self._session.open([sealed], [location.raw_length], [id_])
        if isinstance(opened, Fault):
            raise damaged_blob(kind, id_, location, opened)
        return opened

    def read(self, location: Location) -> bytes:
        """The sealed bytes at a location."""
        return self.read_range(location.pack, location.offset, location.length)

    def read_range(self, pack: str, offset: int, length: int) -> bytes:
        """Bytes of a pack; `DamagedPack` when it is missing or too short."""
        name = pack_name(pack)
        try:
            return self._store.get_range(name, offset, length)
        except (NoSuchObject, ShortRead, Damaged) as fault:
            raise DamagedPack(f"{name} is missing or too short: {fault}", subject=name) from fault

    def _span(self, location: Location) -> bytes:
        """Sealed bytes out of cached spans of the pack."""
        pack, start, end = location.pack, location.offset, location.offset + location.length
        size = self._pack_size(pack)
        if end > size:
            raise DamagedPack(f"{pack_name(pack)} is too short", subject=pack_name(pack))
        pieces = []
        for at in range(start - start % SPAN, end, SPAN):
            span = self._cached(pack, at, min(SPAN, size - at))
            pieces.append(span[max(0, start - at) : end - at])
        return b"".join(pieces)

    def _cached(self, pack: str, at: int, length: int) -> bytes:
        span = self._spans.get((pack, at))
        if span is None:
            span = self._spans[pack, at] = self.read_range(pack, at, length)
            if len(self._spans) > MAX_SPANS:
                self._spans.popitem(last=False)
        else:
            self._spans.move_to_end((pack, at))
        return span

    def _pack_size(self, pack: str) -> int:
        size = self._sizes.get(pack)
        if size is None:
            name = pack_name(pack)
            try:
                size = self._sizes[pack] = self._store.stat(name).size
            except NoSuchObject as fault:
                raise DamagedPack(f"{name} is missing", subject=name) from fault
        return size


def damaged_blob(kind: Kind, id_: bytes, location: Location, fault: Fault) -> DamagedPack:
    """The error for a blob that does not open."""
    name = pack_name(location.pack)
    return DamagedPack(
        f"{name} is damaged: the {kind} blob {id_.hex()} at {location.offset}: {fault.value}",
        subject=name,
        hint="restore from another restore point; `restic repair packs` saves what is intact",
    )


def checked_id(text: str | None, node: Node) -> bytes:
    """An id out of a node; `DamagedTree` when it is none."""
    try:
        id_ = bytes.fromhex(text or "")
    except ValueError:
        id_ = b""
    if len(id_) != 32:
        raise DamagedTree(
            f"the node {node.text_name!r} holds an id that is none", subject=node.text_name
        )
    return id_


def content_ids(node: Node) -> list[bytes]:
    """The ids of a file's blobs, in order."""
    return [checked_id(text, node) for text in node.content or ()]
