"""Which rights an engine needs for its own part of the work, beside its requester's.

Pure. An engine in the cluster has them by its role. A desktop's engine has its user's rights
and no others, so it asks for them before the first write and not half-way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.model.kinds import (
    CLAIMS,
    JOBS,
    PODS,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    SECRETS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import NAMESPACE, WORKERS_NAMESPACE
from console.engine.plan.raw import namespace_of
from console.engine.plan.rights import Need, Right, once, part_of
from console.engine.plan.swap_plan import kind_of

if TYPE_CHECKING:
    from console.engine.plan.restore_plan import RestorePlan
    from console.engine.plan.swap_plan import SwapPlan

_POINT_STATUS = part_of(RESTORE_POINT_CONTENTS, "status")


def restore_engine_needs(plan: RestorePlan) -> tuple[Need, ...]:
    """To set owners, to fill volumes, hand them over, and swap them."""
    items = [*(item for wave in plan.waves for item in wave), *(v.claim for v in plan.volumes)]
    owned = [item for item in items if item.owners]
    rights = [
        Right(verb, item.kind, namespace_of(item.obj))
        for item in owned
        for verb in ("get", "patch")
    ]
    if not plan.volumes:
        return once(map(Need, rights))
    rights += [
        *(Right(verb, CLAIMS, WORKERS_NAMESPACE) for verb in ("create", "patch", "delete")),
        Right("get", CLAIMS, plan.target),
        *_volume_rights(),
        *_worker_rights(),
    ]
    return once([*map(Need, rights), *swap_engine_needs(plan.swap, plan.target)])


def swap_engine_needs(swap: SwapPlan, namespace: str) -> tuple[Need, ...]:
    """To keep volumes, exchange them, and see when nothing mounts them."""
    if not swap.volumes:
        return ()
    rights = [
        *_volume_rights(),
        Right("get", CLAIMS, namespace),
        *(Right(verb, PODS, namespace) for verb in ("list", "watch")),
        *(Right("patch", kind_of(workload), namespace) for workload in swap.workloads),
    ]
    return once(map(Need, rights))


def backup_engine_needs(application: str, *, volumes: bool) -> tuple[Need, ...]:
    """To take a point of a namespace.

    Args:
        volumes: Whether it has claims.
    """
    rights = [
        Right("list", SECRETS, application),
        *(Right(verb, SECRETS, NAMESPACE) for verb in ("create", "patch")),
        Right("create", RESTORE_POINT_CONTENTS),
        Right("update", _POINT_STATUS),
        Right("create", RESTORE_POINTS, application),
    ]
    if volumes:
        rights += [
            *(Right(verb, SNAPSHOTS, application) for verb in ("create", "delete")),
            *(Right(verb, SNAPSHOT_CONTENTS) for verb in ("create", "patch", "delete")),
            Right("create", SNAPSHOTS, WORKERS_NAMESPACE),
        ]
    return once(map(Need, rights))


def export_engine_needs() -> tuple[Need, ...]:
    """To copy a point into a location."""
    rights = [
        *_worker_rights(),
        *(Right(verb, CLAIMS, WORKERS_NAMESPACE) for verb in ("create", "delete")),
        Right("get", SECRETS, NAMESPACE),
        Right("create", RESTORE_POINT_CONTENTS),
        Right("update", _POINT_STATUS),
    ]
    return once(map(Need, rights))


def copy_engine_needs(application: str) -> tuple[Need, ...]:
    """To copy an application's volumes that have no snapshot: by a twin, or on its pod's node."""
    rights = [
        *(Right(verb, VOLUMES) for verb in ("get", "list", "create", "delete")),
        Right("get", CLAIMS, application),
        Right("list", PODS, application),
    ]
    return once(map(Need, rights))


def retire_engine_needs(*, local: bool, exported: bool) -> tuple[Need, ...]:
    """To free points: local ones lose their snapshots, exported ones are a worker's work."""
    rights = [Right("update", _POINT_STATUS)]
    if local:
        rights += [
            Right("delete", SECRETS, NAMESPACE),
            *(Right(verb, SNAPSHOT_CONTENTS) for verb in ("patch", "delete")),
            Right("delete", SNAPSHOTS, WORKERS_NAMESPACE),
        ]
    if exported:
        rights += [Right("get", SECRETS, NAMESPACE), *_worker_rights()]
    return once(map(Need, rights))


def _volume_rights() -> list[Right]:
    return [Right(verb, VOLUMES) for verb in ("get", "patch")]


def _worker_rights() -> list[Right]:
    return [
        *(Right(verb, JOBS, WORKERS_NAMESPACE) for verb in ("create", "delete")),
        *(Right(verb, SECRETS, WORKERS_NAMESPACE) for verb in ("create", "delete")),
        Right("list", PODS, WORKERS_NAMESPACE),
        Right("get", part_of(PODS, "log"), WORKERS_NAMESPACE),
    ]
