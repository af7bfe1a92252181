"""The frame around every page: colour line, top bar, rail, status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QIcon, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QAbstractButton, QLabel, QMenu, QWidget

from console.ui import theme
from console.ui.messages import tr
from console.ui.widgets.basics import label, line
from console.ui.widgets.cells import draw_swatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QKeyEvent, QPaintEvent


class ClusterChoice(NamedTuple):
    """One entry of the switcher; the name is empty for *All clusters*."""

    name: str
    color: str
    stale: bool = False


class ColorLine(QWidget):
    """Three pixels in the cluster's colour, or in the colours of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(3)
        self._colors: tuple[str, ...] = ()

    def show_colors(self, colors: Sequence[str]) -> None:
        """One colour per cluster looked at."""
        self._colors = tuple(colors)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Equal parts, side by side."""
        painter = QPainter(self)
        colors = self._colors or (theme.active().hex("mark"),)
        for at, one in enumerate(colors):
            left = round(self.width() * at / len(colors))
            right = round(self.width() * (at + 1) / len(colors))
            tint = theme.color(theme.active().mark_of(one))
            painter.fillRect(QRect(left, 0, right - left, self.height()), tint)
        painter.end()


class ClusterSwitch(QAbstractButton):
    """Says which cluster is looked at and opens the list of all."""

    switched = Signal(str)  # name, empty = all

    def __init__(self) -> None:
        super().__init__()
        self._choices: tuple[ClusterChoice, ...] = ()
        self._current = ""
        self.compact = False
        self._menu = QMenu(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.clicked.connect(self._open)

    def show_choices(self, choices: Sequence[ClusterChoice], current: str) -> None:
        """All clusters, in order, and the one looked at."""
        self._choices, self._current = tuple(choices), current
        self.setAccessibleName(tr("Cluster: {name}", name=self.name()))
        self.setToolTip(self.name() if self.compact else "")
        self.update()

    def name(self) -> str:
        """What is written on it."""
        return self._current or (tr("All clusters") if self._choices else tr("No cluster yet"))

    def _open(self) -> None:
        if not self._choices:
            return
        self._menu.clear()
        entries = [ClusterChoice("", ""), *self._choices]
        for entry in entries:
            shown = self._menu.addAction(entry.name or tr("All clusters"))
            shown.setIcon(_swatch_icon(entry.color))
            shown.triggered.connect(lambda _=False, name=entry.name: self.switched.emit(name))
        self._menu.popup(self.mapToGlobal(QPoint(0, self.height() + 4)))

    def sizeHint(self) -> QSize:
        """As the rail is wide."""
        return QSize(36 if self.compact else 178, 32)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and Down open the list as Space does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Down):
            self._open()
            return
        super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Frame, swatch, name, arrow."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme.color("accent" if self.hasFocus() else "line"), 1))
        painter.setBrush(theme.color("s2" if self.underMouse() else "s1"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        current = next((c for c in self._choices if c.name == self._current), None)
        colors = [current.color] if current else [c.color for c in self._choices[:3]] or [""]
        for at, one in enumerate(colors):
            left = (12 if self.compact else 10) + at * 4
            draw_swatch(painter, QRectF(left, 10, 12 - (len(colors) - 1) * 2, 12), one)
        if not self.compact:
            self._paint_name(painter)
        painter.end()

    def _paint_name(self, painter: QPainter) -> None:
        painter.setFont(theme.font(13, 600))
        painter.setPen(theme.color("t1"))
        box = self.rect().adjusted(32, 0, -30, 0)
        text = painter.fontMetrics().elidedText(
            self.name(), Qt.TextElideMode.ElideRight, box.width()
        )
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, text)
        painter.drawPixmap(self.width() - 24, 9, theme.pixmap("chevron-down", "t2", 14))


class TopBar(QWidget):
    """Switcher, title, and what runs; hatched when the cluster is stale."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("chrome")
        self.setFixedHeight(45)
        self._stale = False
        self.switch = ClusterSwitch()
        self.title = label("", role="title")
        self.running = RunningLabel()
        body = line(self.switch, 10, self.title, 0, self.running, gap=8)
        body.setContentsMargins(10, 3, 18, 5)
        self.setLayout(body)

    def show_stale(self, *, stale: bool) -> None:
        """Hatch the bar, or stop that."""
        self._stale = stale
        self.title.setProperty("stale", "true" if stale else "false")
        self.title.style().polish(self.title)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ground and hatching."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.color("s0"))
        if self._stale:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.color("warnm", 0.20), 3))
            for x in range(-self.height(), self.width(), 14):
                painter.drawLine(QPointF(x, self.height()), QPointF(x + self.height(), 0))
        painter.end()


class RunningLabel(QAbstractButton):
    """How many actions run and wait; a click leads to Activity. Turns while work runs."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._busy = False
        self._angle = 0
        self._timer = QTimer(self, interval=120)
        self._timer.timeout.connect(self._turn)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_counts(self, running: int, waiting: int) -> None:
        """Show the counts; nothing at all when both are 0; `running` -1 = nobody knows."""
        parts = [tr("{n} running", n=running)] if running > 0 else []
        if running < 0:
            parts = [tr("running: unknown")]
        elif waiting:
            parts.append(tr("{n} queued", n=waiting))
        self._text, self._busy = " · ".join(parts), running > 0
        self.setAccessibleName(self._text or tr("Nothing runs"))
        self.setVisible(bool(self._text))
        if self._busy and not self._timer.isActive():
            self._timer.start()
        if not self._busy:
            self._timer.stop()
        self.updateGeometry()
        self.update()

    def text(self) -> str:
        """What is shown."""
        return self._text

    def _turn(self) -> None:
        self._angle = (self._angle + 30) % 360
        if self.isVisible():
            self.update()

    def sizeHint(self) -> QSize:
        """Icon and words."""
        self.ensurePolished()
        return QSize(38 + self.fontMetrics().horizontalAdvance(self._text), 30)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The turning circle and the words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font())
        middle = self.height() / 2
        painter.setPen(QPen(theme.color("mark"), 1.7))
        painter.drawArc(QRectF(6, middle - 6.5, 13, 13), -self._angle * 16, 270 * 16)
        painter.setPen(theme.color("accent" if self.hasFocus() or self.underMouse() else "t1"))
        box = self.rect().adjusted(28, 0, 0, 0)
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, self._text)
        painter.end()


class StatusBar(QWidget):
    """How fresh the data is, who works, and whether the window may be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("chrome")
        self.setFixedHeight(28)
        self._dot = QLabel()
        self.fresh = label(role="small")
        self.engine = label(role="small")
        self.closing = label(role="small")
        body = line(self._dot, self.fresh, 12, self.engine, 0, self.closing, gap=6)
        body.setContentsMargins(18, 0, 18, 2)
        self.setLayout(body)

    def show_status(self, tint: str, fresh: str, engine: str, closing: str) -> None:
        """Three sentences and the tint of the dot before the first."""
        self._dot.setPixmap(_dot(tint))
        self.fresh.setText(fresh)
        self.engine.setText(engine)
        self.closing.setText(closing)


def _swatch_icon(color: str) -> QIcon:
    image = QPixmap(12, 12)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    draw_swatch(painter, QRectF(0, 0, 12, 12), color)
    painter.end()
    return QIcon(image)


def _dot(tint: str) -> QPixmap:
    image = QPixmap(8, 8)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.color(tint))
    painter.drawEllipse(0, 0, 7, 7)
    painter.end()
    return image
