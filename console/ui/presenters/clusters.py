"""Clusters and locations: what is known, how fresh it is, and the ways to add and prepare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from console.engine import ClusterView, LocationView
from console.ui.messages import Sentence, spans, tr, tr_count
from console.ui.presenters.desk import (
    Confirmation,
    Desk,
    Empty,
    Presenter,
    no_cluster,
    reading,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ClusterDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster as the drawer shows it."""

    row: ClusterView
    color: str
    applications: int
    points: int
    prepare_blocked: str


class ClustersPage(Protocol):
    """What the page can show."""

    def show_sentence(self, sentence: Sentence) -> None:
        """The answer at the top."""

    def show_rows(self, rows: Sequence[ClusterView]) -> None:
        """All clusters."""

    def show_empty(self, empty: Empty | None) -> None:
        """Say what to do next instead of a table."""

    def show_detail(self, detail: ClusterDetail | None) -> None:
        """The drawer; None closes it."""


class ClustersPresenter(Presenter):
    """Which clusters are there, and how they are."""

    def __init__(self, desk: Desk, view: ClustersPage) -> None:
        super().__init__(desk, "clusters")
        self._view = view
        self._name = ""
        self._detail: ClusterDetail | None = None

    def render(self) -> None:
        """Everything, from the live rows."""
        live = self.desk.live
        empty = None
        if not live.clusters:
            empty = no_cluster() if live.clusters_known else reading(tr("All clusters"))
        self._view.show_empty(empty)
        self._view.show_sentence(cluster_sentence(live.clusters))
        self._view.show_rows(live.clusters)
        self._show_detail()

    def select(self, name: str | None) -> None:
        """Show one cluster in the drawer, or none."""
        self._name = name or ""
        self._show_detail()

    def add(self) -> None:
        """Open the way to add a cluster."""
        self.tasks.start(self._add(), name="add", replaces=True)

    def prepare(self) -> None:
        """Show what *prepare* would create in the selected cluster."""
        name = self._name
        if name:
            self.tasks.start(self._prepare(name), name="prepare", replaces=True)

    def look_at(self) -> None:
        """Make the selected cluster the one looked at."""
        if self._name:
            self.desk.live.look_at(self._name)
            self.desk.go("applications", "")

    def forget(self) -> None:
        """Ask, then forget the selected cluster."""
        name = self._name
        if name:
            self.tasks.start(self._forget(name), name="forget", replaces=True)

    async def _add(self) -> None:
        await self.desk.asks.add_cluster()

    async def _prepare(self, name: str) -> None:
        await self.desk.asks.prepare(name)

    async def _forget(self, name: str) -> None:
        question = Confirmation(
            title=tr("Forget {cluster}", cluster=name),
            text=tr(
                "Kubehaven forgets where the kubeconfig lies. Nothing changes in the cluster: "
                "its restore points, locations and records stay, and adding it again shows them."
            ),
            yes=tr("Forget {cluster}", cluster=name),
            danger=True,
        )
        if await self.desk.asks.confirm(question):
            await self.desk.engine.clusters.forget(name)

    def _show_detail(self) -> None:
        live = self.desk.live
        row = live.cluster(self._name)
        detail = None
        if row is not None:
            gone = row.health != "live"
            detail = ClusterDetail(
                row=row,
                color=self.desk.color_of(row.name),
                applications=sum(a.cluster == row.name for a in live.applications()),
                points=sum(p.cluster == row.name for p in live.points()),
                prepare_blocked=tr("The cluster does not answer.") if gone else "",
            )
        if detail != self._detail:
            self._detail = detail
            self._view.show_detail(detail)


def cluster_sentence(rows: Sequence[ClusterView]) -> Sentence:
    """How many answer."""
    if not rows:
        return spans(tr("No cluster yet."))
    live = sum(row.health == "live" for row in rows)
    head = tr_count(
        "**{live} of {n}** cluster answers.",
        "**{live} of {n}** clusters answer.",
        len(rows),
        live=live,
    )
    bare = [row.name for row in rows if row.engine == "unprepared"]
    if bare:
        text = tr(
            "~~{names}~~ must be prepared before the first backup.", names=tr(", ").join(bare)
        )
        return spans(head + tr(" ") + text)
    return spans(head)


class LocationsPage(Protocol):
    """What the page can show."""

    def show_sentence(self, sentence: Sentence) -> None:
        """The answer at the top."""

    def show_rows(self, rows: Sequence[LocationView], *, clusters: bool) -> None:
        """All locations."""

    def show_filter(self, accept: Callable[[LocationView], bool]) -> None:
        """Which of the rows to show."""

    def show_empty(self, empty: Empty | None) -> None:
        """Say what to do next instead of a table."""

    def show_detail(self, row: LocationView | None, blocked: str) -> None:
        """The drawer; None closes it. `blocked`: why it can't be checked now."""


class LocationsPresenter(Presenter):
    """Where points are exported to."""

    def __init__(self, desk: Desk, view: LocationsPage) -> None:
        super().__init__(desk, "locations")
        self._view = view
        self._key = ""
        self._detail: LocationView | None = None

    def render(self) -> None:
        """Everything, from the live rows."""
        live = self.desk.live
        rows = live.locations()
        self._view.show_empty(self._empty(rows))
        self._view.show_sentence(location_sentence(rows))
        self._view.show_rows(rows, clusters=len(live.in_scope) > 1)
        self._show_detail()

    def select(self, key: str | None) -> None:
        """Show one location in the drawer, or none."""
        self._key = key or ""
        self._show_detail()

    def check(self) -> None:
        """Look into the selected location now."""
        row = self._selected()
        if row is not None:
            self.tasks.start(self._check(row), name="check", replaces=True)

    def show_points(self) -> None:
        """Go to the restore points of the selected location."""
        row = self._selected()
        if row is not None:
            self.desk.go("points", row.name)

    async def _check(self, row: LocationView) -> None:
        await self.desk.engine.locations.check(row.cluster, row.name)

    def _selected(self) -> LocationView | None:
        rows = self.desk.live.locations()
        return next((r for r in rows if f"{r.cluster}/{r.name}" == self._key), None)

    def _show_detail(self) -> None:
        row = self._selected()
        if row != self._detail:
            self._detail = row
            self._view.show_detail(row, self.desk.why_not(row.cluster) if row else "")

    def _empty(self, rows: Sequence[LocationView]) -> Empty | None:
        if rows:
            return None
        live = self.desk.live
        not_yet = self.desk.not_yet("locations")
        if not_yet is not None:
            return not_yet
        cluster = live.scope or live.clusters[0].name
        return Empty(
            icon="database",
            title=tr("No location yet"),
            text=tr(
                "A location is a bucket or a folder that keeps exported restore points outside the "
                "cluster. For now the command line adds it; it appears here by itself."
            ),
            command=add_command(cluster),
        )


def add_command(cluster: str) -> str:
    """The command that adds a location to a cluster."""
    return (
        f"kubehaven location add backups --cluster {cluster} --bucket BUCKET "
        "--endpoint URL --credentials-file FILE --recovery-kit FILE"
    )


def location_sentence(rows: Sequence[LocationView]) -> Sentence:
    """How many can be used."""
    if not rows:
        return spans(tr("No location."))
    usable = sum(row.state == "usable" for row in rows)
    head = tr_count(
        "**{usable} of {n}** location is usable.",
        "**{usable} of {n}** locations are usable.",
        len(rows),
        usable=usable,
    )
    failed = sum(row.state == "failed" for row in rows)
    if failed:
        bad = tr_count("!!{n} can't be reached.!!", "!!{n} can't be reached.!!", failed)
        return spans(head + tr(" ") + bad)
    return spans(head)
