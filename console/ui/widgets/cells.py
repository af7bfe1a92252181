"""The one delegate that paints every cell of every table and tree."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from console.ui import theme
from console.ui.models.cells import CELL, LOUD, STATES, Cell

Index = QModelIndex | QPersistentModelIndex


def draw_bar(
    painter: QPainter, where: QRectF, share: float, tint: str = "mark", track: str = "s3"
) -> None:
    """A round progress bar."""
    radius = where.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color(track))
    painter.drawRoundedRect(where, radius, radius)
    if share > 0:
        painter.setBrush(theme.color(tint))
        width = max(where.height(), where.width() * min(1.0, share))
        painter.drawRoundedRect(QRectF(where.x(), where.y(), width, where.height()), radius, radius)


def draw_swatch(painter: QPainter, where: QRectF, cluster_color: str) -> None:
    """The square in a cluster's colour."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color(theme.active().mark_of(cluster_color)))
    painter.drawRoundedRect(where, 2.5, 2.5)


class CellDelegate(QStyledItemDelegate):
    """Paints state, icon, bar, text and quieter text from a `Cell`."""

    def __init__(self, height: int = 32, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._height = height

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Every row is equally high."""
        return QSize(60, self._height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Ground, line, then content."""
        where: QRect = option.rect
        state: QStyle.StateFlag = option.state
        cell = index.data(CELL)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(where, theme.color("soft"))
            if index.column() == 0:
                mark = QRect(where.left(), where.top(), 2, where.height())
                painter.fillRect(mark, theme.color("mark"))
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(where, theme.color("s2"))
        # not drawLine: antialiased, it blurs to two pixels
        rule = QRect(where.left(), where.bottom(), where.width(), 1)
        painter.fillRect(rule, theme.color("line"))
        if isinstance(cell, Cell):
            self._content(painter, where.adjusted(8, 0, -8, -1), cell)
        painter.restore()

    def _content(self, painter: QPainter, where: QRect, cell: Cell) -> None:
        left, middle = where.left(), where.center().y()
        name, tint, word = cell.icon, cell.icon_color or cell.color, cell.color
        if cell.state:
            name, tint = STATES[cell.state]
            word = tint if cell.state in LOUD else "t1" if tint == "good" else "t2"
        if cell.dot:
            draw_swatch(painter, QRectF(left, middle - 4, 9, 9), cell.dot)
            left += 17
        if name:
            painter.drawPixmap(left, middle - 7, theme.pixmap(name, tint))
            left += 22
        if cell.share >= 0:
            draw_bar(painter, QRectF(left, middle - 2, 56, 5), cell.share)
            left += 66
        box = QRect(left, where.top(), max(0, where.right() - left + 1), where.height())
        self._text(painter, box, cell, word)

    def _text(self, painter: QPainter, box: QRect, cell: Cell, word: str) -> None:
        middle = Qt.AlignmentFlag.AlignVCenter
        side = Qt.AlignmentFlag.AlignRight if cell.right else Qt.AlignmentFlag.AlignLeft
        painter.setFont(theme.font(12 if cell.mono else 13, cell.weight, mono=cell.mono))
        painter.setPen(theme.color(word))
        metrics = painter.fontMetrics()
        text = metrics.elidedText(cell.text, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, middle | side, text)
        if not cell.sub or cell.right:
            return
        rest = box.adjusted(metrics.horizontalAdvance(text) + 8, 0, 0, 0)
        if rest.width() < 24:
            return
        painter.setFont(theme.font(12))
        painter.setPen(theme.color("t3"))
        sub = painter.fontMetrics().elidedText(cell.sub, Qt.TextElideMode.ElideRight, rest.width())
        painter.drawText(rest, middle | Qt.AlignmentFlag.AlignLeft, sub)
