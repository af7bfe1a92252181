"""Watches one cluster for the people who look at it: rows, live, to the event bus.

Follows namespaces, workloads, claims and our own kinds; every change marks the
rows as old, and a moment later they are computed anew as a whole and compared
(the bus sends differences). Nothing here writes to the cluster.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from console.engine.controller.rows import (
    KINDS,
    ClusterFacts,
    action_view,
    application_rows,
    listed_points,
    location_view,
    with_waiting,
)
from console.engine.errors import EngineError
from console.engine.kube import Changed, Listed, Lost
from console.engine.model.intent import Location
from console.engine.model.kinds import (
    BACKUP_ACTIONS,
    CLAIMS,
    DEPLOYMENTS,
    EXPORT_ACTIONS,
    LOCATIONS,
    NAMESPACES,
    RESTORE_ACTIONS,
    RESTORE_POINT_CONTENTS,
    RETIRE_ACTIONS,
    STATEFUL_SETS,
    Kind,
    RawObject,
)
from console.engine.model.points import RestorePointContent
from console.engine.model.wire import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from console.engine.aiokit import TaskOwner
    from console.engine.events import EventBus
    from console.engine.kube import KubeClient
    from console.engine.model.record import ActionKind, VolumeProgress
    from console.engine.model.views import ActionView, ApplicationView, PointView
    from console.engine.plan.queue import Waiting

FLUSH_S = 0.1
FOLLOWED = (NAMESPACES, DEPLOYMENTS, STATEFUL_SETS, CLAIMS)
OURS = (
    BACKUP_ACTIONS,
    EXPORT_ACTIONS,
    RESTORE_ACTIONS,
    RETIRE_ACTIONS,
    RESTORE_POINT_CONTENTS,
    LOCATIONS,
)
ACTION_KINDS: dict[Kind, ActionKind] = {
    BACKUP_ACTIONS: "BackupAction",
    EXPORT_ACTIONS: "ExportAction",
    RESTORE_ACTIONS: "RestoreAction",
    RETIRE_ACTIONS: "RetireAction",
}

_OWN: dict[Kind, type[Any]] = {
    **{kind: KINDS[name] for kind, name in ACTION_KINDS.items()},
    RESTORE_POINT_CONTENTS: RestorePointContent,
    LOCATIONS: Location,
}

T = TypeVar("T")


class Observer:
    """The live rows of one cluster."""

    def __init__(
        self,
        cluster: str,
        client: KubeClient,
        bus: EventBus,
        owner: TaskOwner,
        *,
        on_health: Callable[[EngineError | None], None],
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._bus = bus
        self._owner = owner
        self._on_health = on_health
        self._objects: dict[Kind, dict[str, Any]] = {}  # by uid: as `_kept` makes them
        self._progress: dict[str, tuple[VolumeProgress, ...]] = {}
        self._waiting: Mapping[str, Waiting] = {}
        self._old = asyncio.Event()
        self._ours = False

    def start(self) -> None:
        """Begin to follow what every cluster has."""
        for kind in FOLLOWED:
            self._owner.start(self._follow(kind), name=f"observe:{kind.resource}")
        self._owner.start(self._flush_forever(), name="observe:flush")

    def follow_ours(self) -> None:
        """Follow our own kinds too; once."""
        if not self._ours:
            self._ours = True
            for kind in OURS:
                self._owner.start(self._follow(kind), name=f"observe:{kind.resource}")

    def note_progress(self, uid: str, volumes: tuple[VolumeProgress, ...]) -> None:
        """Live counters of a running action; they go to the window, not through etcd."""
        self._progress[uid] = volumes
        self._old.set()

    def note_waiting(self, waiting: Mapping[str, Waiting]) -> None:
        """What queued actions wait for, by uid."""
        self._waiting = waiting
        self._old.set()

    async def _follow(self, kind: Kind) -> None:
        async for change in self._client.follow(kind):
            if isinstance(change, Lost):
                self._on_health(change.error)
            else:
                self._note(kind, change)
            del change  # it would hold what was listed until something changes
            self._old.set()

    def _note(self, kind: Kind, change: Listed | Changed) -> None:
        if isinstance(change, Listed):
            self._on_health(None)
            self._objects[kind] = {raw["metadata"]["uid"]: _kept(kind, raw) for raw in change.items}
        elif change.type == "DELETED":
            self._objects[kind].pop(change.object["metadata"]["uid"], None)
        else:
            self._objects[kind][change.object["metadata"]["uid"]] = _kept(kind, change.object)

    async def _flush_forever(self) -> None:
        while True:
            await self._old.wait()
            await asyncio.sleep(FLUSH_S)
            self._old.clear()
            self._flush()

    def _flush(self) -> None:
        if not all(kind in self._objects for kind in FOLLOWED):
            return
        names = {raw["metadata"]["name"]: uid for uid, raw in self._objects[NAMESPACES].items()}
        points = listed_points(
            self._cluster,
            self._decoded(RESTORE_POINT_CONTENTS, RestorePointContent),
            uid=names.get("default", ""),
        )
        actions = self._actions()
        locations = [
            location_view(
                self._cluster,
                location,
                points=sum(p.location == location.metadata.name for p in points),
            )
            for location in self._decoded(LOCATIONS, Location)
        ]
        self._bus.publish("points", self._cluster, points)
        self._bus.publish("actions", self._cluster, actions)
        self._bus.publish("locations", self._cluster, locations)
        self._bus.publish("applications", self._cluster, self._applications(points, actions))

    def _actions(self) -> list[ActionView]:
        rows = []
        for kind, name in ACTION_KINDS.items():
            for action in self._decoded(kind, KINDS[name]):
                row = action_view(self._cluster, name, action)
                live = self._progress.get(row.uid)
                if row.phase == "Finished":
                    self._progress.pop(row.uid, None)
                elif live is not None:
                    row = msgspec.structs.replace(row, volumes=live)
                rows.append(with_waiting(row, self._waiting))
        return sorted(rows, key=lambda row: row.created_at, reverse=True)

    def _applications(
        self, points: list[PointView], actions: list[ActionView]
    ) -> list[ApplicationView]:
        kept = self._objects
        facts = ClusterFacts(
            kept[NAMESPACES].values(),
            [*kept[DEPLOYMENTS].values(), *kept[STATEFUL_SETS].values()],
            kept[CLAIMS].values(),
        )
        return application_rows(self._cluster, facts, points=points, actions=actions)

    def _decoded(self, kind: Kind, to: type[T]) -> list[T]:
        """Our objects of a kind; one that doesn't fit is left out."""
        return [one for one in self._objects.get(kind, {}).values() if isinstance(one, to)]


def _kept(kind: Kind, raw: RawObject) -> Any:
    """Ours decoded, None where it doesn't fit; others' without the history of their fields.

    Nothing else is held of an object: there may be thousands.
    """
    own = _OWN.get(kind)
    if own is None:
        raw["metadata"].pop("managedFields", None)
        return raw
    try:
        return decode(raw, own)
    except EngineError:  # it must not hide the others
        return None
