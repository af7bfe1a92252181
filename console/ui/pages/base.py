"""The frame of every page: sentence, tools, a table or the empty page, a drawer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QStackedWidget, QVBoxLayout, QWidget

from console.ui.messages import Sentence, tr
from console.ui.widgets.banner import BannerSlot, EmptyPage
from console.ui.widgets.basics import column, field, line
from console.ui.widgets.drawer import Drawer
from console.ui.widgets.sentence import SentenceLabel

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QHBoxLayout

    from console.ui.presenters.desk import Empty, Presenter
    from console.ui.widgets.table import TableView


class Page(QWidget):
    """One page. Subclasses set `presenter` and `table`, and fill `tools` and `content`.

    Attributes:
        filter: The filter field; `/` leads to it.
    """

    presenter: Presenter
    table: TableView[Any]  # the rows' type is the page's

    def __init__(self, on_empty_action: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._on_empty_action = on_empty_action
        self._empty_shown: Empty | None = None
        self.sentence = SentenceLabel()
        self.silence = BannerSlot()
        self.slot = BannerSlot()
        self.filter: QLineEdit = field(tr("Filter"), icon="search")
        self.filter.setFixedWidth(190)
        self.tools: QHBoxLayout = line(self.filter, gap=6)
        self._tools_row = QWidget()
        self._tools_row.setLayout(self.tools)
        self.content = QWidget()
        self._empty = EmptyPage()
        self._stack = QStackedWidget()
        self._stack.addWidget(self.content)
        self._stack.addWidget(self._empty)
        self.foot = line(gap=8)
        self.drawer = Drawer()
        self.drawer.closed.connect(self.close_drawer)
        self._arrange()

    def _arrange(self) -> None:
        head = QVBoxLayout()
        head.setContentsMargins(24, 16, 20, 8)
        head.setSpacing(10)
        head.addWidget(self.silence)
        head.addWidget(self.slot)
        head.addWidget(self.sentence)
        head.addWidget(self._tools_row)
        self.foot.setContentsMargins(24, 4, 24, 10)
        left = QVBoxLayout()
        left.setContentsMargins(0, 0, 0, 0)
        left.setSpacing(0)
        left.addLayout(head)
        left.addWidget(self._stack, 1)
        left.addLayout(self.foot)
        whole = line(gap=0)
        whole.addLayout(left, 1)
        whole.addWidget(self.drawer)
        whole.setContentsMargins(1, 1, 1, 1)
        self.setLayout(whole)

    def show_sentence(self, sentence: Sentence) -> None:
        """The answer at the top."""
        self.sentence.show_sentence(sentence)

    def show_empty(self, empty: Empty | None) -> None:
        """The empty page instead of the content, or the content again."""
        self._tools_row.setVisible(empty is None)
        self.sentence.setVisible(empty is None)
        self._stack.setCurrentIndex(0 if empty is None else 1)
        if empty is None or empty == self._empty_shown:
            return
        self._empty_shown = empty
        action = None
        if empty.action and self._on_empty_action is not None:
            action = (empty.action, self._on_empty_action)
        self._empty.show_text(
            empty.icon, empty.title, empty.text, command=empty.command, action=action
        )

    def enter(self) -> None:
        """The page is shown: bring it up to date; focus on the table, on no button's ring."""
        self.presenter.show()
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def leave(self) -> None:
        """Another page is shown."""
        self.presenter.hide()

    def show_filter_text(self, text: str) -> None:
        """Filter by a text, as if it was typed."""
        self.filter.setText(text)

    def show_table(self) -> None:
        """Fill the page with its table; it starts left of the text, so that cells line up."""
        body = column(self.table)
        body.setContentsMargins(16, 0, 12, 0)
        self.content.setLayout(body)

    def close_drawer(self) -> None:
        """Take the selection away, and the drawer with it."""
        self.table.clearSelection()

    def escape(self) -> None:
        """Escape: the filter's text goes first, then the drawer."""
        if self.filter.hasFocus() and self.filter.text():
            self.filter.clear()
        else:
            self.close_drawer()

    def focus_filter(self) -> None:
        """`/`: begin to filter."""
        self.filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.filter.selectAll()

    def set_narrow(self, *, narrow: bool) -> None:
        """A narrow window has a narrow drawer."""
        self.drawer.set_narrow(narrow=narrow)
