"""The drawer at the right of a page: one thing in detail, its actions pinned at the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from console.ui import theme
from console.ui.messages import tr
from console.ui.widgets.basics import ElidedLabel, clear, column, icon_button, label, line, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDE, NARROW = 404, 330


class Drawer(QFrame):
    """A title, tabs on request, a scrolling body, a foot for buttons."""

    closed = Signal()
    tab_chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("drawer")
        self.setFixedWidth(WIDE)
        self.title = ElidedLabel(px=15, weight=600)
        self._tabs = QTabBar()
        self._tabs.setDrawBase(False)
        self._tabs.setExpanding(False)
        self._tabs.hide()
        self._tabs.currentChanged.connect(self.tab_chosen)
        self._body = QWidget()
        self.body = QVBoxLayout(self._body)
        self.body.setContentsMargins(20, 14, 20, 16)
        self.body.setSpacing(8)
        self._scroll = QScrollArea()
        self._scroll.setWidget(self._body)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._foot = QFrame()
        self._foot.setObjectName("foot")
        self.foot = line(gap=8)
        self.foot.setContentsMargins(20, 10, 20, 14)
        self._foot.setLayout(self.foot)
        self._pages: list[QWidget] = [self._scroll]
        self._focused = ""
        self._arrange()
        self.hide()

    def _arrange(self) -> None:
        head = line(self.title, icon_button("x", tr("Close"), self.closed.emit))
        head.setContentsMargins(20, 10, 12, 4)
        tabs = line(self._tabs, 0)
        tabs.setContentsMargins(20, 0, 20, 0)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(1, 0, 0, 0)
        self._layout.setSpacing(0)
        self._layout.addLayout(head)
        self._layout.addLayout(tabs)
        self._layout.addWidget(rule())
        self._layout.addWidget(self._scroll, 1)
        self._layout.addWidget(self._foot)

    def add_page(self, page: QWidget) -> None:
        """A page of its own for the next tab, beside the scrolling body."""
        page.hide()
        self._pages.append(page)
        self._layout.insertWidget(self._layout.count() - 1, page, 1)

    def show_tabs(self, titles: Sequence[str]) -> None:
        """Offer tabs; the first is the scrolling body. An empty list hides the bar."""
        if [self._tabs.tabText(n) for n in range(self._tabs.count())] != list(titles):
            self._tabs.blockSignals(True)
            while self._tabs.count():
                self._tabs.removeTab(0)
            for title in titles:
                self._tabs.addTab(title)
            self._tabs.blockSignals(False)
            self.show_page(0)
        self._tabs.setVisible(bool(titles))

    def show_page(self, at: int) -> None:
        """Show the body or one of the pages of its own."""
        if self._tabs.count() > at and self._tabs.currentIndex() != at:
            self._tabs.setCurrentIndex(at)
        for number, page in enumerate(self._pages):
            page.setVisible(number == at)

    def set_narrow(self, *, narrow: bool) -> None:
        """330 or 404 pixels."""
        self.setFixedWidth(NARROW if narrow else WIDE)

    @property
    def tab(self) -> int:
        """Which tab is shown."""
        return max(0, self._tabs.currentIndex())

    def begin(self, title: str) -> None:
        """Empty the body and the foot for something else, or for its newer state."""
        at = self._scroll.verticalScrollBar().value() if title == self.title.text() else 0
        self._focused = next((b.text() for b in self._buttons() if b.hasFocus()), "")
        self.title.set_text(title)
        clear(self.body)
        clear(self.foot)
        self._scroll.verticalScrollBar().setValue(at)

    def end(self) -> None:
        """The body is complete: push it up and show the drawer."""
        self.body.addStretch(1)
        self._foot.setVisible(self.foot.count() > 0)
        self.show()
        for one in self._buttons():
            if self._focused and one.text() == self._focused:
                one.setFocus()

    def take_focus(self) -> None:
        """Go to the first button that can be pressed."""
        for one in self._buttons():
            if one.isEnabled():
                one.setFocus(Qt.FocusReason.ShortcutFocusReason)
                return

    def _buttons(self) -> list[QPushButton]:
        items = (self.foot.itemAt(n) for n in range(self.foot.count()))
        widgets = (one.widget() for one in items if one is not None)
        return [one for one in widgets if isinstance(one, QPushButton)]


def section(text: str, aside: QWidget | None = None) -> QWidget:
    """A heading inside the drawer, with something quiet at its right."""
    made = QWidget()
    parts = line(label(text, role="section"), 0)
    if aside is not None:
        parts.addWidget(aside)
    parts.setContentsMargins(0, 8, 0, 0)
    made.setLayout(parts)
    return made


def facts(pairs: Sequence[tuple[str, str]]) -> QWidget:
    """Names and values in two columns; empty values are left out."""
    made = QWidget()
    grid = QGridLayout(made)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(6)
    grid.setColumnMinimumWidth(0, 96)
    grid.setColumnStretch(1, 1)
    for at, (name, value) in enumerate((n, v) for n, v in pairs if v):
        shown = label(value, wrap=True)
        shown.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        shown.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        shown.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        grid.addWidget(label(name, tone="t2"), at, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(shown, at, 1)
    return made


def group(*items: QWidget) -> QWidget:
    """Items close below each other."""
    made = QWidget()
    made.setLayout(column(*items, gap=0))
    return made


def item(icon: str, name: str, detail: str, aside: str = "", *, tint: str = "t2") -> QWidget:
    """One line of a short list: icon, name, quiet detail, something at the right."""
    made = QWidget()
    made.setFixedHeight(28)
    sign = QLabel()
    sign.setPixmap(theme.pixmap(icon, tint))
    first = label(name)
    more = ElidedLabel(detail, tone="t3", px=12)
    parts = line(sign, first, more, gap=8)
    parts.setStretch(2, 1)
    if aside:
        parts.addWidget(label(aside, tone="t2"))
    made.setLayout(parts)
    return made
