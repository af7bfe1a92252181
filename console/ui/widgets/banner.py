"""A coloured strip with an icon, a title, an explanation and buttons; and the empty page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from console.ui import theme
from console.ui.messages import tr
from console.ui.widgets.basics import button, clear, column, copy, icon_button, label, line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.ui.messages import Problem

_ICONS = {"bad": "circle-x", "warn": "triangle-alert", "info": "info", "good": "circle-check"}
_TINTS = {"bad": "bad", "warn": "warn", "info": "accent", "good": "good"}


class Banner(QFrame):
    """One thing the user should know; level is bad, warn, info or good.

    Its buttons stand at the right, in a narrow place below the text.
    """

    def __init__(
        self, level: str, title: str, text: str = "", *, icon: str = "", narrow: bool = False
    ) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.setProperty("level", level)
        self._narrow = narrow
        sign = QLabel()
        sign.setPixmap(theme.pixmap(icon or _ICONS[level], _TINTS[level]))
        sign.setFixedWidth(15)
        self.title = label(title, tone=_TINTS[level] if level != "info" else "", wrap=True)
        self.title.setFont(theme.font(13, 600))
        self.text = label(text, wrap=True)
        self.text.setVisible(bool(text))
        self._buttons = line(gap=8)
        self._words = column(self.title, self.text, gap=2)
        self._words.addStretch(1)  # else the lines drift apart where there is more room
        signs = column(sign, 0, margin=0)
        signs.setContentsMargins(0, 2, 0, 0)
        body = line(signs, self._words, gap=10)
        body.setStretch(1, 1)
        (self._words if narrow else body).addLayout(self._buttons)
        body.setContentsMargins(12, 9, 12, 9)
        self.setLayout(body)
        self.setAccessibleName(title)

    def add(self, *buttons: QPushButton) -> Banner:
        """Put buttons at its end."""
        for one in buttons:
            self._buttons.addWidget(one)
        if self._narrow:
            self._buttons.addStretch(1)
        return self

    def add_lines(self, lines: Sequence[str]) -> None:
        """List things below the text, each on a line of its own, as they are spelled."""
        shown = label("\n".join(f"•  {one}" for one in lines), wrap=True)
        shown.setFont(theme.font(12, mono=True))
        self._words.insertWidget(2, shown)


def problem_banner(
    problem: Problem, on_close: Callable[[], None] | None = None, *, narrow: bool = False
) -> Banner:
    """A fault with its object, cause and next step, and a *Copy*."""
    where = f"{problem.subject}: " if problem.subject and problem.subject != problem.text else ""
    lines = [f"{where}{problem.text}" if problem.text else "", problem.hint]
    made = Banner(
        problem.level, problem.title, "\n".join(part for part in lines if part), narrow=narrow
    )
    report = problem.report()
    made.add(button(tr("Copy"), lambda: copy(report), kind="quiet", icon="copy", small=True))
    if on_close is not None:
        made.add(icon_button("x", tr("Close"), on_close))
    return made


class BannerSlot(QWidget):
    """A place for at most one banner; takes no room while it is empty."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 12)
        self.hide()

    def show_banner(self, banner: Banner | None) -> None:
        """Show another banner, or none."""
        clear(self._layout)
        if banner is not None:
            self._layout.addWidget(banner)
        self.setVisible(banner is not None)


class EmptyPage(QWidget):
    """What a page shows when there is nothing: what it is for, and the next step."""

    def __init__(self) -> None:
        super().__init__()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(24, 24, 24, 48)

    def show_text(
        self,
        icon: str,
        title: str,
        text: str,
        *,
        command: str = "",
        action: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        """Say what is missing; `command` is shown to copy, `action` becomes the button."""
        clear(self._layout)
        sign = QLabel()
        sign.setPixmap(theme.pixmap(icon, "t3", 32, stroke=1.5))
        sign.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        head = label(title, role="section")
        head.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        words = label(text, tone="t2", wrap=True)
        words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        words.setFixedWidth(520)
        self._layout.addStretch(2)
        self._layout.addWidget(sign)
        self._layout.addSpacing(8)
        self._layout.addWidget(head)
        self._layout.addLayout(line(0, words, 0))
        if command:
            self._layout.addSpacing(12)
            self._layout.addLayout(line(0, self._command(command), 0))
        if action is not None:
            self._layout.addSpacing(12)
            self._layout.addLayout(line(0, button(action[0], action[1], kind="primary"), 0))
        self._layout.addStretch(3)

    def _command(self, command: str) -> QFrame:
        frame = QFrame()
        frame.setObjectName("card")
        text = label(command)
        text.setFont(theme.font(12, mono=True))
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        inside = line(text, icon_button("copy", tr("Copy"), lambda: copy(command)))
        inside.setContentsMargins(12, 4, 4, 4)
        frame.setLayout(inside)
        return frame
