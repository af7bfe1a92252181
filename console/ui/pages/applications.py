"""Applications: the live table and one application in the drawer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QComboBox, QWidget

from console.ui import format as fmt
from console.ui.messages import tr, word
from console.ui.models.columns import application_columns, now
from console.ui.models.table import TableModel
from console.ui.pages.base import Page
from console.ui.presenters.applications import ApplicationDetail, ApplicationsPresenter
from console.ui.widgets.banner import Banner
from console.ui.widgets.basics import button, enable, label
from console.ui.widgets.drawer import facts, group, item, section
from console.ui.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.engine import ApplicationView, PointView, VolumeView, WorkloadView
    from console.ui.presenters.desk import Desk

STATES = ("", "failing", "unprotected", "running", "protected", "removed")
POINTS_SHOWN = 5
_WORKLOAD_ICONS = {"StatefulSet": "layers-2", "DaemonSet": "boxes"}


class ApplicationsPage(Page):
    """Which applications are there, and what needs you."""

    def __init__(self, desk: Desk) -> None:
        self.presenter: ApplicationsPresenter = ApplicationsPresenter(desk, self)
        super().__init__(self.presenter.empty_action)
        self._model: TableModel[ApplicationView] = TableModel(
            application_columns(desk.color_of), lambda a: a.key, self
        )
        self.table = TableView(self._model)
        self.table.setAccessibleName(tr("Applications"))
        self.table.sort_by("state")
        self._states = QComboBox()
        self._states.setAccessibleName(tr("State"))
        for state in STATES:
            self._states.addItem(word(state) if state else tr("Every state"), state)
        self.back_up = button(tr("Back up…"), self.presenter.back_up, icon="archive")
        self.tools.addWidget(self._states)
        self.tools.addStretch(1)
        self.tools.addWidget(self.back_up)
        self._counts, self._removed = (
            label(role="small"),
            button("", self._show_removed, kind="link"),
        )
        self.foot.addWidget(self._counts)
        self.foot.addStretch(1)
        self.foot.addWidget(self._removed)
        self.show_table()
        self._connect()

    def _connect(self) -> None:
        self.filter.textChanged.connect(lambda _: self._filter())
        self._states.currentIndexChanged.connect(lambda _: self._filter())
        self.table.chosen.connect(self.presenter.select)
        self.table.opened.connect(lambda _: self.drawer.take_focus())
        enable(self.back_up, tr("Choose an application first."))
        self._filter()

    def _filter(self) -> None:
        self.presenter.filter(self.filter.text(), str(self._states.currentData()))

    def _show_removed(self) -> None:
        self._states.setCurrentIndex(STATES.index("removed"))

    def show_rows(self, rows: Sequence[ApplicationView], *, clusters: bool) -> None:
        """All rows."""
        self.table.show_column("cluster", shown=clusters)
        self._model.show(rows)

    def show_filter(self, accept: Callable[[ApplicationView], bool]) -> None:
        """Which of the rows to show."""
        self.table.filter(accept)

    def show_counts(self, shown: str, removed: int) -> None:
        """The line below the table."""
        self._counts.setText(shown)
        self._removed.setText(tr("Removed: {n}", n=removed))
        self._removed.setVisible(removed > 0)

    def show_detail(self, detail: ApplicationDetail | None) -> None:
        """The drawer."""
        if detail is None:
            self.drawer.hide()
            enable(self.back_up, tr("Choose an application first."))
            return
        enable(self.back_up, detail.back_up_blocked)
        row, drawer = detail.row, self.drawer
        drawer.begin(row.name)
        if row.state == "failing":
            drawer.body.addWidget(
                Banner("bad", tr("The last action failed"), fmt.visible(row.reason))
            )
        if row.state == "removed":
            text = tr("The namespace is gone. A restore makes it again.")
            drawer.body.addWidget(Banner("info", tr("Removed"), text, icon="history"))
        self._add_workloads(row)
        self._add_points(detail.points)
        drawer.body.addWidget(section(tr("Details")))
        drawer.body.addWidget(facts(_facts(detail)))
        restore = button(tr("Restore…"), self.presenter.restore, icon="rotate-ccw")
        back_up = button(tr("Back up…"), self.presenter.back_up, kind="primary", icon="archive")
        enable(restore, detail.restore_blocked)
        enable(back_up, detail.back_up_blocked)
        drawer.foot.addWidget(restore, 1)
        drawer.foot.addWidget(back_up, 1)
        drawer.end()

    def _add_workloads(self, row: ApplicationView) -> None:
        body = self.drawer.body
        if row.workloads:
            body.addWidget(section(tr("Workloads"), label(_objects(row.objects), role="small")))
            body.addWidget(group(*map(_workload, row.workloads)))
        if row.volumes:
            body.addWidget(section(tr("Volumes"), label(fmt.size(row.size), role="small")))
            body.addWidget(group(*map(_volume, row.volumes)))

    def _add_points(self, points: Sequence[PointView]) -> None:
        body = self.drawer.body
        every = None
        if points:
            text = tr("All {n}", n=len(points))
            every = button(text, self.presenter.show_points, kind="link")
        body.addWidget(section(tr("Restore points"), every))
        if not points:
            body.addWidget(label(tr("None yet. Back it up to make the first."), tone="t2"))
        body.addWidget(group(*map(_point, points[:POINTS_SHOWN])))


def _objects(n: int) -> str:
    return fmt.objects(n) if n >= 0 else ""


def _workload(one: WorkloadView) -> QWidget:
    ready = tr("{ready} of {wanted} ready", ready=one.ready, wanted=one.wanted)
    tint = "t2" if one.ready >= one.wanted else "warn"
    icon = _WORKLOAD_ICONS.get(one.kind, "box")
    return item(icon, fmt.visible(one.name), fmt.visible(one.kind), ready, tint=tint)


def _volume(one: VolumeView) -> QWidget:
    detail = one.problem or one.storage_class
    tint = "warn" if one.problem else "t2"
    size = fmt.size(one.size)
    made = item("hard-drive", fmt.visible(one.name), fmt.visible(detail), size, tint=tint)
    made.setToolTip(fmt.visible(one.problem))
    return made


def _point(point: PointView) -> QWidget:
    exported = point.kind == "exported"
    icon = "cloud" if exported else "hard-drive"
    kept = fmt.visible(point.location) if exported else tr("in the cluster")
    size = fmt.size(point.logical_size)
    made = item(icon, fmt.moment(point.taken_at, now()), kept, size, tint="accent")
    made.setToolTip(fmt.exact(point.taken_at))
    return made


def _facts(detail: ApplicationDetail) -> list[tuple[str, str]]:
    row = detail.row
    labels = ", ".join(f"{key}={value}" for key, value in row.labels.items())
    exported = tr(", ").join(
        part for part in (row.last_location, fmt.age(row.last_export, now())) if part
    )
    return [
        (tr("Cluster"), row.cluster),
        (tr("State"), word(row.state)),
        (tr("Last point"), fmt.age(row.last_point, now())),
        (tr("Off-cluster"), exported if row.last_export else tr("never")),
        (tr("Labels"), labels),
    ]
