"""What the window knows and what it remembers between two starts.

`Live` keeps the rows of every cluster from the engine's events. No Qt; all on
the loop's thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import msgspec

from console.engine import (
    ActionsChanged,
    ActionsListed,
    ActionView,
    ApplicationsChanged,
    ApplicationsListed,
    ApplicationView,
    ClustersListed,
    ClusterView,
    LocationsListed,
    LocationView,
    Notice,
    PointsChanged,
    PointsListed,
    PointView,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from console.engine import Event

Row = ActionView | ApplicationView | LocationView | PointView
R = TypeVar("R", bound=Row)

_LISTED = {
    ApplicationsListed: "applications",
    PointsListed: "points",
    ActionsListed: "actions",
    LocationsListed: "locations",
}
_CHANGED = {
    ApplicationsChanged: "applications",
    PointsChanged: "points",
    ActionsChanged: "actions",
}
STREAMS = ("applications", "points", "actions", "locations")


def key_of(row: Row) -> str:
    """The stable id of a row."""
    return f"{row.cluster}/{row.name}" if isinstance(row, LocationView) else row.key


class Live:
    """All rows of all clusters, and which cluster is looked at.

    Attributes:
        clusters: In the user's order.
        scope: Name of the cluster looked at; empty = all clusters.
        gaps: `(stream, cluster)` whose events did not follow each other; to be listed again.
    """

    def __init__(self) -> None:
        self.clusters: tuple[ClusterView, ...] = ()
        self.clusters_known = False
        self.scope = ""
        self.gaps: set[tuple[str, str]] = set()
        self.notices: list[Notice] = []
        self._rows: dict[tuple[str, str], dict[str, Row]] = {}
        self._revisions: dict[tuple[str, str], int] = {}
        self._watchers: list[Callable[[frozenset[str]], None]] = []

    def subscribe(self, watcher: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call `watcher` with the names of the streams that changed; the result ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def look_at(self, cluster: str) -> None:
        """Narrow everything to one cluster, or widen it to all ('')."""
        if cluster != self.scope:
            self.scope = cluster
            self._tell(frozenset({"clusters", "scope", *STREAMS}))

    def cluster(self, name: str) -> ClusterView | None:
        """A cluster by name."""
        return next((c for c in self.clusters if c.name == name), None)

    @property
    def in_scope(self) -> tuple[ClusterView, ...]:
        """The clusters looked at."""
        return tuple(c for c in self.clusters if not self.scope or c.name == self.scope)

    def known(self, stream: str) -> bool:
        """Whether the rows of every cluster in scope have arrived."""
        return self.clusters_known and not self.unknown(stream)

    def unknown(self, stream: str) -> tuple[ClusterView, ...]:
        """The clusters in scope whose rows have not arrived yet."""
        return tuple(c for c in self.in_scope if (stream, c.name) not in self._rows)

    def applications(self) -> tuple[ApplicationView, ...]:
        """The applications in scope."""
        return self._in_scope("applications", ApplicationView)

    def points(self) -> tuple[PointView, ...]:
        """The restore points in scope."""
        return self._in_scope("points", PointView)

    def actions(self) -> tuple[ActionView, ...]:
        """The actions in scope."""
        return self._in_scope("actions", ActionView)

    def locations(self, cluster: str = "") -> tuple[LocationView, ...]:
        """The locations in scope, or of one cluster."""
        rows = self._in_scope("locations", LocationView, cluster=cluster)
        return tuple(row for row in rows if not cluster or row.cluster == cluster)

    def busy_clusters(self) -> frozenset[str]:
        """The clusters, in scope or not, in which actions run."""
        busy = ("Running", "Cancelling")
        return frozenset(
            name
            for (stream, name), rows in self._rows.items()
            if stream == "actions"
            and any(isinstance(r, ActionView) and r.phase in busy for r in rows.values())
        )

    def points_of(self, cluster: str, application: str) -> tuple[PointView, ...]:
        """The points of one application, the newest first."""
        rows = self._in_scope("points", PointView, cluster=cluster)
        found = (p for p in rows if p.cluster == cluster and p.application == application)
        return tuple(sorted(found, key=lambda p: p.taken_at, reverse=True))

    def apply(self, events: Iterable[Event]) -> None:
        """Take a batch of events in, then tell the watchers once."""
        changed: set[str] = set()
        for event in events:
            changed.add(self._take(event))
        changed.discard("")
        if changed:
            self._tell(frozenset(changed))

    def relist(self, stream: str, cluster: str, rows: Iterable[Row]) -> None:
        """Take a whole list that was asked for after a gap; the next revision is believed."""
        self._rows[stream, cluster] = {key_of(row): row for row in rows}
        self._revisions.pop((stream, cluster), None)
        self.gaps.discard((stream, cluster))
        self._tell(frozenset({stream}))

    def _in_scope(self, stream: str, kind: type[R], *, cluster: str = "") -> tuple[R, ...]:
        names = [cluster] if cluster else [c.name for c in self.in_scope]
        return tuple(
            row
            for name in names
            for row in self._rows.get((stream, name), {}).values()
            if isinstance(row, kind)
        )

    def _take(self, event: Event) -> str:
        if isinstance(event, ClustersListed):
            self._take_clusters(event.rows)
            return "clusters"
        if isinstance(event, Notice):
            self.notices.append(event)
            return "notices"
        if isinstance(event, ApplicationsChanged | PointsChanged | ActionsChanged):
            return self._take_changes(event)
        if isinstance(event, ApplicationsListed | PointsListed | ActionsListed | LocationsListed):
            stream = _LISTED[type(event)]
            self._rows[stream, event.cluster] = {key_of(row): row for row in event.rows}
            self._revisions[stream, event.cluster] = event.revision
            self.gaps.discard((stream, event.cluster))
            return stream
        return ""

    def _take_changes(self, event: ApplicationsChanged | PointsChanged | ActionsChanged) -> str:
        if self.clusters_known and self.cluster(event.cluster) is None:
            return ""  # the last words of a cluster that was forgotten
        at = (_CHANGED[type(event)], event.cluster)
        rows = self._rows.get(at)
        last = self._revisions.get(at)
        if rows is None or (last is not None and event.revision != last + 1):
            self.gaps.add(at)
        rows = self._rows.setdefault(at, {})
        for key in event.removed:
            rows.pop(key, None)
        for row in event.upserts:
            rows[key_of(row)] = row
        self._revisions[at] = event.revision
        return at[0]

    def _take_clusters(self, rows: tuple[ClusterView, ...]) -> None:
        self.clusters, self.clusters_known = rows, True
        names = {c.name for c in rows}
        for at in [at for at in self._rows if at[1] not in names]:
            del self._rows[at]
            self._revisions.pop(at, None)
        if self.scope and self.scope not in names:
            self.scope = ""

    def _tell(self, changed: frozenset[str]) -> None:
        for watcher in tuple(self._watchers):
            watcher(changed)


class Remembered(msgspec.Struct, kw_only=True):
    """What the window remembers between two starts; nothing secret."""

    cluster: str = ""
    page: str = "applications"
    language: str = ""  # empty = the system's
    mode: str = "system"  # system, light, dark
    width: int = 1280
    height: int = 800


def load_remembered(path: Path) -> Remembered:
    """Read what was remembered; a missing or broken file means the defaults."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Remembered)
    except (OSError, msgspec.MsgspecError):
        return Remembered()


def save_remembered(path: Path, remembered: Remembered) -> None:
    """Write it in one step, so that a crash leaves the old or the new file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(remembered)))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
