"""The columns of every table, as data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.ui import format as fmt
from console.ui.messages import tr, word
from console.ui.models.cells import STATES, Cell
from console.ui.models.table import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.engine import (
        ActionView,
        ApplicationView,
        ClusterView,
        LocationView,
        PointView,
    )

    ColorOf = Callable[[str], str]  # cluster name -> colour


URGENCY = {"failing": 0, "unprotected": 1, "running": 2, "protected": 3, "removed": 4}
_OUTCOMES = {
    "Complete": "done",
    "Partial": "partial",
    "Failed": "failing",
    "Cancelled": "cancelled",
    "Skipped": "cancelled",
}
_HEALTH = {"live": "done", "stale": "late", "refused": "failing"}


def now() -> datetime:
    """The clock of ages."""
    return datetime.now(UTC)


def _cluster_cell(name: str, color_of: ColorOf) -> Cell:
    return Cell(name, dot=color_of(name) or "accent0", color="t2")


def _age_cell(text: str) -> Cell:
    color = "t1" if text else "t2"
    return Cell(fmt.age(text, now()), color=color, tooltip=fmt.exact(text))


def _off_cluster(row: ApplicationView) -> Cell:
    if not row.last_export:
        return Cell(fmt.UNKNOWN, color="t2")
    moment = fmt.when(row.last_export)
    passed = fmt.duration((now() - moment).total_seconds()) if moment else ""
    return Cell(
        fmt.visible(row.last_location),
        passed,
        icon="cloud",
        icon_color="t2",
        tooltip=fmt.exact(row.last_export),
    )


def _state_cell(row: ApplicationView) -> Cell:
    return Cell(word(row.state), state=row.state, tooltip=fmt.visible(row.reason))


def application_columns(color_of: ColorOf) -> Sequence[Column[ApplicationView]]:
    """Applications: what needs you first."""
    return (
        Column(
            "name",
            tr("Name"),
            lambda a: Cell(fmt.visible(a.name), weight=600),
            lambda a: a.name,
            room=116,
        ),
        Column(
            "cluster",
            tr("Cluster"),
            lambda a: _cluster_cell(a.cluster, color_of),
            lambda a: a.cluster,
            150,
        ),
        Column("state", tr("State"), _state_cell, lambda a: (URGENCY[a.state], a.name), 124),
        Column(
            "last", tr("Last point"), lambda a: _age_cell(a.last_point), lambda a: a.last_point, 106
        ),
        Column("off", tr("Off-cluster"), _off_cluster, lambda a: a.last_export, 182, optional=2),
        Column(
            "size",
            tr("Size"),
            lambda a: Cell(fmt.size(a.size), right=True),
            lambda a: a.size,
            92,
            right=True,
            optional=1,
        ),
    )


def _kind_cell(point: PointView) -> Cell:
    if point.kind == "exported":
        return Cell(fmt.visible(point.location), icon="cloud", icon_color="t2")
    return Cell(tr("in the cluster"), icon="hard-drive", icon_color="t2", color="t2")


_POINT_STATES: dict[str, str] = {
    "Ready": "done",
    "Damaged": "failing",
    "Building": "running",
    "Retiring": "running",
}


def _point_state(point: PointView) -> Cell:
    state = _POINT_STATES[point.state]
    note = "" if point.crash_consistent else tr("not crash-consistent")
    tooltip = fmt.visible(point.reason) or note
    return Cell(word(point.state), note, state=state, tooltip=tooltip)


def point_columns(color_of: ColorOf) -> Sequence[Column[PointView]]:
    """Restore points: the newest first."""
    return (
        Column(
            "application",
            tr("Application"),
            lambda p: Cell(fmt.visible(p.application), weight=600),
            lambda p: p.application,
        ),
        Column(
            "cluster",
            tr("Cluster"),
            lambda p: _cluster_cell(p.cluster, color_of),
            lambda p: p.cluster,
            150,
        ),
        Column(
            "taken",
            tr("Taken"),
            lambda p: Cell(fmt.moment(p.taken_at, now()), tooltip=fmt.exact(p.taken_at)),
            lambda p: p.taken_at,
            136,
        ),
        Column("kind", tr("Kept in"), _kind_cell, lambda p: (p.kind, p.location), 150),
        Column(
            "objects",
            tr("Objects"),
            lambda p: Cell(str(p.objects), right=True, color="t2"),
            lambda p: p.objects,
            76,
            right=True,
            optional=2,
        ),
        Column(
            "size",
            tr("Size"),
            lambda p: Cell(fmt.size(p.logical_size), right=True),
            lambda p: p.logical_size,
            92,
            right=True,
            optional=1,
        ),
        Column("state", tr("State"), _point_state, lambda p: p.state, 112),
    )


def action_title(action: ActionView) -> str:
    """`Backup billing`, `Export shop to hk-s3`, `Restore wiki into wiki-test`."""
    name = fmt.visible(action.application)
    if action.kind == "ExportAction":
        return tr("Export {name} to {location}", name=name, location=fmt.visible(action.location))
    if action.kind == "RestoreAction":
        target = fmt.visible(action.target)
        if target and target != action.application:
            return tr("Restore {name} into {target}", name=name, target=target)
        return tr("Restore {name}", name=name)
    if action.kind == "RetireAction":
        return tr("Retire restore points of {name}", name=name)
    return tr("Backup {name}", name=name)


def _result(action: ActionView) -> Cell:
    if action.error is not None:
        return Cell(fmt.visible(action.error.message), color="bad")
    if action.failures:
        return Cell(fmt.visible(action.failures[0].message), color="warn")
    done = sum(volume.bytesDone for volume in action.volumes)
    parts = [fmt.volumes(len(action.volumes)), fmt.size(done)] if action.volumes else []
    return Cell(", ".join(parts) or word(action.outcome), color="t2")


def _action_cell(action: ActionView) -> Cell:
    icon, tint = STATES[_OUTCOMES.get(action.outcome, "cancelled")]
    return Cell(action_title(action), weight=500, icon=icon, icon_color=tint)


def _took(action: ActionView) -> float:
    begun, ended = fmt.when(action.started_at), fmt.when(action.ended_at)
    return (ended - begun).total_seconds() if begun and ended else -1.0


def action_columns(color_of: ColorOf) -> Sequence[Column[ActionView]]:
    """Finished actions: the newest first."""
    return (
        Column(
            "action",
            tr("Action"),
            _action_cell,
            action_title,
            250,
        ),
        Column(
            "cluster",
            tr("Cluster"),
            lambda a: _cluster_cell(a.cluster, color_of),
            lambda a: a.cluster,
            150,
        ),
        Column(
            "ended",
            tr("Finished"),
            lambda a: Cell(fmt.moment(a.ended_at, now()), tooltip=fmt.exact(a.ended_at)),
            lambda a: a.ended_at,
            136,
        ),
        Column(
            "took",
            tr("Took"),
            lambda a: Cell(fmt.clock(_took(a)) if _took(a) >= 0 else fmt.UNKNOWN, right=True),
            _took,
            70,
            right=True,
            optional=2,
        ),
        Column(
            "by",
            tr("Started by"),
            lambda a: Cell(fmt.visible(a.requested_by), color="t2"),
            lambda a: a.requested_by,
            120,
            optional=3,
        ),
        Column("result", tr("Result"), _result, lambda a: a.outcome, room=240),
    )


def location_columns(color_of: ColorOf) -> Sequence[Column[LocationView]]:
    """Locations."""
    states = {"usable": "done", "failed": "failing", "unproven_kit": "late"}
    return (
        Column(
            "name",
            tr("Name"),
            lambda one: Cell(fmt.visible(one.name), weight=600, icon="cloud", icon_color="t2"),
            lambda one: one.name,
            160,
        ),
        Column(
            "cluster",
            tr("Cluster"),
            lambda one: _cluster_cell(one.cluster, color_of),
            lambda one: one.cluster,
            150,
        ),
        Column(
            "state",
            tr("State"),
            lambda one: Cell(
                word(one.state),
                state=states.get(one.state, "unprotected"),
                tooltip=fmt.visible(one.error),
            ),
            lambda one: one.state,
            130,
        ),
        Column(
            "points",
            tr("Restore points"),
            lambda one: Cell(str(one.points), right=True),
            lambda one: one.points,
            110,
            right=True,
        ),
        Column(
            "url",
            tr("Address"),
            lambda one: Cell(fmt.visible(one.url), color="t2", tooltip=fmt.visible(one.url)),
            lambda one: one.url,
        ),
    )


def cluster_columns(color_of: ColorOf) -> Sequence[Column[ClusterView]]:
    """Clusters, in the user's order."""
    return (
        Column(
            "name",
            tr("Name"),
            lambda c: Cell(fmt.visible(c.name), weight=600, dot=color_of(c.name) or "accent0"),
            lambda c: c.name,
            190,
        ),
        Column(
            "health",
            tr("State"),
            lambda c: Cell(
                word(c.health),
                state=_HEALTH.get(c.health, "waiting"),
                tooltip=fmt.visible(c.problem),
            ),
            lambda c: c.health,
            140,
        ),
        Column("seen", tr("Last seen"), lambda c: _age_cell(c.as_of), lambda c: c.as_of, 110),
        Column(
            "version",
            tr("Version"),
            lambda c: Cell(fmt.visible(c.version) or fmt.UNKNOWN, color="t2"),
            lambda c: c.version,
            90,
            optional=1,
        ),
        Column(
            "engine",
            tr("Engine"),
            lambda c: Cell(word(c.engine), color="warn" if c.engine == "unprepared" else "t2"),
            lambda c: c.engine,
            180,
            optional=2,
        ),
        Column(
            "server",
            tr("Server"),
            lambda c: Cell(fmt.visible(c.server), color="t2", tooltip=fmt.visible(c.server)),
            lambda c: c.server,
        ),
    )
