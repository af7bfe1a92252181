"""Restore points: the table, one point in detail, restore, export, and what lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from console.engine import EngineError, PointView
from console.ui import format as fmt
from console.ui.bridge import problem_from
from console.ui.messages import Problem, Sentence, spans, tr, tr_count
from console.ui.presenters.desk import Desk, Empty, Presenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.engine import BrowseEntry


class PointDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One restore point as the drawer shows it."""

    row: PointView
    copies: tuple[PointView, ...]  # the other copies of the same moment
    restore_blocked: str
    export_blocked: str
    can_browse: bool


class PointsPage(Protocol):
    """What the page can show."""

    def show_sentence(self, sentence: Sentence) -> None:
        """The answer at the top."""

    def show_rows(self, rows: Sequence[PointView], *, clusters: bool) -> None:
        """All rows."""

    def show_filter(self, accept: Callable[[PointView], bool]) -> None:
        """Which of the rows to show."""

    def show_empty(self, empty: Empty | None) -> None:
        """Say what to do next instead of a table."""

    def show_detail(self, detail: PointDetail | None) -> None:
        """The drawer; None closes it."""

    def show_entries(self, path: str, entries: Sequence[BrowseEntry]) -> None:
        """A folder of the point was read."""

    def show_browse_problem(self, path: str, problem: Problem) -> None:
        """A folder of the point could not be read."""

    def show_saved(self, text: str) -> None:
        """A download has ended."""


class PointsPresenter(Presenter):
    """What can be restored."""

    def __init__(self, desk: Desk, view: PointsPage) -> None:
        super().__init__(desk, "points")
        self._view = view
        self._text = ""
        self._kind = ""
        self._key = ""
        self._detail: PointDetail | None = None

    def render(self) -> None:
        """Everything, from the live rows."""
        live = self.desk.live
        rows = live.points()
        self._view.show_empty(self._empty(rows))
        self._view.show_sentence(sentence_of(rows))
        self._view.show_rows(rows, clusters=len(live.in_scope) > 1)
        self._show_detail()

    def filter(self, text: str, kind: str) -> None:
        """Show the points whose application or location holds `text`; kind local or exported."""
        self._text, self._kind = text.strip().lower(), kind
        self._view.show_filter(self._accepts)

    def select(self, key: str | None) -> None:
        """Show one point in the drawer, or none."""
        self._key = key or ""
        self._show_detail()

    def restore(self) -> None:
        """Open the way to a restore from the selected point."""
        row = self._selected()
        if row is not None:
            self.tasks.start(self._restore(row), name="restore", replaces=True)

    def export(self) -> None:
        """Ask where to, then export the selected local point."""
        row = self._selected()
        if row is not None:
            self.tasks.start(self._export(row), name="export", replaces=True)

    def browse(self, path: str) -> None:
        """Read a folder of the selected point."""
        row = self._selected()
        if row is not None:
            self.tasks.start(self._browse(row, path), name=f"browse {path}", replaces=True)

    def save(self, path: str) -> None:
        """Ask for a folder, then copy something out of the selected point into it."""
        row = self._selected()
        if row is not None and path:
            self.tasks.start(self._save(row, path), name="save")

    async def _restore(self, row: PointView) -> None:
        same = self.desk.live.points_of(row.cluster, row.application)
        others = tuple(point for point in same if point.key != row.key)
        if await self.desk.asks.restore((row, *others)):
            self.desk.go("activity", "")

    async def _export(self, row: PointView) -> None:
        location = await self.desk.asks.export(row, self.desk.live.locations(row.cluster))
        if location:
            await self.desk.engine.actions.export(row.cluster, row.name, location=location)
            self.desk.go("activity", "")

    async def _browse(self, row: PointView, path: str) -> None:
        try:
            entries = await self.desk.engine.restore_points.browse(row.cluster, row.name, path)
        except EngineError as error:
            if row.key == self._key:
                self._view.show_browse_problem(path, problem_from(error))
            return
        if row.key == self._key:  # else the user looks at another point by now
            self._view.show_entries(path, entries)

    async def _save(self, row: PointView, path: str) -> None:
        folder = await self.desk.asks.folder(tr("Save {path} into a folder", path=path))
        if not folder:
            return
        points = self.desk.engine.restore_points
        copied = await points.get(row.cluster, row.name, path, folder)
        self._view.show_saved(
            tr(
                "{path} was saved in {folder}, {size}",
                path=path,
                folder=folder,
                size=fmt.size(copied),
            )
        )

    def _selected(self) -> PointView | None:
        return next((row for row in self.desk.live.points() if row.key == self._key), None)

    def _accepts(self, row: PointView) -> bool:
        if self._kind and row.kind != self._kind:
            return False
        return not self._text or self._text in f"{row.application} {row.location}".lower()

    def _show_detail(self) -> None:
        row = self._selected()
        if row is None:
            if self._detail is not None:
                self._detail = None
                self._view.show_detail(None)
            return
        same = self.desk.live.points_of(row.cluster, row.application)
        blocked = self.desk.why_not(row.cluster)
        damaged = tr("This restore point is damaged.") if row.state == "Damaged" else ""
        no_location = (
            "" if self.desk.live.locations(row.cluster) else tr("There is no location yet.")
        )
        detail = PointDetail(
            row=row,
            copies=tuple(p for p in same if p.id == row.id and p.key != row.key),
            restore_blocked=blocked or damaged,
            export_blocked=blocked or damaged or no_location,
            can_browse=row.kind == "exported",
        )
        if detail != self._detail:
            self._detail = detail
            self._view.show_detail(detail)

    def _empty(self, rows: Sequence[PointView]) -> Empty | None:
        if rows:
            return None
        return self.desk.not_yet("points") or Empty(
            icon="history",
            title=tr("No restore point yet"),
            text=tr("Back an application up: choose it on the page Applications, then Back up…"),
            action=tr("Go to Applications"),
        )


def sentence_of(rows: Sequence[PointView]) -> Sentence:
    """How much can be restored, and how much of it survives the cluster."""
    if not rows:
        return spans(tr("No restore points."))
    moments = {(row.cluster, row.id) for row in rows}
    exported = {(row.cluster, row.id) for row in rows if row.kind == "exported"}
    applications = {(row.cluster, row.application) for row in rows}
    head = tr_count(
        "**{n} restore point** of {apps}.",
        "**{n} restore points** of {apps}.",
        len(moments),
        apps=tr_count("{n} application", "{n} applications", len(applications)),
    )
    inside = len(moments) - len(exported)
    tail = tr("{n} only inside the cluster.", n=inside) if inside else tr("All also off-cluster.")
    damaged = sum(row.state == "Damaged" for row in rows)
    bad = (
        tr(" ") + tr_count("!!{n} is damaged.!!", "!!{n} are damaged.!!", damaged)
        if damaged
        else ""
    )
    return spans(head + tr(" ") + tail + bad)
