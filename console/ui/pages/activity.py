"""Activity: running actions as cards, finished ones in a table, a failed one opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.ui import format as fmt
from console.ui.messages import tr, word
from console.ui.models.columns import action_columns
from console.ui.models.table import TableModel
from console.ui.pages.base import Page
from console.ui.presenters.activity import ActionDetail, ActivityPresenter
from console.ui.widgets.banner import Banner, problem_banner
from console.ui.widgets.basics import column, label, line
from console.ui.widgets.drawer import facts, group, item, section
from console.ui.widgets.progress import RunCards
from console.ui.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PySide6.QtGui import QResizeEvent
    from PySide6.QtWidgets import QWidget

    from console.engine import ActionView
    from console.ui.models.progress import RunText, StepText
    from console.ui.presenters.desk import Desk, Empty

_STEP_ICONS = {
    "done": ("circle-check", "good"),
    "running": ("loader-circle", "accent"),
    "failed": ("circle-x", "bad"),
    "skipped": ("minus", "t3"),
}


class ActivityPage(Page):
    """What is being done, and what came of it."""

    def __init__(self, desk: Desk) -> None:
        self.presenter: ActivityPresenter = ActivityPresenter(desk, self)
        super().__init__(self.presenter.empty_action)
        self._model: TableModel[ActionView] = TableModel(
            action_columns(desk.color_of), lambda a: a.key, self
        )
        self.table = TableView(self._model)
        self.table.setAccessibleName(tr("History"))
        self.table.sort_by("ended", ascending=False)
        self.runs = RunCards(self.presenter.cancel)
        self._arrange_content()
        self.filter.textChanged.connect(self.presenter.filter)
        self.table.chosen.connect(self.presenter.select)
        self.presenter.filter("")

    def _arrange_content(self) -> None:
        self.tools.removeWidget(self.filter)
        self._tools_row.hide()
        head = line(label(tr("History"), role="section"), 12, self.filter, 0)
        head.setContentsMargins(24, 4, 20, 6)
        table = column(self.table)
        table.setContentsMargins(16, 0, 12, 0)
        whole = column(self.runs, gap=0)
        whole.addLayout(head)
        whole.addLayout(table, 1)
        self.content.setLayout(whole)

    def show_empty(self, empty: Empty | None) -> None:
        """The tools lie in the content here."""
        super().show_empty(empty)
        self._tools_row.hide()

    def show_runs(self, runs: Sequence[RunText]) -> None:
        """What runs, then what waits."""
        self.runs.show_runs(runs)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The cards get their share of the height."""
        super().resizeEvent(event)
        self.runs.give_room(self.height())

    def show_rows(self, rows: Sequence[ActionView], *, clusters: bool) -> None:
        """What is finished."""
        self.table.show_column("cluster", shown=clusters)
        self._model.show(rows)

    def show_filter(self, accept: Callable[[ActionView], bool]) -> None:
        """Which of the finished ones to show."""
        self.table.filter(accept)

    def show_detail(self, detail: ActionDetail | None) -> None:
        """The drawer: the fault first, then the steps."""
        if detail is None:
            self.drawer.hide()
            return
        drawer = self.drawer
        drawer.begin(detail.title)
        for problem in detail.problems:
            drawer.body.addWidget(problem_banner(problem, narrow=True))
        if not detail.problems:
            drawer.body.addWidget(Banner("good", word(detail.row.outcome)))
        if detail.steps:
            drawer.body.addWidget(section(tr("Steps")))
            drawer.body.addWidget(group(*map(_step, detail.steps)))
        drawer.body.addWidget(section(tr("Details")))
        drawer.body.addWidget(facts(_facts(detail.row)))
        drawer.end()


def _step(step: StepText) -> QWidget:
    icon, tint = _STEP_ICONS.get(step.state, ("circle-dashed", "t3"))
    return item(icon, step.name, "", step.took, tint=tint)


def _facts(row: ActionView) -> list[tuple[str, str]]:
    return [
        (tr("Cluster"), row.cluster),
        (tr("Application"), fmt.visible(row.application)),
        (tr("Outcome"), word(row.outcome)),
        (tr("Started"), fmt.exact(row.started_at)),
        (tr("Finished"), fmt.exact(row.ended_at)),
        (tr("Location"), fmt.visible(row.location)),
        (tr("Into"), fmt.visible(row.target)),
        (tr("Restore point"), fmt.visible(row.point)),
        (tr("Started by"), fmt.visible(row.requested_by)),
        (tr("Driven by"), fmt.visible(row.driver)),
        (tr("Name"), f"{row.namespace}/{row.name}"),
    ]
