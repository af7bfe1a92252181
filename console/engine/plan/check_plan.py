"""What a check of a cluster concludes from what it has read. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from console.engine.model import kinds
from console.engine.model.names import NAMESPACE, WORKERS_NAMESPACE
from console.engine.model.quantity import quantity_bytes
from console.engine.plan.raw import items, name_of, part, text
from console.engine.plan.rights import Right, part_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from console.engine.model.intent import WorkerSettings
    from console.engine.model.kinds import Kind, RawObject

MAX_SKEW_S = 60.0  # a retirement is refused beyond it
LISTED = 5  # of many names, the first are shown


class Verdict(NamedTuple):
    """How one check went."""

    status: Literal["ok", "warning", "failed", "skipped"]
    seen: str
    hint: str = ""
    code: str = ""


OUR_KINDS = (
    kinds.BACKUP_ACTIONS,
    kinds.EXPORT_ACTIONS,
    kinds.RESTORE_ACTIONS,
    kinds.RETIRE_ACTIONS,
    kinds.RESTORE_POINTS,
    kinds.RESTORE_POINT_CONTENTS,
    kinds.LOCATIONS,
    kinds.SETTINGS,
)
_SNAPSHOT_KINDS = (kinds.SNAPSHOTS, kinds.SNAPSHOT_CONTENTS, kinds.SNAPSHOT_CLASSES)
_POD_LOGS = part_of(kinds.PODS, "log")
_POD_EXEC = part_of(kinds.PODS, "exec")

RIGHTS: tuple[Right, ...] = (
    *(Right(verb, kind) for kind in OUR_KINDS[:4] for verb in ("list", "watch")),
    *(Right("update", part_of(kind, "status")) for kind in OUR_KINDS[:4]),
    *(Right(v, kinds.RESTORE_POINTS) for v in ("create", "patch", "delete")),
    *(Right(v, kinds.RESTORE_POINT_CONTENTS) for v in ("create", "patch", "delete")),
    *(Right(v, kinds.LEASES, NAMESPACE) for v in ("get", "create", "update")),
    *(Right(v, kinds.SECRETS, NAMESPACE) for v in ("get", "list", "create", "delete")),
    *(Right(v, kinds.SECRETS, WORKERS_NAMESPACE) for v in ("list", "create", "delete")),
    *(
        Right(v, kinds.JOBS, WORKERS_NAMESPACE)
        for v in ("get", "list", "watch", "create", "delete")
    ),
    *(Right(v, kinds.PODS, WORKERS_NAMESPACE) for v in ("list", "watch")),
    Right("get", _POD_LOGS, WORKERS_NAMESPACE),
    Right("create", kinds.EVENTS, NAMESPACE),
    *(Right(v, kinds.NAMESPACES) for v in ("get", "list", "create")),
    *(Right(v, kinds.CLAIMS) for v in ("get", "list", "create", "delete")),
    *(Right(v, kinds.VOLUMES) for v in ("get", "list", "patch")),
    Right("list", kinds.STORAGE_CLASSES),
    *(Right(v, kinds.SNAPSHOTS) for v in ("get", "list", "create", "delete")),
    *(Right(v, kinds.SNAPSHOT_CONTENTS) for v in ("get", "list", "create", "patch", "delete")),
    *(Right(v, kinds.SNAPSHOT_CLASSES) for v in ("list", "create")),
    *(Right(v, k) for k in (kinds.DEPLOYMENTS, kinds.STATEFUL_SETS) for v in ("list", "patch")),
    *(Right("create", k) for k in (kinds.CONFIG_MAPS, kinds.SERVICES, kinds.SECRETS)),
    Right("create", _POD_EXEC),
)


def version_verdict(version: str) -> Verdict:
    """What this version of Kubernetes can do for us."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None:
        return Verdict("warning", f"version {version!r} is not understood", code="api.version")
    found = (int(match[1]), int(match[2]))
    if found < (1, 20):
        return Verdict(
            "failed", f"Kubernetes {version}", "Kubernetes 1.20 or newer is needed", "api.old"
        )
    if found < (1, 25):
        why = "it is read, backed up and migrated from; nothing below 1.25 is restored to"
        return Verdict("warning", f"Kubernetes {version}: {why}", code="api.old")
    if found < (1, 30):
        why = "self-service is off below 1.30"
        return Verdict("warning", f"Kubernetes {version}: {why}", code="api.old")
    return Verdict("ok", f"Kubernetes {version}")


def rights_verdict(missing: Sequence[Right], user: str) -> Verdict:
    """Whether the user may do what an engine does."""
    if not missing:
        return Verdict("ok", f"{user} may do the {len(RIGHTS)} things that an engine does")
    return Verdict(
        "failed",
        f"{user} may not: {_first(map(str, missing))}",
        "let an administrator grant them, or drive the cluster by an engine that has them",
        "api.rights",
    )


def crds_verdict(served: Collection[Kind]) -> Verdict:
    """Whether our kinds are served."""
    missing = [kind.resource for kind in OUR_KINDS if kind not in served]
    if missing:
        return Verdict(
            "failed",
            f"not served: {_first(missing)}",
            "run kubehaven cluster prepare again",
            "api.crds",
        )
    return Verdict("ok", f"{len(OUR_KINDS)} kinds are served")


def snapshots_verdict(served: Collection[Kind]) -> Verdict:
    """Whether the cluster knows VolumeSnapshots."""
    missing = [kind.resource for kind in _SNAPSHOT_KINDS if kind not in served]
    if missing:
        return Verdict(
            "failed",
            f"not served: {_first(missing)}",
            "install the snapshot CRDs and the snapshot controller: no volume can be backed up "
            "without them",
            "snapshot.no_crds",
        )
    return Verdict("ok", "VolumeSnapshots are served")


def csi_classes(
    classes: Iterable[RawObject], drivers: Iterable[RawObject]
) -> tuple[list[RawObject], list[str]]:
    """The storage classes that a CSI driver serves, and the names of the others."""
    known = {name_of(driver) for driver in drivers}
    ordered = sorted(classes, key=name_of)
    return (
        [raw for raw in ordered if text(raw, "provisioner") in known],
        [name_of(raw) for raw in ordered if text(raw, "provisioner") not in known],
    )


def room_verdict(
    quotas: Sequence[RawObject], limits: Sequence[RawObject], workers: WorkerSettings
) -> Verdict:
    """Whether quotas and LimitRanges of the workers' namespace leave room for one worker."""
    tight = [*_tight_quotas(quotas, workers), *_tight_limits(limits, workers)]
    if tight:
        return Verdict(
            "failed",
            _first(tight),
            f"raise it in {WORKERS_NAMESPACE}, or lower workers.cpu and workers.memory in Settings",
            "workers.room",
        )
    if quotas or limits:
        names = _first([name_of(raw) for raw in (*quotas, *limits)])
        return Verdict("ok", f"there is room for a worker under {names}")
    return Verdict("ok", f"no quota and no LimitRange in {WORKERS_NAMESPACE}")


def _tight_quotas(quotas: Sequence[RawObject], workers: WorkerSettings) -> Iterable[str]:
    needs = {
        "pods": "1",
        "count/pods": "1",
        "count/jobs.batch": "1",
        "secrets": "1",
        "count/secrets": "1",
        "persistentvolumeclaims": "2",
        "count/persistentvolumeclaims": "2",
        "cpu": workers.cpu,
        "requests.cpu": workers.cpu,
        "memory": workers.memory,
        "requests.memory": workers.memory,
        "limits.memory": workers.memory,
    }
    for quota in quotas:
        hard, used = part(quota, "status", "hard"), part(quota, "status", "used")
        for what, needed in needs.items():
            if what not in hard:
                continue
            left = _thousandths(hard[what]) - _thousandths(used.get(what, "0"))
            if left < _thousandths(needed):
                yield (
                    f"ResourceQuota {name_of(quota)}: {what} {used.get(what, '0')} of "
                    f"{hard[what]} is used, a worker needs {needed}"
                )


def _tight_limits(limits: Sequence[RawObject], workers: WorkerSettings) -> Iterable[str]:
    asked = {"cpu": workers.cpu, "memory": workers.memory}
    for one in limits:
        for limit in items(one, "spec", "limits"):
            if limit.get("type") not in {"Pod", "Container"}:
                continue
            for what, needed in asked.items():
                most, least = part(limit, "max").get(what), part(limit, "min").get(what)
                rule, asks = f"LimitRange {name_of(one)}", f"a worker asks for {needed}"
                if most is not None and _thousandths(most) < _thousandths(needed):
                    yield f"{rule}: at most {most} {what}, {asks}"
                if least is not None and _thousandths(least) > _thousandths(needed):
                    yield f"{rule}: at least {least} {what}, {asks}"


def clock_verdict(ahead_s: float, whose: str) -> Verdict:
    """How far a clock is from the API server's."""
    if abs(ahead_s) <= MAX_SKEW_S:
        return Verdict("ok", f"{whose} is within {MAX_SKEW_S:.0f} s of the API server's")
    word = "ahead of" if ahead_s > 0 else "behind"
    return Verdict(
        "failed",
        f"{whose} is {abs(ahead_s):.0f} s {word} the API server's",
        "set the clocks right (NTP): nothing is retired while they are more than 60 s apart, and "
        "stores refuse signed requests",
        "clock.skew",
    )


def ahead_of(told_s: float, *, earliest_s: float, latest_s: float) -> float:
    """How far a clock is surely off that was read at some moment between two of a right one."""
    if told_s > latest_s:
        return told_s - latest_s
    return min(0.0, told_s - earliest_s)


def _thousandths(quantity: object) -> int:
    """A quantity in thousandths, so that `500m` of a CPU is no whole one."""
    text_of = str(quantity)
    if text_of.endswith("m"):
        return quantity_bytes(text_of[:-1])
    return quantity_bytes(text_of) * 1000


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return "; ".join(listed[:LISTED]) + more
