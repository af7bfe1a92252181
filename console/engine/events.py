"""The one stream of events that the engine sends up, and the bus that carries it.

First the whole, then the changes (AA 5.3): each stream of rows begins with
`Listed`; `Changed` follows with a revision one higher; a gap means that the
receiver asks again. Row changes keep only the latest per key while nobody
reads; ends of actions and notices are never dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from console.engine.model.views import (
    ActionView,
    ApplicationView,
    CheckResult,
    ClusterView,
    LocationView,
    PointView,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

Stream = Literal["clusters", "applications", "points", "actions", "locations"]
Row = ActionView | ApplicationView | ClusterView | LocationView | PointView


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all events."""


class ClustersListed(Event, frozen=True, kw_only=True):
    """All clusters; sent at every change (there are few)."""

    rows: tuple[ClusterView, ...]


class ApplicationsListed(Event, frozen=True, kw_only=True):
    """All applications of one cluster."""

    cluster: str
    revision: int
    rows: tuple[ApplicationView, ...]


class ApplicationsChanged(Event, frozen=True, kw_only=True):
    """Some applications of one cluster."""

    cluster: str
    revision: int
    upserts: tuple[ApplicationView, ...] = ()
    removed: tuple[str, ...] = ()  # keys


class PointsListed(Event, frozen=True, kw_only=True):
    """All restore points of one cluster."""

    cluster: str
    revision: int
    rows: tuple[PointView, ...]


class PointsChanged(Event, frozen=True, kw_only=True):
    """Some restore points of one cluster."""

    cluster: str
    revision: int
    upserts: tuple[PointView, ...] = ()
    removed: tuple[str, ...] = ()


class ActionsListed(Event, frozen=True, kw_only=True):
    """All actions of one cluster."""

    cluster: str
    revision: int
    rows: tuple[ActionView, ...]


class ActionsChanged(Event, frozen=True, kw_only=True):
    """Some actions of one cluster, live progress included."""

    cluster: str
    revision: int
    upserts: tuple[ActionView, ...] = ()
    removed: tuple[str, ...] = ()


class LocationsListed(Event, frozen=True, kw_only=True):
    """All locations of one cluster."""

    cluster: str
    revision: int
    rows: tuple[LocationView, ...]


class Notice(Event, frozen=True, kw_only=True):
    """Something that the user should know."""

    level: Literal["info", "warn", "bad"]
    code: str
    message: str
    subject: str = ""
    hint: str = ""


class CheckChanged(Event, frozen=True, kw_only=True):
    """How far a check of a cluster is: one of its results, `running` first."""

    cluster: str
    result: CheckResult


class EventBus:
    """Carries rows and notices to every reader; used on the engine's loop only.

    Publishers give the whole list of a stream's rows; the bus sends each reader
    the difference. A slow reader gets differences merged, so that nothing
    piles up; notices wait in order.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[Stream, str], dict[str, Row]] = {}
        self._readers: list[_Reader] = []

    def publish(self, stream: Stream, cluster: str, rows: Iterable[Row]) -> None:
        """The rows of a stream as they are now; `cluster` is empty for clusters."""
        now = {row.key: row for row in rows}
        before = self._rows.get((stream, cluster))
        if before == now:
            return
        self._rows[stream, cluster] = now
        for reader in self._readers:
            reader.note(stream, cluster, before, now)

    def forget(self, cluster: str) -> None:
        """Drop a cluster's rows; readers see empty lists."""
        for stream, name in tuple(self._rows):
            if name == cluster and cluster:
                self.publish(stream, name, ())
                del self._rows[stream, name]

    def notify(self, event: Notice | CheckChanged) -> None:
        """Send to every reader what is never left out."""
        for reader in self._readers:
            reader.notices.append(event)
            reader.woken.set()

    async def read(self) -> AsyncGenerator[Event]:
        """Everything as it is now, then every change."""
        reader = _Reader()
        for (stream, cluster), rows in self._rows.items():
            reader.note(stream, cluster, None, rows)
        self._readers.append(reader)
        try:
            while True:
                await reader.woken.wait()
                reader.woken.clear()
                for event in reader.take():
                    yield event
        finally:
            self._readers.remove(reader)


class _Reader:
    """What one reader has not read yet."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.notices: deque[Notice | CheckChanged] = deque()
        self._listed: dict[tuple[Stream, str], dict[str, Row]] = {}
        self._upserts: dict[tuple[Stream, str], dict[str, Row]] = {}
        self._removed: dict[tuple[Stream, str], set[str]] = {}
        self._revisions: dict[tuple[Stream, str], int] = {}

    def note(
        self,
        stream: Stream,
        cluster: str,
        before: Mapping[str, Row] | None,
        now: Mapping[str, Row],
    ) -> None:
        where = (stream, cluster)
        self.woken.set()
        if before is None or where in self._listed or stream in {"clusters", "locations"}:
            self._listed[where] = dict(now)
            return
        upserts = self._upserts.setdefault(where, {})
        removed = self._removed.setdefault(where, set())
        for key, row in now.items():
            if before.get(key) != row:
                upserts[key] = row
                removed.discard(key)
        for key in before.keys() - now.keys():
            removed.add(key)
            upserts.pop(key, None)

    def take(self) -> list[Event]:
        events: list[Event] = list(self.notices)
        self.notices.clear()
        for (stream, cluster), rows in self._listed.items():
            events.append(
                _LISTED[stream](
                    cluster=cluster,
                    revision=self._next(stream, cluster),
                    rows=tuple(rows.values()),
                )
            )
        for where, upserts in self._upserts.items():
            if where not in self._listed:
                removed = tuple(sorted(self._removed.get(where, ())))
                if upserts or removed:
                    events.append(
                        _CHANGED[where[0]](
                            cluster=where[1],
                            revision=self._next(*where),
                            upserts=tuple(upserts.values()),
                            removed=removed,
                        )
                    )
        self._listed, self._upserts, self._removed = {}, {}, {}
        return events

    def _next(self, stream: Stream, cluster: str) -> int:
        revision = self._revisions.get((stream, cluster), 0) + 1
        self._revisions[stream, cluster] = revision
        return revision


def _clusters_listed(*, cluster: str, revision: int, rows: tuple[Any, ...]) -> Event:
    del cluster, revision  # there is one such stream, and it is always sent whole
    return ClustersListed(rows=rows)


_LISTED: Mapping[Stream, Callable[..., Event]] = {
    "clusters": _clusters_listed,
    "locations": LocationsListed,
    "applications": ApplicationsListed,
    "points": PointsListed,
    "actions": ActionsListed,
}

_CHANGED: Mapping[Stream, Callable[..., Event]] = {
    "applications": ApplicationsChanged,
    "points": PointsChanged,
    "actions": ActionsChanged,
}
