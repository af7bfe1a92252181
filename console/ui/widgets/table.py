"""The table and tree of every page: keyboard, sorting, columns that give way, ages kept fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from PySide6.QtCore import QItemSelectionModel, Qt, QTimer, Signal
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QTreeView

from console.ui.models.cells import KEY
from console.ui.models.table import SortedRows, TableModel
from console.ui.widgets.cells import CellDelegate

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtCore import QItemSelection, QModelIndex, QPersistentModelIndex
    from PySide6.QtGui import QKeyEvent, QResizeEvent

R = TypeVar("R")

REFRESH_MS = 5000


class TableView(QTableView, Generic[R]):
    """A sorted, filtered `TableModel`. `chosen` follows the selection, `opened` is Enter."""

    chosen = Signal(object)  # key, or None
    opened = Signal(object)  # key

    def __init__(self, model: TableModel[R], *, height: int = 32) -> None:
        super().__init__()
        self._model = model
        self._off: set[int] = set()
        self.rows = SortedRows(model, self)
        self.setModel(self.rows)
        self.setItemDelegate(CellDelegate(height, self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setMouseTracking(True)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self._set_up_heads(height)
        self.selectionModel().selectionChanged.connect(self._on_selection_changed)
        self.doubleClicked.connect(lambda index: self.opened.emit(index.data(KEY)))
        self._ages = QTimer(self, interval=REFRESH_MS)
        self._ages.timeout.connect(self.refresh)
        self._ages.start()

    def _set_up_heads(self, height: int) -> None:
        rows = self.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(height)
        head = self.horizontalHeader()
        head.setHighlightSections(False)
        head.setFixedHeight(28)
        head.setMinimumSectionSize(40)
        head.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        for at, one in enumerate(self._model.columns):
            if one.width:
                self.setColumnWidth(at, one.width)
            else:
                head.setSectionResizeMode(at, QHeaderView.ResizeMode.Stretch)

    def sort_by(self, column: str, *, ascending: bool = True) -> None:
        """Sort by a column; the user may choose another by its head."""
        at = next(n for n, one in enumerate(self._model.columns) if one.id == column)
        order = Qt.SortOrder.AscendingOrder if ascending else Qt.SortOrder.DescendingOrder
        self.horizontalHeader().setSortIndicator(at, order)
        self.setSortingEnabled(True)

    def show_column(self, column: str, *, shown: bool) -> None:
        """Show or hide a column."""
        at = next(n for n, one in enumerate(self._model.columns) if one.id == column)
        self._off.discard(at) if shown else self._off.add(at)
        self.setColumnHidden(at, not shown)
        self._make_room()

    def filter(self, predicate: Callable[[R], bool] | None) -> None:
        """Show only some rows."""
        self.rows.accept(predicate)

    def select(self, key: object) -> None:
        """Select a row by key, or nothing when it is not there or hidden."""
        at = self._model.find(str(key))
        index = self.rows.mapFromSource(self._model.index(at, 0))
        if not index.isValid():
            self.selectionModel().clear()
            return
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)

    def selected(self) -> str:
        """The selected row's key; empty when there is none."""
        rows = self.selectionModel().selectedRows()
        return str(rows[0].data(KEY)) if rows else ""

    def refresh(self) -> None:
        """Build the visible rows' texts anew: their ages have changed."""
        if not self.isVisible() or not self.rows.rowCount():
            return
        first = max(0, self.rowAt(0))
        last = self.rowAt(self.viewport().height() - 1)
        last = self.rows.rowCount() - 1 if last < 0 else last
        for at in range(first, last + 1):
            source = self.rows.mapToSource(self.rows.index(at, 0)).row()
            self._model.refresh(source, source)

    def _on_selection_changed(self, new: QItemSelection, old: QItemSelection) -> None:
        self.chosen.emit(self.selected() or None)

    def _make_room(self) -> None:
        columns = list(enumerate(self._model.columns))
        optional = sorted(
            (one.optional, at) for at, one in columns if one.optional and at not in self._off
        )
        for _, at in optional:
            self.setColumnHidden(at, False)
        for _, at in reversed(optional):
            used = sum(one.width for n, one in columns if not self.isColumnHidden(n))
            used += sum(one.room for _, one in columns if not one.width)
            if used <= self.viewport().width():
                break
            self.setColumnHidden(at, True)

    def rowsAboutToBeRemoved(
        self, parent: QModelIndex | QPersistentModelIndex, start: int, end: int
    ) -> None:
        """The chosen row goes: choose nothing, where Qt would choose its neighbour."""
        if start <= self.currentIndex().row() <= end:
            self.selectionModel().clear()
        super().rowsAboutToBeRemoved(parent, start, end)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Columns that are not needed give way."""
        super().resizeEvent(event)
        self._make_room()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and Space open; Escape is left to the page."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.selected():
            self.opened.emit(self.selected())
            return
        if event.key() == Qt.Key.Key_Escape:
            event.ignore()
            return
        super().keyPressEvent(event)


class TreeView(QTreeView):
    """A tree in the same style."""

    def __init__(self, *, height: int = 28) -> None:
        super().__init__()
        self.setItemDelegate(CellDelegate(height, self))
        self.setUniformRowHeights(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIndentation(18)
        self.setMouseTracking(True)
        self.header().setFixedHeight(28)
        self.header().setStretchLastSection(False)
