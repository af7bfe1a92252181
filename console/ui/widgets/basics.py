"""Labels, buttons, fields and rules in the house's style. All labels are plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from console.ui import theme
from console.ui.format import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QPaintEvent


def label(text: str = "", *, tone: str = "", role: str = "", wrap: bool = False) -> QLabel:
    """A plain-text label; `tone` colours it, `role` sizes it (see window.qss)."""
    made = QLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setText("\n".join(visible(one) for one in text.split("\n")))
    made.setWordWrap(wrap)
    if tone:
        made.setProperty("tone", tone)
    if role:
        made.setProperty("role", role)
    return made


def button(
    text: str, on_click: Callable[[], None], *, kind: str = "", icon: str = "", small: bool = False
) -> QPushButton:
    """A button; kind is primary, quiet, link, danger or menu."""
    made = QPushButton()
    made.setAutoDefault(False)
    if kind:
        made.setProperty("kind", kind)
    if small:
        made.setProperty("small", "true")
    if icon:
        tint = {"primary": "#FFFFFF", "danger": "bad"}.get(kind, "t2")
        made.setIcon(theme.icon(icon, tint))
        made.setIconSize(QSize(15, 15))
    caption(made, text)
    made.clicked.connect(lambda: on_click())
    made.setCursor(Qt.CursorShape.PointingHandCursor if kind == "link" else made.cursor())
    return made


def caption(control: QPushButton, text: str) -> None:
    """Write another text on a button."""
    beside_icon = bool(text) and not control.icon().isNull()
    control.setText(f" {text}" if beside_icon else text)  # Qt leaves only 4 px after an icon
    control.setAccessibleName(text)


def icon_button(icon: str, name: str, on_click: Callable[[], None]) -> QPushButton:
    """A small quiet button that shows only an icon; the name is read out and shown on hover."""
    made = button("", on_click, kind="quiet", icon=icon)
    made.setAccessibleName(name)
    made.setToolTip(name)
    made.setFixedWidth(30)
    return made


def enable(control: QWidget, reason: str) -> None:
    """Switch a control on (no reason) or off, the reason as its tooltip."""
    control.setEnabled(not reason)
    control.setToolTip(reason)


def field(placeholder: str = "", *, icon: str = "") -> QLineEdit:
    """A one-line field, with an icon before the text on request."""
    made = QLineEdit()
    made.setPlaceholderText(placeholder)
    made.setAccessibleName(placeholder)
    if icon:
        made.addAction(theme.icon(icon, "t3"), QLineEdit.ActionPosition.LeadingPosition)
        made.setProperty("lead", "true")
    return made


def rule() -> QFrame:
    """A line one pixel high."""
    made = QFrame()
    made.setObjectName("rule")
    return made


def column(*parts: QWidget | QLayout | int, gap: int = 8, margin: int = 0) -> QVBoxLayout:
    """Parts below each other; an int is a gap, 0 takes what is left."""
    made = QVBoxLayout()
    made.setContentsMargins(margin, margin, margin, margin)
    made.setSpacing(gap)
    _fill(made, parts)
    return made


def line(*parts: QWidget | QLayout | int, gap: int = 8, margin: int = 0) -> QHBoxLayout:
    """Parts beside each other; an int is a gap, 0 takes what is left."""
    made = QHBoxLayout()
    made.setContentsMargins(margin, margin, margin, margin)
    made.setSpacing(gap)
    _fill(made, parts)
    return made


def _fill(layout: QHBoxLayout | QVBoxLayout, parts: tuple[QWidget | QLayout | int, ...]) -> None:
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        elif isinstance(part, QLayout):
            layout.addLayout(part)
        elif part:
            layout.addSpacing(part)
        else:
            layout.addStretch(1)


def clear(layout: QLayout) -> None:
    """Remove and delete all that a layout holds."""
    while layout.count():
        item = layout.takeAt(0)
        if item is None:
            return
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
        elif inner is not None:
            clear(inner)


def copy(text: str) -> None:
    """Put a text on the clipboard."""
    QGuiApplication.clipboard().setText(text)


class ElidedLabel(QWidget):
    """One line of plain text that ends in an ellipsis when there is no room."""

    def __init__(
        self,
        text: str = "",
        *,
        tone: str = "t1",
        px: int = 13,
        weight: int = 400,
        mono: bool = False,
    ) -> None:
        super().__init__()
        self._text = ""
        self._tone = tone
        self._font = theme.font(px, weight, mono=mono)
        self._middle = mono  # paths are cut in the middle
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(px + 8)
        self.set_text(text)

    def set_text(self, text: str, tone: str = "") -> None:
        """Show another text."""
        self._text = visible(text)
        self._tone = tone or self._tone
        self.setAccessibleName(self._text)
        self.setToolTip(self._text)
        self.update()

    def text(self) -> str:
        """The whole text."""
        return self._text

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(40, self.height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw what fits."""
        painter = QPainter(self)
        painter.setFont(self._font)
        painter.setPen(theme.color(self._tone))
        side = Qt.TextElideMode.ElideMiddle if self._middle else Qt.TextElideMode.ElideRight
        text = painter.fontMetrics().elidedText(self._text, side, self.width())
        painter.drawText(
            self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text
        )
        painter.end()
