"""From what stands in a cluster to the rows that people see. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from console.engine.catalog.locations import location_url
from console.engine.errors import LocationError
from console.engine.model.names import (
    LABEL_APP_NAMESPACE,
    NAMESPACE,
    WORKERS_NAMESPACE,
    point_id,
)
from console.engine.model.quantity import quantity_bytes
from console.engine.model.record import (
    Action,
    ActionKind,
    BackupAction,
    BackupActionStatus,
    ExportAction,
    RestoreAction,
    RetireAction,
    RetireActionStatus,
)
from console.engine.model.views import (
    ActionView,
    ApplicationView,
    AppState,
    LocationState,
    LocationView,
    PointView,
    PointVolumeView,
    VolumeView,
    WorkloadView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from console.engine.model.intent import Location
    from console.engine.model.kinds import RawObject
    from console.engine.model.points import RestorePointContent
    from console.engine.plan.queue import Waiting

Row = TypeVar("Row", ActionView, PointView)

_PLATFORM = re.compile(rf"^(kube-.*|openshift(-.*)?|default|{NAMESPACE}|{WORKERS_NAMESPACE})$")

KINDS: Mapping[ActionKind, type[Action]] = {
    "BackupAction": BackupAction,
    "ExportAction": ExportAction,
    "RestoreAction": RestoreAction,
    "RetireAction": RetireAction,
}


class AppFacts(NamedTuple):
    """What is known of one namespace."""

    namespace: RawObject | None  # None: it is gone, and known from its points only
    workloads: Sequence[RawObject] = ()
    claims: Sequence[RawObject] = ()


class ClusterFacts(NamedTuple):
    """What every cluster has, whole."""

    namespaces: Iterable[RawObject]
    workloads: Iterable[RawObject]
    claims: Iterable[RawObject]


def is_platform(namespace: str) -> bool:
    """Whether a namespace belongs to the platform or to us, and is no application."""
    return bool(_PLATFORM.match(namespace))


def location_view(cluster: str, location: Location, *, points: int = 0) -> LocationView:
    """A Location as a row."""
    status = location.status
    state: LocationState = "unchecked"
    if status.validation == "Failed":
        state = "failed"
    elif not status.recoveryKit:
        state = "unproven_kit"
    elif status.validation == "Success":
        state = "usable"
    try:
        url = location_url(location.spec)
    except LocationError as error:
        url, state = "", "failed"
        status = type(status)(error=error.message)
    return LocationView(
        cluster=cluster,
        name=location.metadata.name,
        url=url,
        state=state,
        error=status.error,
        points=points,
        key_id=location.spec.keyId,
    )


def point_view(cluster: str, content: RestorePointContent, *, uid: str) -> PointView:
    """A RestorePointContent as a row; `uid` is the cluster's own."""
    spec, status = content.spec, content.status
    return PointView(
        cluster=cluster,
        name=content.metadata.name,
        id=spec.id,
        kind=spec.kind,
        state=status.state,
        application=spec.application.name,
        taken_at=status.actionTime,
        location=spec.location,
        logical_size=status.logicalSizeBytes,
        physical_size=status.physicalSizeBytes,
        verified_at=status.verifiedAt,
        objects=status.objectCount,
        volumes=tuple(
            PointVolumeView(
                pvc=volume.pvc,
                size=volume.size,
                logical_size=volume.logicalSize,
                physical_size=volume.physicalSize,
                crash_consistent=volume.crashConsistent,
                copied_at=volume.copiedAt,
            )
            for volume in status.volumes
        ),
        bound=status.restorePointRef is not None,
        reason=status.reason,
        origin=spec.clusterUID if spec.clusterUID != uid else "",
    )


def listed_points(
    cluster: str, contents: Iterable[RestorePointContent], *, uid: str
) -> list[PointView]:
    """The points that may be shown: Ready and Damaged ones, the newest first."""
    rows = [point_view(cluster, content, uid=uid) for content in contents]
    shown = [row for row in rows if row.state != "Building"]
    return sorted(shown, key=lambda row: (row.taken_at, row.name), reverse=True)


def action_application(action: Action) -> str:
    """The application that an action works on."""
    labelled = action.metadata.labels.get(LABEL_APP_NAMESPACE, "")
    if labelled:
        return labelled
    if isinstance(action, BackupAction):
        return action.spec.subject.namespace or action.spec.subject.name
    return action.metadata.namespace


def action_view(cluster: str, kind: ActionKind, action: Action) -> ActionView:
    """An action as a row."""
    meta, spec, status = action.metadata, action.spec, action.status
    point, location, target = "", "", ""
    if isinstance(action, BackupAction):
        point = point_id(action_application(action), meta.uid, meta.creationTimestamp)
    elif isinstance(action, ExportAction):
        point, location = action.spec.subject.name, action.spec.profile.name
    elif isinstance(action, RestoreAction):
        if action.spec.subject.kind != "RestoreAction":
            point = action.spec.subject.name
        target = status.targetNamespace or action.spec.targetNamespace
    elif isinstance(action, RetireAction):
        point = ", ".join(one.name for one in action.spec.points)
    return ActionView(
        cluster=cluster,
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        application=action_application(action),
        phase=status.phase,
        outcome=status.outcome,
        reason=status.reason,
        created_at=meta.creationTimestamp,
        queued_at=status.queuedAt,
        started_at=status.startTime,
        ended_at=status.endTime,
        progress=status.progress,
        steps=status.steps,
        volumes=status.volumes,
        failures=status.failures,
        error=status.error,
        point=point,
        location=location,
        target=target,
        swap=action.status.swap if isinstance(action, RestoreAction) else None,
        freed=status.freed if isinstance(status, RetireActionStatus) else (),
        hooks=status.hooks if isinstance(status, BackupActionStatus) else (),
        requested_by=spec.requestedBy.username if spec.requestedBy else "",
        driver=status.driver.holder,
    )


def with_waiting(row: ActionView, waiting: Mapping[str, Waiting]) -> ActionView:
    """A queued action with what it waits for."""
    found = waiting.get(row.uid)
    if found is None or row.phase != "Queued":
        return row
    return msgspec.structs.replace(
        row, reason=found.reason, queue_position=found.position, held_by=found.held_by
    )


def workload_view(raw: RawObject) -> WorkloadView:
    """A Deployment or StatefulSet as a row."""
    return WorkloadView(
        kind=raw["kind"],
        name=raw["metadata"]["name"],
        ready=raw.get("status", {}).get("readyReplicas", 0),
        wanted=raw.get("spec", {}).get("replicas", 1),
    )


def volume_view(raw: RawObject) -> VolumeView:
    """A claim as a row."""
    spec, status = raw.get("spec", {}), raw.get("status", {})
    size = status.get("capacity", {}).get("storage") or spec.get("resources", {}).get(
        "requests", {}
    ).get("storage", "")
    return VolumeView(
        name=raw["metadata"]["name"],
        size=quantity_bytes(size),
        storage_class=spec.get("storageClassName", ""),
        phase=status.get("phase", ""),
    )


def application_view(
    cluster: str,
    name: str,
    facts: AppFacts,
    *,
    points: Sequence[PointView],
    actions: Sequence[ActionView],
) -> ApplicationView:
    """An application as a row, from its namespace, its points and its actions."""
    volumes = tuple(volume_view(raw) for raw in facts.claims)
    good = [point for point in points if point.state == "Ready"]
    exported = [point for point in good if point.kind == "exported"]
    last = max(good, key=lambda point: point.taken_at, default=None)
    last_export = max(exported, key=lambda point: point.taken_at, default=None)
    state, reason = _state(facts, good, actions)
    return ApplicationView(
        cluster=cluster,
        name=name,
        state=state,
        reason=reason,
        workloads=tuple(workload_view(raw) for raw in facts.workloads),
        volumes=volumes,
        size=sum(max(volume.size, 0) for volume in volumes) if facts.namespace else -1,
        points=len(good),
        last_point=last.taken_at if last else "",
        last_export=last_export.taken_at if last_export else "",
        last_location=last_export.location if last_export else "",
        labels=facts.namespace["metadata"].get("labels", {}) if facts.namespace else {},
    )


def application_rows(
    cluster: str,
    facts: ClusterFacts,
    *,
    points: Sequence[PointView],
    actions: Sequence[ActionView],
) -> list[ApplicationView]:
    """Every application of a cluster, by name: its namespaces, and the removed ones with points.

    Points of another cluster make their application a removed one here; they do not stand for
    an application of the same name that is here.
    """
    there = {raw["metadata"]["name"]: raw for raw in facts.namespaces}
    points = [point for point in points if not point.origin or point.application not in there]
    workloads, claims = _by_namespace(facts.workloads), _by_namespace(facts.claims)
    points_of, actions_of = _by_application(points), _by_application(actions)
    names = {name for name in there if not is_platform(name)} | points_of.keys()
    return [
        application_view(
            cluster,
            name,
            AppFacts(there.get(name), workloads.get(name, ()), claims.get(name, ())),
            points=points_of.get(name, ()),
            actions=actions_of.get(name, ()),
        )
        for name in sorted(names)
    ]


def _by_namespace(objects: Iterable[RawObject]) -> dict[str, list[RawObject]]:
    groups: dict[str, list[RawObject]] = defaultdict(list)
    for raw in objects:
        groups[raw["metadata"]["namespace"]].append(raw)
    return groups


def _by_application(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.application].append(row)
    return groups


def _state(
    facts: AppFacts, good: Sequence[PointView], actions: Sequence[ActionView]
) -> tuple[AppState, str]:
    if facts.namespace is None:
        return "removed", ""
    if any(action.phase in {"Running", "Cancelling"} for action in actions):
        return "running", ""
    ended = [action for action in actions if action.phase == "Finished"]
    latest = max(ended, key=lambda action: action.ended_at, default=None)
    if latest is not None and latest.outcome == "Failed":
        return "failing", latest.error.message if latest.error else "the last action failed"
    return ("protected", "") if good else ("unprotected", "")
