"""How work goes: steps as a thin time line, bytes as bars, one card per running action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from console.ui import theme
from console.ui.messages import tr
from console.ui.widgets.basics import ElidedLabel, button, column, label, line, rule
from console.ui.widgets.cells import draw_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PySide6.QtGui import QPaintEvent, QResizeEvent

    from console.ui.models.progress import RunText, StepText, VolumeText


class StepLine(QWidget):
    """Steps as dots on a line: done, now, to come; the names and times below."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: tuple[StepText, ...] = ()
        self.setFixedHeight(54)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_steps(self, steps: Sequence[StepText]) -> None:
        """Show other steps."""
        self._steps = tuple(steps)
        words = ", ".join(f"{s.name} {s.took}".strip() for s in steps if s.state != "pending")
        self.setAccessibleName(words)
        self.setVisible(bool(steps))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Line, dots, words."""
        if not self._steps:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pitch = self.width() / len(self._steps)
        for at, step in enumerate(self._steps):
            x = at * pitch + 7
            if at + 1 < len(self._steps):
                done = step.state == "done"
                pen = QPen(theme.color("mark" if done else "edge"), 1.5)
                pen.setStyle(Qt.PenStyle.SolidLine if done else Qt.PenStyle.DotLine)
                painter.setPen(pen)
                painter.drawLine(QPointF(x + 8, 8), QPointF(x + pitch - 8, 8))
            self._dot(painter, x, step.state)
            self._words(painter, QRect(round(x - 7), 18, round(pitch) - 4, 36), step)
        painter.end()

    def _dot(self, painter: QPainter, x: float, state: str) -> None:
        where = QRectF(x - 6, 2, 12, 12)
        if state in ("done", "failed"):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("fill" if state == "done" else "badm"))
            painter.drawEllipse(where)
            sign = "check" if state == "done" else "x"
            painter.drawPixmap(round(x - 4), 4, theme.pixmap(sign, "#FFFFFF", 8, stroke=4))
            return
        tint = "mark" if state == "running" else "edge"
        painter.setPen(QPen(theme.color(tint), 1.5))
        painter.setBrush(theme.color("s1"))
        painter.drawEllipse(where)
        if state == "running":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.color("mark"))
            painter.drawEllipse(QRectF(x - 3, 5, 6, 6))

    def _words(self, painter: QPainter, box: QRect, step: StepText) -> None:
        now = step.state in ("running", "failed")
        painter.setFont(theme.font(12, 600 if now else 400))
        painter.setPen(theme.color("bad" if step.state == "failed" else "t1" if now else "t2"))
        name = painter.fontMetrics().elidedText(step.name, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignTop, name)
        painter.setFont(theme.font(12))
        painter.setPen(theme.color("t3"))
        painter.drawText(box.adjusted(0, 16, 0, 0), Qt.AlignmentFlag.AlignTop, step.took)


class VolumeBars(QWidget):
    """One line per volume: name, bar, bytes, rate, time left."""

    PITCH = 26

    def __init__(self) -> None:
        super().__init__()
        self._volumes: tuple[VolumeText, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_volumes(self, volumes: Sequence[VolumeText]) -> None:
        """Show other volumes."""
        self._volumes = tuple(volumes)
        self.setAccessibleName(", ".join(f"{v.name} {v.amount} {v.left}" for v in volumes))
        self.setFixedHeight(self.PITCH * len(self._volumes))
        self.update()

    def sizeHint(self) -> QSize:
        """A line per volume."""
        return QSize(240, self.PITCH * len(self._volumes))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Line by line."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for at, volume in enumerate(self._volumes):
            self._line(painter, at * self.PITCH, volume)
        painter.end()

    def _line(self, painter: QPainter, top: int, volume: VolumeText) -> None:
        middle, width = top + self.PITCH // 2, self.width()
        done, bad = volume.state == "done", volume.state == "failed"
        sign = "circle-check" if done else "circle-x" if bad else "hard-drive"
        tint = "good" if done else "bad" if bad else "t2"
        painter.drawPixmap(0, middle - 7, theme.pixmap(sign, tint))
        painter.setFont(theme.font())
        figures = 226
        names = max(60, round((width - figures) * 0.42))
        name = painter.fontMetrics().elidedText(
            volume.name, Qt.TextElideMode.ElideMiddle, names - 30
        )
        painter.setPen(theme.color("t1"))
        line_box = QRect(0, top, width, self.PITCH)
        vertical = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(line_box.adjusted(22, 0, 0, 0), vertical, name)
        room = QRectF(names, middle - 2, width - figures - names, 5)
        draw_bar(painter, room, volume.share, "goodm" if done else "badm" if bad else "mark")
        painter.setFont(theme.font(12))
        painter.setPen(theme.color("t2"))
        right = Qt.AlignmentFlag.AlignRight | vertical
        painter.drawText(line_box.adjusted(0, 0, -112, 0), right, volume.amount)
        painter.drawText(line_box.adjusted(0, 0, -48, 0), right, volume.rate)
        painter.setPen(theme.color("t1"))
        painter.drawText(line_box, right, volume.left)


class RunCard(QFrame):
    """A running action: what it does, how far it is, its steps and volumes, and *Cancel*."""

    def __init__(self, on_cancel: Callable[[str], None]) -> None:
        super().__init__()
        self.setObjectName("card")
        self._key = ""
        self._title = label(role="section")
        self._aside = ElidedLabel(tone="t3", px=12)
        self._percent = label(role="title")
        self._detail = ElidedLabel(tone="t2")
        self._steps = StepLine()
        self._volumes = VolumeBars()
        self._rule = rule()
        self._cancel: QPushButton = button(
            tr("Cancel…"), lambda: on_cancel(self._key), kind="quiet", small=True
        )
        head = line(self._title, self._aside, self._percent, gap=8)
        head.setStretch(1, 1)
        under = line(self._detail, self._cancel)
        under.setStretch(0, 1)
        body = column(head, under, 4, self._steps, self._rule, self._volumes, gap=4)
        body.setContentsMargins(16, 12, 16, 10)
        body.addStretch(1)
        self.setLayout(body)

    def show_run(self, run: RunText) -> None:
        """Show the newest state."""
        self._key = run.key
        self.setAccessibleName(f"{run.title} {run.percent}")
        self._title.setText(run.title)
        self._aside.set_text(run.aside)
        self._percent.setText(run.percent)
        self._detail.set_text(run.detail)
        self._steps.show_steps(run.steps)
        self._volumes.show_volumes(run.volumes)
        self._rule.setVisible(bool(run.volumes) and bool(run.steps))
        self._volumes.setVisible(bool(run.volumes))
        self._cancel.setEnabled(not run.can_cancel)
        self._cancel.setToolTip(run.can_cancel)


class RunCards(QScrollArea):
    """One card per action under way, one or two beside each other; no room when there is none."""

    CARD_MIN = 400
    ROOM = 0.56  # of the page's height at most

    def __init__(self, on_cancel: Callable[[str], None]) -> None:
        super().__init__()
        self._on_cancel = on_cancel
        self.cards: dict[str, RunCard] = {}
        self._order: list[str] = []
        self._columns = 0
        self._room = 0
        inside = QWidget()
        self._grid = QGridLayout(inside)
        self._grid.setContentsMargins(24, 0, 20, 12)
        self._grid.setSpacing(12)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def show_runs(self, runs: Sequence[RunText]) -> None:
        """A card stays while its action does."""
        keys = [run.key for run in runs]
        for key in [key for key in self.cards if key not in keys]:
            card = self.cards.pop(key)
            self._grid.removeWidget(card)
            card.hide()
            card.deleteLater()
        for run in runs:
            if run.key not in self.cards:
                self.cards[run.key] = RunCard(self._on_cancel)
            self.cards[run.key].show_run(run)
        self.setVisible(bool(runs))
        if keys != self._order:
            self._order = keys
            self._place()
        self.fit()

    def give_room(self, page_height: int) -> None:
        """The page has another height."""
        self._room = round(page_height * self.ROOM)
        self.fit()

    def fit(self) -> None:
        """As high as the cards, at most the room; the rest scrolls."""
        self.setFixedHeight(max(60, min(self._grid.sizeHint().height(), self._room)))

    def _place(self) -> None:
        columns = self._columns or 1
        for at, key in enumerate(self._order):
            self._grid.addWidget(self.cards[key], at // columns, at % columns)
        for at in range(2):
            self._grid.setColumnStretch(at, 1 if at < columns else 0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The cards want another height, as they do when they are first shown."""
        taken = super().eventFilter(watched, event)
        if event.type() == QEvent.Type.LayoutRequest:
            self.fit()
        return taken

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One or two cards beside each other."""
        super().resizeEvent(event)
        columns = max(1, min(2, (self.width() - 44) // self.CARD_MIN))
        if columns != self._columns:
            self._columns = columns
            self._place()
            self.fit()
