"""The restore dialog: point and target above, the preview in words, blockers first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFrame, QScrollArea, QVBoxLayout, QWidget

from console.ui import format as fmt
from console.ui.dialogs.base import Sheet
from console.ui.messages import spans, tr
from console.ui.models.plans import planned_columns
from console.ui.models.table import TableModel
from console.ui.presenters.restore import PreviewText, RestorePresenter
from console.ui.widgets.banner import problem_banner
from console.ui.widgets.basics import button, caption, clear, column, field, label, line, rule
from console.ui.widgets.sentence import SentenceLabel
from console.ui.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.engine import PlannedObject, PointView
    from console.ui.messages import Problem
    from console.ui.presenters.desk import Desk


def object_key(one: PlannedObject) -> str:
    """The key of a planned object in a table."""
    return f"{one.resource}/{one.namespace}/{one.name}"


def planned_table() -> tuple[TableModel[PlannedObject], TableView[PlannedObject]]:
    """A table of planned objects in the plan's own order."""
    model: TableModel[PlannedObject] = TableModel(planned_columns(), object_key)
    view = TableView(model, height=28)
    view.setSortingEnabled(False)
    model.setParent(view)
    return model, view


class RestoreDialog(Sheet):
    """Restore one application; nothing changes before the last button."""

    def __init__(self, parent: QWidget | None, desk: Desk, points: Sequence[PointView]) -> None:
        first = points[0]
        title = tr("Restore {name} on", name=fmt.visible(first.application))
        super().__init__(parent, title, badge=first.cluster)
        self.resize(1000, 660)
        self.setMinimumSize(800, 480)
        self.presenter = RestorePresenter(desk, self, points)
        self._points = QComboBox()
        self._points.setAccessibleName(tr("Restore point"))
        self._points.setMinimumWidth(330)
        self.target = field(tr("Namespace"))
        self.target.setMinimumWidth(200)
        self._target_problem = label(tone="bad", role="small")
        self.sentence = SentenceLabel()
        self._notes = QVBoxLayout()
        self._notes.setSpacing(6)
        self._model, self._table = planned_table()
        self._steps = QVBoxLayout()
        self._steps.setSpacing(8)
        self._left = label(tone="bad")
        self.yes = button(tr("Restore"), self.presenter.confirm, kind="primary", icon="rotate-ccw")
        self._arrange()
        self._points.currentIndexChanged.connect(self.presenter.choose_point)
        self.target.textChanged.connect(self.presenter.choose_target)
        self.presenter.start()
        self.target.setFocus()

    def _arrange(self) -> None:
        choice = line(
            column(label(tr("Restore point"), role="label"), self._points, gap=4),
            column(label(tr("Into the namespace"), role="label"), self.target, gap=4),
            0,
            gap=16,
        )
        self.body.addLayout(choice)
        self.body.addWidget(self._target_problem)
        work = column(self.sentence, gap=8)
        work.addLayout(self._notes)
        work.addWidget(self._table, 1)
        side = QWidget()
        steps = column(label(tr("What will happen"), role="section"), gap=8)
        steps.addLayout(self._steps)
        steps.addStretch(1)
        side.setLayout(steps)
        scroll = QScrollArea()
        scroll.setWidget(side)
        scroll.setWidgetResizable(True)
        scroll.setFixedWidth(240)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        both = line(gap=24)
        both.addLayout(work, 1)
        both.addWidget(scroll)
        self.body.addWidget(rule())
        self.body.addSpacing(4)
        self.body.addLayout(both, 1)
        self.foot.insertWidget(0, self._left)
        self.add_buttons(self.yes)

    def show_points(self, titles: Sequence[str], target: str) -> None:
        """The points to choose from."""
        self._points.blockSignals(True)
        self._points.addItems(list(titles))
        self._points.blockSignals(False)
        self.target.blockSignals(True)
        self.target.setText(target)
        self.target.blockSignals(False)

    def show_working(self) -> None:
        """Nothing can be confirmed until the answer is there."""
        self.show_problem(None)
        self.yes.setEnabled(False)
        self._left.setText("")
        self.sentence.show_sentence(spans(tr("Working out what would happen…")))

    def show_target_problem(self, text: str) -> None:
        """What is wrong with the target's name."""
        self._target_problem.setText(text)
        self.target.setProperty("wrong", "true" if text else "false")
        self.target.style().polish(self.target)
        if text:
            self.yes.setEnabled(False)

    def show_preview(self, preview: PreviewText) -> None:
        """What would happen: blockers, warnings, objects, steps."""
        self.sentence.show_sentence(preview.sentence)
        clear(self._notes)
        for problem in (*preview.blockers, *preview.warnings):
            self._notes.addWidget(problem_banner(problem))
        self._model.show(preview.objects)
        clear(self._steps)
        for number, text in enumerate(preview.steps, 1):
            sign = label(str(number), tone="t3", role="small")
            sign.setAlignment(Qt.AlignmentFlag.AlignTop)
            sign.setFixedWidth(16)
            one = line(sign, label(text, wrap=True), gap=6)
            one.setStretch(1, 1)
            self._steps.addLayout(one)
        self._left.setText(preview.blocked)
        caption(self.yes, preview.confirm)
        self.yes.setEnabled(not preview.blocked)

    def show_problem(self, problem: Problem | None) -> None:
        """The preview or the start failed."""
        super().show_problem(problem)
        if problem is not None:
            self.yes.setEnabled(False)
            self.sentence.show_sentence(spans(tr("!!Nothing was changed.!!")))

    def finish(self) -> None:
        """The restore was started."""
        self.accept()
