"""The rail: the pages as a list of real buttons, with counts; narrow windows show only icons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QAbstractButton, QVBoxLayout, QWidget

from console.ui import theme
from console.ui.actions import PAGES, keys_text
from console.ui.messages import tr

if TYPE_CHECKING:
    from PySide6.QtGui import QKeyEvent, QPaintEvent

WIDE, NARROW = 196, 56


class RailItem(QAbstractButton):
    """One entry: icon, name, count."""

    def __init__(self, title: str, icon: str, keys: str = "") -> None:
        super().__init__()
        self._title, self._icon = title, icon
        self.compact = False
        self._count = ""
        self.setCheckable(True)
        self.setAutoExclusive(bool(keys))
        self.setAccessibleName(title)
        self.setToolTip(f"{title}  ({keys})" if keys else title)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFixedHeight(32)

    def show_count(self, count: int) -> None:
        """Show a figure; 0 shows none."""
        self._count = str(count) if count else ""
        self.setAccessibleDescription(self._count)
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as the rail."""
        return QSize(36, 32)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ground by state, icon, name, count."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on = self.isChecked()
        ground = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(theme.color("accent"), 1) if self.hasFocus() else Qt.PenStyle.NoPen)
        hover = "s2" if self.underMouse() else "s0"
        painter.setBrush(theme.color("soft" if on else hover))
        painter.drawRoundedRect(ground, 6, 6)
        tint = "accent" if on else "t2"
        left = 10
        painter.drawPixmap(left, 8, theme.pixmap(self._icon, tint, 16))
        if not self.compact:
            painter.setFont(theme.font(13, 600 if on else 400))
            painter.setPen(theme.color("accent" if on else "t1"))
            box = QRect(36, 0, self.width() - 66, self.height())
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, self._title)
            painter.setFont(theme.font(12))
            painter.setPen(theme.color("accent" if on else "t2"))
            box = self.rect().adjusted(0, 0, -10, 0)
            side = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
            painter.drawText(box, side, self._count)
        painter.end()


class Rail(QWidget):
    """All pages, and the settings menu at the foot."""

    picked = Signal(str)  # id of a page

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("chrome")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(10, 10, 8, 10)
        self._layout.setSpacing(2)
        self._items: dict[str, RailItem] = {}
        group = 0
        for entry in PAGES:
            if entry.group != group:
                self._layout.addSpacing(10)
                group = entry.group
            item = RailItem(tr(entry.title), entry.icon, keys_text(entry.keys))
            item.clicked.connect(lambda _=False, page=entry.id: self.picked.emit(page))
            self._items[entry.id] = item
            self._layout.addWidget(item)
        self._layout.addStretch(1)
        self.settings = RailItem(tr("Settings"), "settings")
        self.settings.setCheckable(False)
        self._layout.addWidget(self.settings)
        self.show_compact(compact=False)

    def show_page(self, page: str) -> None:
        """Mark the page that is shown."""
        self._items[page].setChecked(True)

    def show_count(self, page: str, count: int) -> None:
        """Show a figure beside a page's name."""
        self._items[page].show_count(count)

    def show_compact(self, *, compact: bool) -> None:
        """Icons only, or icons and names."""
        self.setFixedWidth(NARROW if compact else WIDE)
        for item in (*self._items.values(), self.settings):
            item.compact = compact
            item.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and Down move between the entries."""
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.focusNextPrevChild(event.key() == Qt.Key.Key_Down)
            return
        super().keyPressEvent(event)
