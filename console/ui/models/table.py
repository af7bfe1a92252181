"""One table model for every list: rows by key, columns as data, changes applied as diffs.

Source order is arrival order; sorting and filtering live in `SortedRows`. Cells
are built when a row arrives, so that `data` only looks up; `refresh` builds the
visible ones anew where a text depends on the clock (AA 5.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)

from console.ui.models.cells import CELL, KEY, SORT, Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

R = TypeVar("R")
Index = QModelIndex | QPersistentModelIndex

_ROOT = QModelIndex()
SortValue = str | float | tuple[Any, ...]


@dataclass(frozen=True)
class Column(Generic[R]):
    """One column.

    Attributes:
        cell: What a row shows here; called when the row arrives.
        sort: The value the column sorts by; all of one comparable type.
        width: Pixels; 0 = takes what is left.
        right: The head is aligned like figures.
        optional: Hidden first when there is little room (higher goes first; 0 = never).
    """

    id: str
    title: str
    cell: Callable[[R], Cell]
    sort: Callable[[R], SortValue]
    width: int = 0
    right: bool = False
    optional: int = 0
    room: int = 130  # that a column of width 0 keeps before optional ones are hidden


@dataclass(slots=True)
class _Entry(Generic[R]):
    key: Hashable
    row: R
    cells: tuple[Cell, ...]
    sorts: tuple[SortValue, ...]


class TableModel(QAbstractTableModel, Generic[R]):
    """Rows by key. `show` takes a whole list, `update` a few changes; both are diffs."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        key: Callable[[R], Hashable],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self._key = key
        self._entries: list[_Entry[R]] = []
        self._row_of: dict[Hashable, int] = {}

    def show(self, rows: Iterable[R]) -> None:
        """Make the rows exactly these; what is equal stays untouched, selection included."""
        wanted = {self._key(row): row for row in rows}
        gone = [key for key in self._row_of if key not in wanted]
        self.update(wanted.values(), gone)

    def update(self, upserts: Iterable[R], removed: Iterable[Hashable] = ()) -> None:
        """Remove by key, change, then append what is new, in this order."""
        self._remove(sorted({self._row_of[key] for key in removed if key in self._row_of}))
        fresh: dict[Hashable, R] = {}
        for row in upserts:
            key = self._key(row)
            at = self._row_of.get(key)
            if at is None:
                fresh[key] = row
            else:
                self._change(at, row)
        if fresh:
            self._append(fresh)

    def refresh(self, first: int, last: int) -> None:
        """Build the cells of some rows anew; their texts depend on the clock or the theme."""
        for at in range(max(0, first), min(last, len(self._entries) - 1) + 1):
            entry = self._entries[at]
            cells = tuple(column.cell(entry.row) for column in self.columns)
            if cells != entry.cells:
                entry.cells = cells
                self._tell_changed(at)

    def row(self, at: int) -> R:
        """The row at a position of this model."""
        return self._entries[at].row

    def find(self, key: Hashable) -> int:
        """The position of a key; -1 when it is not there."""
        return self._row_of.get(key, -1)

    def rows(self) -> list[R]:
        """All rows in arrival order."""
        return [entry.row for entry in self._entries]

    def _entry(self, row: R) -> _Entry[R]:
        cells = tuple(column.cell(row) for column in self.columns)
        return _Entry(self._key(row), row, cells, tuple(c.sort(row) for c in self.columns))

    def _remove(self, positions: list[int]) -> None:
        blocks: list[tuple[int, int]] = []
        for at in positions:
            if blocks and blocks[-1][1] == at - 1:
                blocks[-1] = (blocks[-1][0], at)
            else:
                blocks.append((at, at))
        for first, last in reversed(blocks):
            self.beginRemoveRows(QModelIndex(), first, last)
            for entry in self._entries[first : last + 1]:
                del self._row_of[entry.key]
            del self._entries[first : last + 1]
            for at in range(first, len(self._entries)):
                self._row_of[self._entries[at].key] = at
            self.endRemoveRows()

    def _change(self, at: int, row: R) -> None:
        entry = self._entries[at]
        if entry.row is row or entry.row == row:
            return
        self._entries[at] = self._entry(row)
        self._tell_changed(at)

    def _append(self, fresh: dict[Hashable, R]) -> None:
        first = len(self._entries)
        entries = [self._entry(row) for row in fresh.values()]
        self.beginInsertRows(QModelIndex(), first, first + len(entries) - 1)
        self._entries.extend(entries)
        self._row_of.update({entry.key: first + n for n, entry in enumerate(entries)})
        self.endInsertRows()

    def _tell_changed(self, at: int) -> None:
        left, right = self.index(at, 0), self.index(at, len(self.columns) - 1)
        self.dataChanged.emit(left, right, [CELL, SORT])

    def rowCount(self, parent: Index = _ROOT) -> int:
        """How many rows; none below a row."""
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """How many columns; none below a row."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Look up what was prepared when the row arrived."""
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        if role == CELL:
            return entry.cells[index.column()]
        if role == SORT:
            return entry.sorts[index.column()]
        if role == KEY:
            return entry.key
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            cell = entry.cells[index.column()]
            return f"{cell.text} {cell.sub}".rstrip()
        if role == Qt.ItemDataRole.ToolTipRole:
            return entry.cells[index.column()].tooltip or None
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


class SortedRows(QSortFilterProxyModel, Generic[R]):
    """Sorts a `TableModel` by native values and filters it by a predicate on rows."""

    def __init__(self, source: TableModel[R], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._source = source
        self._accepts: Callable[[R], bool] | None = None
        self.setSourceModel(source)
        self.setSortRole(SORT)
        self.setDynamicSortFilter(True)

    def accept(self, predicate: Callable[[R], bool] | None) -> None:
        """Show only the rows that the predicate accepts; None = all."""
        self.beginFilterChange()
        self._accepts = predicate
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def row(self, at: int) -> R:
        """The row at a position as sorted."""
        return self._source.row(self.mapToSource(self.index(at, 0)).row())

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        """Ask the predicate."""
        return self._accepts is None or self._accepts(self._source.row(source_row))

    def lessThan(self, left: Index, right: Index) -> bool:
        """Compare native values, then keys, so that equal rows never change places."""
        one, other = left.data(SORT), right.data(SORT)
        if one == other:
            return str(left.data(KEY)) < str(right.data(KEY))
        return bool(one < other)
