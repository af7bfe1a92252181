"""The frame around the pages: scope, colours, what runs, freshness, may the window be closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from console.ui import format as fmt
from console.ui.messages import Problem, tr
from console.ui.models.columns import now
from console.ui.presenters.desk import SILENT, Desk, Presenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.engine import ClusterView

UNKNOWN = -1
FRESH_S = 60


class ClusterChoice(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the switcher."""

    name: str
    color: str


class FrameText(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the frame shows."""

    clusters: tuple[ClusterChoice, ...]
    scope: str
    color: str  # empty = all clusters
    stale: bool
    running: int  # UNKNOWN = nobody knows
    waiting: int
    applications: int
    tint: str
    fresh: str
    engine: str
    closing: str
    silence: Problem | None  # the banner of a stale cluster


class FrameView(Protocol):
    """What the frame can show."""

    def show_frame(self, text: FrameText) -> None:
        """Show all of it."""


class FramePresenter(Presenter):
    """What is true for every page."""

    def __init__(self, desk: Desk, view: FrameView) -> None:
        super().__init__(desk, "frame")
        self._view = view

    def render(self) -> None:
        """Everything, from the live rows; also once a second, since ages pass."""
        live = self.desk.live
        actions = live.actions()
        silent = [c for c in live.in_scope if c.health in SILENT]
        busy = [a for a in actions if a.phase in ("Running", "Cancelling")]
        fresh, tint = freshness(live.in_scope)
        text = FrameText(
            clusters=tuple(
                ClusterChoice(name=c.name, color=self.desk.color_of(c.name)) for c in live.clusters
            ),
            scope=live.scope,
            color=self.desk.color_of(live.scope),
            stale=bool(silent),
            running=UNKNOWN if silent and len(silent) == len(live.in_scope) else len(busy),
            waiting=sum(a.phase in ("Pending", "Queued") for a in actions),
            applications=sum(a.state != "removed" for a in live.applications()),
            tint=tint,
            fresh=fresh,
            engine=engine_text(live.in_scope),
            closing=closing_text(live.in_scope, working=self.works_here()),
            silence=silence(silent),
        )
        self._view.show_frame(text)

    def works_here(self) -> tuple[str, ...]:
        """The clusters whose running work this window drives, by name."""
        live = self.desk.live
        driven = {c.name for c in live.clusters if c.engine == "driving"}
        return tuple(sorted(driven & live.busy_clusters()))


def freshness(clusters: Sequence[ClusterView]) -> tuple[str, str]:
    """How fresh the rows are, and the tint of the dot."""
    if not clusters:
        return tr("no cluster"), "t3"
    silent = [c for c in clusters if c.health in SILENT]
    oldest = min((c for c in clusters), key=lambda c: c.as_of)
    if silent:
        if len(clusters) > 1:
            n = len(clusters) - len(silent)
            return tr("{n} of {all} clusters live", n=n, all=len(clusters)), "warnm"
        time = fmt.time_of_day(oldest.as_of)
        return tr("as of {time}, {age}", time=time, age=fmt.age(oldest.as_of, now())), "warnm"
    if any(c.health in ("connecting", "unknown") for c in clusters):
        return tr("connecting"), "t3"
    if len(clusters) > 1:
        return tr("{n} clusters live", n=len(clusters)), "goodm"
    moment = fmt.when(oldest.as_of)
    if moment is None or (now() - moment).total_seconds() > FRESH_S:
        return tr("live"), "goodm"  # nothing has changed since: what is shown is still true
    return tr("live, {age}", age=fmt.age(oldest.as_of, now())), "goodm"


def engine_text(clusters: Sequence[ClusterView]) -> str:
    """Who does the work."""
    if len(clusters) != 1:
        return ""
    one = clusters[0]
    texts = {
        "driving": tr("engine: in this window"),
        "elsewhere": tr("engine: {holder} (you only watch)", holder=fmt.visible(one.holder)),
        "unprepared": tr("engine: the cluster is not prepared yet"),
        "idle": tr("engine: idle"),
    }
    return texts.get(one.engine, "")


def closing_text(clusters: Sequence[ClusterView], *, working: Sequence[str]) -> str:
    """Whether the window may be closed, and what happens to the work then."""
    if working:
        return tr("Work stops when you close this window, and goes on when you open it again.")
    if any(c.engine == "elsewhere" for c in clusters):
        return tr("You may close this window: the work goes on in the cluster.")
    return tr("You may close this window: nothing is running in it.")


def silence(silent: Sequence[ClusterView]) -> Problem | None:
    """The banner of clusters that do not answer."""
    if not silent:
        return None
    names = tr(", ").join(c.name for c in silent)
    oldest = min(silent, key=lambda c: c.as_of)
    moment = fmt.when(oldest.as_of)
    passed = fmt.duration((now() - moment).total_seconds()) if moment else fmt.UNKNOWN
    return Problem(
        title=tr("{names} has not answered for {time}", names=names, time=passed),
        text=fmt.visible(oldest.problem),
        hint=tr(
            "You see what was known at {time}. Kubehaven keeps trying by itself.",
            time=fmt.time_of_day(oldest.as_of),
        ),
        code="cluster.unreachable",
        level="warn",
    )
