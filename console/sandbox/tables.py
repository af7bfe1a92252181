"""Objects as the tables that kubectl prints."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from console.sandbox.choosing import value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.sandbox.kinds import Raw, Resource


class Column(NamedTuple):
    """One column; priority 1 shows with -o wide only."""

    name: str
    cell: Callable[[Raw], Any]
    type: str = "string"
    priority: int = 0


def table(resource: Resource, objects: list[Raw], *, include: str, meta: Raw) -> Raw:
    """A Table; `include` is Metadata, Object or None, as in includeObject."""
    columns = columns_of(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": column.name,
                "priority": column.priority,
            }
            for column in columns
        ],
        "rows": [
            {"cells": [column.cell(obj) for column in columns], **_included(obj, include)}
            for obj in objects
        ],
    }


def partial(obj: Raw) -> Raw:
    """The object's metadata alone."""
    kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {**kind, "metadata": obj["metadata"]}


def _included(obj: Raw, include: str) -> Raw:
    if include == "None":
        return {}
    return {"object": obj if include == "Object" else partial(obj)}


def columns_of(resource: Resource) -> list[Column]:
    """The columns of a resource: its CRD's, ours, or name and age."""
    if resource.columns:
        own = [_crd_column(raw) for raw in resource.columns]
    else:
        own = [*_COLUMNS.get(resource.id, []), _AGE, *_WIDE.get(resource.id, [])]
    return [Column("Name", lambda obj: obj["metadata"]["name"]), *own]


def age(obj: Raw) -> str:
    """How old an object is, as kubectl says it."""
    return duration(obj["metadata"].get("creationTimestamp", ""))


def duration(since: str, until: str = "") -> str:
    """A span between two times of the API in kubectl's words; '<unknown>' without a start."""
    if not since:
        return "<unknown>"
    end = datetime.fromisoformat(until) if until else datetime.now(UTC)
    seconds = max(0, int((end - datetime.fromisoformat(since)).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{days}d"


def _crd_column(raw: Raw) -> Column:
    path, dated = raw["jsonPath"], raw.get("type") == "date"

    def cell(obj: Raw) -> Any:
        found = json_path(obj, path)
        if dated:
            return duration(str(found[0])) if found and found[0] else "<unknown>"
        if len(found) > 1:
            return ",".join(str(value) for value in found)
        return found[0] if found else None

    return Column(raw["name"], cell, raw.get("type", "string"), raw.get("priority", 0))


_STEP = re.compile(
    r"""\.(?P<name>[\w-]+(?:\\\.[\w/-]+)*)
      | \['(?P<quoted>[^']+)'\]
      | \[(?P<index>\d+|\*)\]
      | \[\?\(@\.(?P<field>\w+)\s*==\s*["'](?P<value>[^"']*)["']\)\]""",
    re.VERBOSE,
)


def json_path(obj: Any, path: str) -> list[Any]:
    """The values at a simple JSONPath: names, indexes, [*] and [?(@.a=="b")]."""
    found: list[Any] = [obj]
    for step in _STEP.finditer(path):
        found = [value for at in found for value in _stepped(at, step)]
    return found


def _stepped(at: Any, step: re.Match[str]) -> list[Any]:
    name = step["name"] or step["quoted"]
    if name:
        name = name.replace("\\.", ".")
        return [at[name]] if isinstance(at, dict) and name in at else []
    if not isinstance(at, list):
        return []
    if step["field"]:
        return [item for item in at if item.get(step["field"]) == step["value"]]
    if step["index"] == "*":
        return at
    return at[int(step["index"]) : int(step["index"]) + 1]


# the columns of built-in kinds


def _field(path: str, default: Any = "") -> Callable[[Raw], Any]:
    return lambda obj: default if (value := value_at(obj, path)) in {None, ""} else value


def _count(path: str) -> Callable[[Raw], int]:
    return lambda obj: len(value_at(obj, path) or ())


def _of(done: str, wanted: str) -> Callable[[Raw], str]:
    return lambda obj: f"{value_at(obj, done) or 0}/{value_at(obj, wanted) or 0}"


def _modes(obj: Raw) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX"}
    modes = value_at(obj, "status.accessModes") or obj["spec"].get("accessModes") or ()
    return ",".join(short.get(mode, "RWOP") for mode in modes)


def _pod_ready(obj: Raw) -> str:
    states = value_at(obj, "status.containerStatuses") or ()
    return f"{sum(s['ready'] for s in states)}/{len(obj['spec']['containers'])}"


def _pod_status(obj: Raw) -> str:
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    status = str(value_at(obj, "status.reason") or value_at(obj, "status.phase") or "Unknown")
    for state in value_at(obj, "status.containerStatuses") or ():
        for kind in ("waiting", "terminated"):
            if kind in state.get("state", {}):
                status = state["state"][kind].get("reason") or status
    return status


def _restarts(obj: Raw) -> str:
    states = value_at(obj, "status.containerStatuses") or ()
    return str(sum(s["restartCount"] for s in states))


def _ports(obj: Raw) -> str:
    def one(port: Raw) -> str:
        node = f":{port['nodePort']}" if "nodePort" in port else ""
        return f"{port['port']}{node}/{port.get('protocol', 'TCP')}"

    return ",".join(one(port) for port in obj["spec"].get("ports") or ()) or "<none>"


def _claim_of(obj: Raw) -> str:
    ref = obj["spec"].get("claimRef") or {}
    return f"{ref.get('namespace')}/{ref.get('name')}" if ref else ""


def _job_status(obj: Raw) -> str:
    for condition in value_at(obj, "status.conditions") or ():
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return str(condition["type"])
    return "Suspended" if obj["spec"].get("suspend") else "Running"


def _job_duration(obj: Raw) -> str:
    status = obj.get("status", {})
    start = status.get("startTime")
    return duration(start, status.get("completionTime", "")) if start else ""


def _event_object(obj: Raw) -> str:
    ref = obj.get("involvedObject", {})
    return f"{ref.get('kind', '').lower()}/{ref.get('name', '')}"


def _class_name(obj: Raw) -> str:
    mark = "storageclass.kubernetes.io/is-default-class"
    default = (obj["metadata"].get("annotations") or {}).get(mark) == "true"
    return "yes" if default else "no"


def _images(obj: Raw) -> str:
    return ",".join(c["image"] for c in value_at(obj, "spec.template.spec.containers") or ())


_AGE = Column("Age", age)
_COLUMNS: dict[str, list[Column]] = {
    "namespaces": [Column("Status", _field("status.phase"))],
    "nodes": [
        Column("Status", lambda _: "Ready"),
        Column("Roles", lambda _: "control-plane"),
        Column("Version", _field("status.nodeInfo.kubeletVersion")),
    ],
    "pods": [
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
    ],
    "services": [
        Column("Type", _field("spec.type")),
        Column("Cluster-IP", _field("spec.clusterIP", "<none>")),
        Column("External-IP", lambda _: "<none>"),
        Column("Port(s)", _ports),
    ],
    "configmaps": [Column("Data", _count("data"))],
    "secrets": [Column("Type", _field("type")), Column("Data", _count("data"), "integer")],
    "serviceaccounts": [Column("Secrets", _count("secrets"), "integer")],
    "events": [
        Column("Type", _field("type")),
        Column("Reason", _field("reason")),
        Column("Object", _event_object),
        Column("Message", _field("message")),
    ],
    "persistentvolumeclaims": [
        Column("Status", _field("status.phase")),
        Column("Volume", _field("spec.volumeName")),
        Column("Capacity", _field("status.capacity.storage")),
        Column("Access Modes", _modes),
        Column("StorageClass", _field("spec.storageClassName")),
    ],
    "persistentvolumes": [
        Column("Capacity", _field("spec.capacity.storage")),
        Column("Access Modes", _modes),
        Column("Reclaim Policy", _field("spec.persistentVolumeReclaimPolicy")),
        Column("Status", _field("status.phase")),
        Column("Claim", _claim_of),
        Column("StorageClass", _field("spec.storageClassName")),
        Column("Reason", _field("status.reason")),
    ],
    "storageclasses.storage.k8s.io": [
        Column("Provisioner", _field("provisioner")),
        Column("Default", _class_name),
        Column("ReclaimPolicy", _field("reclaimPolicy")),
        Column("VolumeBindingMode", _field("volumeBindingMode")),
    ],
    "deployments.apps": [
        Column("Ready", _of("status.readyReplicas", "spec.replicas")),
        Column("Up-to-date", _field("status.updatedReplicas", 0), "integer"),
        Column("Available", _field("status.availableReplicas", 0), "integer"),
    ],
    "replicasets.apps": [
        Column("Desired", _field("spec.replicas", 0), "integer"),
        Column("Current", _field("status.replicas", 0), "integer"),
        Column("Ready", _field("status.readyReplicas", 0), "integer"),
    ],
    "statefulsets.apps": [Column("Ready", _of("status.readyReplicas", "spec.replicas"))],
    "jobs.batch": [
        Column("Status", _job_status),
        Column("Completions", _of("status.succeeded", "spec.completions")),
        Column("Duration", _job_duration),
    ],
    "leases.coordination.k8s.io": [Column("Holder", _field("spec.holderIdentity"))],
    "customresourcedefinitions.apiextensions.k8s.io": [
        Column("Created At", _field("metadata.creationTimestamp"))
    ],
}
_WIDE: dict[str, list[Column]] = {
    "pods": [
        Column("IP", _field("status.podIP", "<none>"), priority=1),
        Column("Node", _field("spec.nodeName", "<none>"), priority=1),
    ],
    "deployments.apps": [Column("Images", _images, priority=1)],
    "persistentvolumeclaims": [Column("VolumeMode", _field("spec.volumeMode"), priority=1)],
    "persistentvolumes": [Column("VolumeMode", _field("spec.volumeMode"), priority=1)],
}
