"""The frame of every dialog: a title, a badge with the cluster, a body, buttons at the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFrame, QVBoxLayout

from console.ui.messages import tr
from console.ui.widgets.banner import BannerSlot, problem_banner
from console.ui.widgets.basics import button, label, line

if TYPE_CHECKING:
    from PySide6.QtWidgets import QPushButton, QWidget

    from console.ui.messages import Problem


class Sheet(QDialog):
    """A window-modal dialog in the house's style; Escape and *Cancel* reject."""

    def __init__(self, parent: QWidget | None, title: str, *, badge: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        head = line(label(title, role="title"), gap=12)
        if badge:
            head.addWidget(label(badge, role="badge"))
        head.addStretch(1)
        head.setContentsMargins(24, 18, 24, 6)
        self.slot = BannerSlot()
        self.body = QVBoxLayout()
        self.body.setContentsMargins(24, 6, 24, 16)
        self.body.setSpacing(8)
        self.body.addWidget(self.slot)
        foot = QFrame()
        foot.setObjectName("foot")
        self.foot = line(0, gap=8)
        self.foot.setContentsMargins(24, 12, 24, 14)
        foot.setLayout(self.foot)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(head)
        whole.addLayout(self.body, 1)
        whole.addWidget(foot)

    def add_buttons(self, yes: QPushButton) -> None:
        """*Cancel* and the button that does it."""
        self.foot.addWidget(button(tr("Cancel"), self.reject, kind="quiet"))
        self.foot.addWidget(yes)

    def fit(self) -> None:
        """As high as its words need at this width."""
        inside = self.layout()
        if inside is not None:
            inside.activate()
            self.resize(self.width(), inside.totalHeightForWidth(self.width()))

    def show_problem(self, problem: Problem | None) -> None:
        """A fault beside what caused it; None takes it away."""
        self.slot.show_banner(problem_banner(problem) if problem else None)
