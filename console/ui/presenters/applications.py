"""Applications: the sentence, the live table, one application in detail, backup and restore."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

import msgspec

from console.engine import ApplicationView, PointView
from console.ui import format as fmt
from console.ui.messages import Sentence, count, spans, tr, tr_count
from console.ui.presenters.desk import BackUpQuestion, Desk, Empty, Presenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class ApplicationDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One application as the drawer shows it."""

    row: ApplicationView
    points: tuple[PointView, ...]
    back_up_blocked: str  # why not; empty = it can be
    restore_blocked: str
    several_clusters: bool


class ApplicationsPage(Protocol):
    """What the page can show."""

    def show_sentence(self, sentence: Sentence) -> None:
        """The answer at the top."""

    def show_rows(self, rows: Sequence[ApplicationView], *, clusters: bool) -> None:
        """All rows; `clusters` adds the cluster column."""

    def show_filter(self, accept: Callable[[ApplicationView], bool]) -> None:
        """Which of the rows to show."""

    def show_empty(self, empty: Empty | None) -> None:
        """Say what to do next instead of a table; None = show the table."""

    def show_counts(self, shown: str, removed: int) -> None:
        """The line below the table."""

    def show_detail(self, detail: ApplicationDetail | None) -> None:
        """The drawer; None closes it."""


class ApplicationsPresenter(Presenter):
    """Which applications are there, and what needs you."""

    def __init__(self, desk: Desk, view: ApplicationsPage) -> None:
        super().__init__(desk, "applications")
        self._view = view
        self._text = ""
        self._state = ""
        self._key = ""
        self._detail: ApplicationDetail | None = None

    def render(self) -> None:
        """Everything, from the live rows."""
        live = self.desk.live
        rows = live.applications()
        self._view.show_empty(self._empty(rows))
        self._view.show_sentence(sentence_of(rows, as_of=self.desk.silent_since()))
        self._view.show_rows(rows, clusters=len(live.in_scope) > 1)
        there = [row for row in rows if row.state != "removed"]
        shown = tr_count("{n} application", "{n} applications", len(there))
        self._view.show_counts(shown, len(rows) - len(there))
        self._show_detail()

    def filter(self, text: str, state: str) -> None:
        """Show the rows whose name or label holds `text`; state is one, or empty for all there."""
        self._text, self._state = text.strip().lower(), state
        self._view.show_filter(self._accepts)

    def select(self, key: str | None) -> None:
        """Show one application in the drawer, or none."""
        self._key = key or ""
        self._show_detail()

    def back_up(self) -> None:
        """Ask how, then back the selected application up."""
        row = self._selected()
        if row is not None:
            self.tasks.start(self._back_up(row), name="back-up", replaces=True)

    def restore(self) -> None:
        """Open the way to a restore of the selected application."""
        row = self._selected()
        if row is not None:
            points = self.desk.live.points_of(row.cluster, row.name)
            self.tasks.start(self._restore(points), name="restore", replaces=True)

    def show_points(self) -> None:
        """Go to the selected application's restore points."""
        row = self._selected()
        if row is not None:
            self.desk.go("points", row.name)

    async def _back_up(self, row: ApplicationView) -> None:
        question = BackUpQuestion(
            cluster=row.cluster,
            application=row.name,
            objects=row.objects,
            volumes=len(row.volumes),
            locations=self.desk.live.locations(row.cluster),
        )
        answer = await self.desk.asks.back_up(question)
        if answer is None:
            return
        await self.desk.engine.actions.back_up(row.cluster, row.name, export_to=answer.export_to)
        self.desk.go("activity", "")

    async def _restore(self, points: tuple[PointView, ...]) -> None:
        if await self.desk.asks.restore(points):
            self.desk.go("activity", "")

    def _selected(self) -> ApplicationView | None:
        rows = self.desk.live.applications()
        return next((row for row in rows if row.key == self._key), None)

    def _accepts(self, row: ApplicationView) -> bool:
        if self._state and row.state != self._state:
            return False
        if not self._state and row.state == "removed":
            return False
        labels = " ".join(f"{k}={v}" for k, v in row.labels.items())
        return not self._text or self._text in f"{row.name} {labels}".lower()

    def _show_detail(self) -> None:
        row = self._selected()
        if row is None:
            if self._detail is not None:
                self._detail = None
                self._view.show_detail(None)
            return
        points = self.desk.live.points_of(row.cluster, row.name)
        blocked = self.desk.why_not(row.cluster)
        gone = tr("The namespace is gone; only its restore points are left.")
        none = tr("There is no restore point yet.")
        detail = ApplicationDetail(
            row=row,
            points=points,
            back_up_blocked=blocked or (gone if row.state == "removed" else ""),
            restore_blocked=blocked or ("" if points else none),
            several_clusters=len(self.desk.live.in_scope) > 1,
        )
        if detail != self._detail:
            self._detail = detail
            self._view.show_detail(detail)

    def _empty(self, rows: Sequence[ApplicationView]) -> Empty | None:
        if rows:
            return None
        return self.desk.not_yet("applications") or Empty(
            icon="boxes",
            title=tr("No application found"),
            text=tr(
                "Every namespace with something in it shows up here by itself. "
                "This account may not see any, or the cluster is empty."
            ),
        )


def sentence_of(rows: Sequence[ApplicationView], *, as_of: str = "") -> Sentence:
    """How many are protected, and where the rest stands; the figures add up.

    With `as_of` (a cluster that does not answer) in the past tense.
    """
    counts = Counter(row.state for row in rows if row.state != "removed")
    total = counts.total()
    if not total:
        return spans(tr("No applications."))
    head = tr_count(
        "**{done} of {n}** application is protected.",
        "**{done} of {n}** applications are protected.",
        total,
        done=count(counts["protected"]),
    )
    if as_of:
        head = tr(
            "**{done} of {n}** applications were protected at {time}.",
            n=count(total),
            done=count(counts["protected"]),
            time=fmt.time_of_day(as_of)[:5],
        )
    parts = []
    if counts["failing"]:
        parts.append(tr("!!{n} failing!!", n=count(counts["failing"])))
    if counts["running"]:
        parts.append(tr("{n} running", n=count(counts["running"])))
    if counts["unprotected"]:
        parts.append(tr("{n} unprotected", n=count(counts["unprotected"])))
    if not parts:
        return spans(head)
    return spans(head + tr(" ") + tr(", ").join(parts) + tr("."))
