"""The one stream of events that the engine sends up, and the bus that carries it.

First the whole, then the changes (AA 5.3): each stream of rows begins with
`Listed`; `Changed` follows with a revision one higher; a gap means that the
receiver asks again. Row changes keep only the latest per key while nobody
reads; ends of actions and notices are never dropped.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from console.engine.model.views import (
    ActionView,
    ApplicationView,
    ClusterView,
    LocationView,
    PointView,
)

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
