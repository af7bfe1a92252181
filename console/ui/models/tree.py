"""A tree whose folders are read when they are opened: what lies in a restore point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from console.ui.models.cells import CELL, KEY, Cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from console.engine import BrowseEntry
    from console.ui.models.table import Column


Index = QModelIndex | QPersistentModelIndex

_ROOT = QModelIndex()


class Node:
    """One entry; kept alive by the model, so that indexes may point at it.

    Attributes:
        path: From the top, without a leading slash; empty for the root.
        children: None until the folder was read.
    """

    __slots__ = ("asked", "cells", "children", "entry", "parent", "path", "row")

    def __init__(self, entry: BrowseEntry | None, parent: Node | None, row: int) -> None:
        self.entry = entry
        self.parent = parent
        self.row = row
        self.path = ""
        if entry is not None and parent is not None:
            self.path = f"{parent.path}/{entry.name}" if parent.path else entry.name
        self.children: list[Node] | None = None
        self.cells: tuple[Cell, ...] = ()
        self.asked = False

    @property
    def opens(self) -> bool:
        """Whether it may have children."""
        return self.entry is None or self.entry.kind == "folder"


class TreeModel(QAbstractItemModel):
    """Folders and files. `wanted` asks for a folder's entries, `fill` answers."""

    wanted = Signal(str)  # path

    def __init__(
        self, columns: Sequence[Column[BrowseEntry]], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self._root = Node(None, None, 0)
        self._nodes: dict[str, Node] = {"": self._root}

    def start(self) -> None:
        """Forget everything and ask for the top folder: the subject has changed."""
        self.beginResetModel()
        self._root = Node(None, None, 0)
        self._nodes = {"": self._root}
        self.endResetModel()
        self._ask(self._root)

    def fill(self, path: str, entries: Iterable[BrowseEntry]) -> None:
        """Put a folder's entries in, once; folders first, then by name."""
        node = self._nodes.get(path)
        if node is None or node.children is not None:
            return
        ordered = sorted(entries, key=lambda e: (e.kind != "folder", e.name))
        if ordered:
            self.beginInsertRows(self._index_of(node), 0, len(ordered) - 1)
        node.children = [self._made(entry, node, row) for row, entry in enumerate(ordered)]
        if ordered:
            self.endInsertRows()

    def retry(self, path: str) -> None:
        """A folder could not be read: ask again when it is opened the next time."""
        if path in self._nodes:
            self._nodes[path].asked = False

    def node(self, index: Index) -> Node:
        """The node an index points at; the root for an invalid one."""
        found = index.internalPointer() if index.isValid() else None
        return found if isinstance(found, Node) else self._root

    def _made(self, entry: BrowseEntry, parent: Node, row: int) -> Node:
        node = Node(entry, parent, row)
        node.cells = tuple(column.cell(entry) for column in self.columns)
        self._nodes[node.path] = node
        return node

    def _index_of(self, node: Node) -> QModelIndex:
        return QModelIndex() if node is self._root else self.createIndex(node.row, 0, node)

    def _ask(self, node: Node) -> None:
        if not node.asked:
            node.asked = True
            self.wanted.emit(node.path)

    def index(self, row: int, column: int, parent: Index = _ROOT) -> QModelIndex:
        """The index of a child."""
        children = self.node(parent).children or []
        if not 0 <= row < len(children) or not 0 <= column < len(self.columns):
            return QModelIndex()
        return self.createIndex(row, column, children[row])

    def parent(self, child: Index = _ROOT) -> QModelIndex:  # type: ignore[override]  # QObject.parent() is named alike
        """The index of the folder that an entry lies in."""
        node = self.node(child)
        return self._index_of(node.parent) if node.parent is not None else QModelIndex()

    def rowCount(self, parent: Index = _ROOT) -> int:
        """How many entries of a folder are known."""
        return 0 if parent.column() > 0 else len(self.node(parent).children or ())

    def columnCount(self, parent: Index = _ROOT) -> int:
        """The same everywhere."""
        return len(self.columns)

    def hasChildren(self, parent: Index = _ROOT) -> bool:
        """A folder that was not read yet may have some."""
        node = self.node(parent)
        return node.opens and (node.children is None or bool(node.children))

    def canFetchMore(self, parent: Index) -> bool:
        """Whether a folder was not read yet."""
        node = self.node(parent)
        return node.opens and node.children is None and not node.asked

    def fetchMore(self, parent: Index) -> None:
        """Ask for a folder's entries."""
        self._ask(self.node(parent))

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Look up."""
        if not index.isValid():
            return None
        node = self.node(index)
        if role == CELL:
            return node.cells[index.column()]
        if role == KEY:
            return node.path
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return node.cells[index.column()].text
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The columns' titles."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None
