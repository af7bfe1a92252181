"""Clusters and locations: a table each, one thing in the drawer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.ui import format as fmt
from console.ui.messages import tr, word
from console.ui.models.columns import cluster_columns, location_columns, now
from console.ui.models.table import TableModel
from console.ui.pages.base import Page
from console.ui.presenters.clusters import (
    ClusterDetail,
    ClustersPresenter,
    LocationsPresenter,
    add_command,
)
from console.ui.widgets.banner import Banner
from console.ui.widgets.basics import button, copy, enable
from console.ui.widgets.drawer import facts
from console.ui.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.engine import ClusterView, LocationView
    from console.ui.presenters.desk import Desk


class ClustersPage(Page):
    """Which clusters are there, and how they are."""

    def __init__(self, desk: Desk) -> None:
        self.presenter: ClustersPresenter = ClustersPresenter(desk, self)
        super().__init__(self.presenter.add)
        self._model: TableModel[ClusterView] = TableModel(
            cluster_columns(desk.color_of), lambda c: c.name, self
        )
        self.table = TableView(self._model)
        self.table.setAccessibleName(tr("Clusters"))
        self.table.sort_by("name")
        self.add = button(tr("Add cluster…"), self.presenter.add, kind="primary", icon="plus")
        self.tools.addStretch(1)
        self.tools.addWidget(self.add)
        self.show_table()
        self.filter.textChanged.connect(self._filter)
        self.table.chosen.connect(self.presenter.select)
        self.table.opened.connect(lambda _: self.presenter.look_at())

    def _filter(self, text: str) -> None:
        wanted = text.strip().lower()
        self.table.filter(lambda c: wanted in f"{c.name} {c.server}".lower())

    def show_rows(self, rows: Sequence[ClusterView]) -> None:
        """All clusters."""
        self._model.show(rows)

    def show_detail(self, detail: ClusterDetail | None) -> None:
        """The drawer."""
        if detail is None:
            self.drawer.hide()
            return
        row, drawer = detail.row, self.drawer
        drawer.begin(row.name)
        if row.problem:
            level = "bad" if row.health == "refused" else "warn"
            drawer.body.addWidget(Banner(level, word(row.health), fmt.visible(row.problem)))
        if row.engine == "unprepared":
            title = tr("Not prepared yet")
            text = tr("Kubehaven's records and roles are missing. Prepare… shows each first.")
            drawer.body.addWidget(Banner("info", title, text))
        if row.insecure:
            text = tr("The kubeconfig switches the check of the server's certificate off.")
            drawer.body.addWidget(Banner("warn", tr("TLS is not verified"), text))
        drawer.body.addWidget(facts(_cluster_facts(detail)))
        forget = button(tr("Forget…"), self.presenter.forget, kind="danger")
        kind = "primary" if row.engine == "unprepared" else ""
        prepare = button(tr("Prepare…"), self.presenter.prepare, kind=kind)
        enable(prepare, detail.prepare_blocked)
        drawer.foot.addWidget(forget)
        drawer.foot.addWidget(button(tr("Look at it"), self.presenter.look_at), 1)
        drawer.foot.addWidget(prepare, 1)
        drawer.end()


def _cluster_facts(detail: ClusterDetail) -> list[tuple[str, str]]:
    row = detail.row
    return [
        (tr("State"), word(row.health)),
        (tr("Last seen"), fmt.age(row.as_of, now())),
        (tr("Server"), fmt.visible(row.server)),
        (tr("Version"), fmt.visible(row.version)),
        (tr("Engine"), word(row.engine)),
        (tr("Driven by"), fmt.visible(row.holder)),
        (tr("Kubeconfig"), fmt.visible(row.kubeconfig)),
        (tr("Context"), fmt.visible(row.context)),
        (tr("Applications"), str(detail.applications) if detail.applications else ""),
        (tr("Restore points"), str(detail.points) if detail.points else ""),
    ]


class LocationsPage(Page):
    """Where points are exported to."""

    def __init__(self, desk: Desk) -> None:
        self.presenter: LocationsPresenter = LocationsPresenter(desk, self)
        super().__init__(self.presenter.empty_action)
        self._desk = desk
        self._model: TableModel[LocationView] = TableModel(
            location_columns(desk.color_of), lambda one: f"{one.cluster}/{one.name}", self
        )
        self.table = TableView(self._model)
        self.table.setAccessibleName(tr("Locations"))
        self.table.sort_by("name")
        self.tools.addStretch(1)
        text = tr("Copy the command that adds one")
        self.tools.addWidget(button(text, self._copy_command, icon="copy"))
        self.show_table()
        self.filter.textChanged.connect(self._filter)
        self.table.chosen.connect(self.presenter.select)

    def _copy_command(self) -> None:
        clusters = self._desk.live.in_scope
        copy(add_command(clusters[0].name if clusters else "CLUSTER"))

    def _filter(self, text: str) -> None:
        wanted = text.strip().lower()
        self.table.filter(lambda one: wanted in f"{one.name} {one.url}".lower())

    def show_rows(self, rows: Sequence[LocationView], *, clusters: bool) -> None:
        """All locations."""
        self.table.show_column("cluster", shown=clusters)
        self._model.show(rows)

    def show_filter(self, accept: Callable[[LocationView], bool]) -> None:
        """Which of the rows to show."""
        self.table.filter(accept)

    def show_detail(self, row: LocationView | None, blocked: str) -> None:
        """The drawer."""
        if row is None:
            self.drawer.hide()
            return
        drawer = self.drawer
        drawer.begin(row.name)
        if row.error:
            title = tr("The last look into it failed")
            drawer.body.addWidget(Banner("bad", title, fmt.visible(row.error)))
        if row.state == "unproven_kit":
            text = tr("Nothing is exported here until the recovery kit was read back.")
            drawer.body.addWidget(Banner("warn", word(row.state), text))
        drawer.body.addWidget(
            facts(
                [
                    (tr("State"), word(row.state)),
                    (tr("Address"), fmt.visible(row.url)),
                    (tr("Restore points"), str(row.points)),
                    (tr("Key"), fmt.visible(row.key_id)),
                    (tr("Cluster"), row.cluster),
                ]
            )
        )
        check = button(tr("Check now"), self.presenter.check, kind="primary")
        enable(check, blocked)
        drawer.foot.addWidget(button(tr("Restore points"), self.presenter.show_points), 1)
        drawer.foot.addWidget(check, 1)
        drawer.end()
