"""The window: the frame, the pages in it, keys, banners, language and appearance."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QMainWindow, QStackedWidget, QWidget

from console.ui import theme
from console.ui.actions import CLOSE_KEY, FILTER_KEY, PAGES, QUIT_KEY, page
from console.ui.bridge import FaultSink, TaskOwner
from console.ui.dialogs.asker import Dialogs
from console.ui.messages import Problem, tr
from console.ui.pages.activity import ActivityPage
from console.ui.pages.applications import ApplicationsPage
from console.ui.pages.clusters import ClustersPage, LocationsPage
from console.ui.pages.points import PointsPage
from console.ui.presenters.desk import Confirmation, Desk
from console.ui.presenters.frame import FramePresenter, FrameText
from console.ui.state import Live, Remembered
from console.ui.widgets.appearance import Appearance
from console.ui.widgets.banner import EmptyPage, problem_banner
from console.ui.widgets.basics import column, line
from console.ui.widgets.frame import ClusterChoice, ColorLine, StatusBar, TopBar
from console.ui.widgets.rail import Rail

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QCloseEvent, QResizeEvent

    from console.engine import EngineFacade
    from console.ui.pages.base import Page

NARROW = 1120
_PAGES = {
    "applications": ApplicationsPage,
    "points": PointsPage,
    "activity": ActivityPage,
    "locations": LocationsPage,
    "clusters": ClustersPage,
}


class MainWindow(QMainWindow):
    """Shows itself at once; `attach` fills it when the engine is open.

    `close_requested` says that the user wants to leave; closing is up to the host.
    """

    close_requested = Signal()

    def __init__(self, remembered: Remembered, faults: FaultSink) -> None:
        super().__init__()
        self.remembered = remembered
        self.live = Live()
        self.live.scope = remembered.cluster
        self.pages: dict[str, Page] = {}
        self.current = remembered.page if remembered.page in _PAGES else "applications"
        self._faults = faults
        self._dialogs = Dialogs(self)
        self._desk: Desk | None = None
        self._frame: FramePresenter | None = None
        self._silence: Problem | None = None
        self._appearance = Appearance(remembered)
        self._tasks = TaskOwner("window", faults)
        self._clock = QTimer(self, interval=1000)
        self._clock.timeout.connect(self._tick)
        self.live.subscribe(self._on_change)
        faults.show = self.say
        self.setWindowTitle("Kubehaven")
        self.setMinimumSize(900, 560)
        self.resize(remembered.width, remembered.height)
        self._appearance.use_language()
        self._appearance.use_color("")
        self._build()
        self._add_keys()

    def attach(self, engine: EngineFacade) -> None:
        """Fill the pages from an open engine."""
        self._desk = Desk(engine, self.live, self._faults, self._dialogs, self.go)
        self._dialogs.desk = self._desk
        self._fill()
        self._clock.start()

    def show_start_problem(self, problem: Problem) -> None:
        """The engine could not be opened: say why, in place of the pages."""
        words = "\n\n".join(part for part in (problem.text, problem.hint) if part)
        self._starting.show_text("circle-x", problem.title, words)

    def go(self, page_id: str, filter_text: str = "") -> None:
        """Show a page, filtered by a text on request."""
        if page_id in self.pages:
            self.pages[self.current].leave()
            self.current = page_id
            shown = self.pages[page_id]
            if filter_text:
                shown.show_filter_text(filter_text)
            self._show_banners()
            self._stack.setCurrentWidget(shown)
            shown.enter()
        self.top.title.setText(tr(page(self.current).title))
        self.rail.show_page(self.current)

    def say(self, problem: Problem | None) -> None:
        """Show a fault above the page, until it is closed; None takes it away."""
        shown = self.pages.get(self.current)
        if shown is None:
            if problem is not None:
                self.show_start_problem(problem)
            return
        banner = problem_banner(problem, lambda: self.say(None)) if problem else None
        shown.slot.show_banner(banner)

    async def may_close(self) -> bool:
        """Ask when this window drives work that would stop."""
        works = self._frame.works_here() if self._frame else ()
        if not works:
            return True
        question = Confirmation(
            title=tr("Work is running on {clusters}", clusters=tr(", ").join(works)),
            text=tr(
                "This window does the work. If you close it, running actions stop where they are "
                "and go on when Kubehaven is opened again. Nothing is lost."
            ),
            yes=tr("Close anyway"),
        )
        return await self._dialogs.confirm(question)

    async def aclose(self) -> None:
        """End every page's tasks; the window may be deleted afterwards."""
        self._clock.stop()
        self._faults.show = None
        self._remember()
        await self._close_pages()
        await self._tasks.aclose()

    def show_frame(self, text: FrameText) -> None:
        """All around the pages, as the frame's presenter sees it."""
        self._appearance.use_color(text.color)
        choices = [ClusterChoice(c.name, c.color) for c in text.clusters]
        colors = [c.color for c in choices if text.scope in ("", c.name)]
        self.color_line.show_colors(colors)
        self.top.switch.show_choices(choices, text.scope)
        self.top.running.show_counts(text.running, text.waiting)
        self.top.show_stale(stale=text.stale)
        self.rail.show_count("applications", text.applications)
        self.rail.show_count("activity", max(0, text.running) + text.waiting)
        self.status.show_status(text.tint, text.fresh, text.engine, text.closing)
        if text.silence != self._silence:
            self._silence = text.silence
            self._show_banners()

    def _show_banners(self) -> None:
        shown = self.pages.get(self.current)
        if shown is not None:
            banner = problem_banner(self._silence) if self._silence else None
            shown.silence.show_banner(banner)

    def _build(self) -> None:
        self.color_line, self.top, self.rail, self.status = (
            ColorLine(),
            TopBar(),
            Rail(),
            StatusBar(),
        )
        self._stack = QStackedWidget()
        sheet = QFrame()
        sheet.setObjectName("sheet")
        sheet.setLayout(column(self._stack))
        middle = line(self.rail, sheet, gap=0)
        middle.setStretch(1, 1)
        middle.setContentsMargins(0, 0, 8, 0)
        whole = QWidget()
        whole.setObjectName("chrome")
        parts = column(self.color_line, self.top, gap=0)
        parts.addLayout(middle, 1)
        parts.addWidget(self.status)
        whole.setLayout(parts)
        self._starting = EmptyPage()
        self._starting.show_text(
            "loader-circle", tr("Opening the engine"), tr("This takes a moment.")
        )
        self._stack.addWidget(self._starting)
        self.setCentralWidget(whole)
        self.rail.picked.connect(self.go)
        self.rail.settings.clicked.connect(self._show_settings)
        self.top.switch.switched.connect(self.live.look_at)
        self.top.running.clicked.connect(lambda: self.go("activity"))
        self.top.running.show_counts(0, 0)
        self.go(self.current)
        self._fit()

    def _fill(self) -> None:
        if self._desk is None:
            return
        for name, kind in _PAGES.items():
            self.pages[name] = kind(self._desk)
            self._stack.addWidget(self.pages[name])
        self._frame = FramePresenter(self._desk, self)
        self._frame.show()
        self._silence = None
        self.go(self.current)
        self._fit()

    async def _close_pages(self) -> None:
        pages, self.pages = self.pages, {}
        for one in pages.values():
            await one.presenter.aclose()
        if self._frame is not None:
            await self._frame.aclose()
            self._frame = None

    async def _build_anew(self) -> None:
        await self._close_pages()
        self._build()
        self._fill()

    def _add_keys(self) -> None:
        for entry in PAGES:
            self._on_keys(entry.keys, partial(self.go, entry.id))
        self._on_keys(FILTER_KEY, self._focus_filter)
        self._on_keys(CLOSE_KEY, self._escape)
        self._on_keys(QUIT_KEY, self.close)

    def _on_keys(self, keys: str, act: Callable[[], object]) -> None:
        QShortcut(QKeySequence(keys), self).activated.connect(lambda: act())

    def _focus_filter(self) -> None:
        if self.pages:
            self.pages[self.current].focus_filter()

    def _escape(self) -> None:
        if self.pages:
            self.pages[self.current].escape()

    def _show_settings(self) -> None:
        self._appearance.open_menu(
            self.rail.settings, lambda code, mode: self.choose(language=code, mode=mode)
        )

    def choose(self, *, language: str = "", mode: str = "") -> None:
        """Change the language or the appearance, at once."""
        self.remembered.language = language or self.remembered.language
        self.remembered.mode = mode or self.remembered.mode
        self._appearance.use_language()
        self._appearance.use_color(theme.active().cluster)
        self._tasks.start(self._build_anew(), name="rebuild", replaces=True)

    def _on_change(self, changed: frozenset[str]) -> None:
        if self._frame is not None:
            self._frame.render()
        if "notices" in changed:
            for notice in self.live.notices:
                self.say(
                    Problem(
                        title=notice.message,
                        hint=notice.hint,
                        subject=notice.subject,
                        code=notice.code,
                        level=notice.level,
                    )
                )
            self.live.notices.clear()

    def _tick(self) -> None:
        if self._frame is not None:
            self._frame.render()

    def _remember(self) -> None:
        self.remembered.cluster, self.remembered.page = self.live.scope, self.current
        self.remembered.width, self.remembered.height = self.width(), self.height()

    def _fit(self) -> None:
        narrow = self.width() < NARROW
        self.rail.show_compact(compact=narrow)
        self.top.switch.compact = narrow
        self.top.switch.updateGeometry()
        for one in self.pages.values():
            one.set_narrow(narrow=narrow)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrow window shows icons in the rail and a narrow drawer."""
        super().resizeEvent(event)
        self._fit()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Never closes by itself: says that the user wants to."""
        event.ignore()
        self.close_requested.emit()
