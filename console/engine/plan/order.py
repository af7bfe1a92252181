"""The order of a restore, as data: waves, one after the other.

Objects of one wave may be created in parallel. What others need comes first;
what acts on others (autoscalers, schedules, quotas) comes last (MA c.1, c.9
rules 10 and 13). Kinds that we do not know come before the workloads: a
workload may need them, they wait for a workload only in the rare case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.plan.raw import GroupKind, group_kind, name_of, namespace_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.kinds import RawObject

# one entry per wave: the kinds in it, as <group>/<Kind>, core without a group
WAVES: tuple[tuple[str, ...], ...] = (
    ("apiextensions.k8s.io/CustomResourceDefinition",),
    ("Namespace",),
    # limits before what they shape, network rules before anything can run unprotected
    ("LimitRange", "networking.k8s.io/NetworkPolicy"),
    # before the Secrets: a token Secret without its account is deleted at once
    ("ServiceAccount",),
    ("Secret", "ConfigMap", "rbac.authorization.k8s.io/Role"),
    ("PersistentVolumeClaim", "rbac.authorization.k8s.io/RoleBinding"),
    # before Endpoints made by hand, which belong to a Service, and before the workloads,
    # which learn Services from their environment
    ("Service",),
    ("Endpoints", "discovery.k8s.io/EndpointSlice"),
    ("*",),
    (
        "Pod",
        "ReplicationController",
        "apps/ReplicaSet",
        "apps/StatefulSet",
        "apps/DaemonSet",
        "apps/Deployment",
        "apps.openshift.io/DeploymentConfig",
        "argoproj.io/Rollout",
        "kubevirt.io/VirtualMachine",
    ),
    (
        "autoscaling/HorizontalPodAutoscaler",
        "autoscaling.k8s.io/VerticalPodAutoscaler",
        "keda.sh/ScaledObject",
        "policy/PodDisruptionBudget",
        "networking.k8s.io/Ingress",
        "gateway.networking.k8s.io/HTTPRoute",
        "route.openshift.io/Route",
        "batch/Job",
    ),
    ("batch/CronJob", "keda.sh/ScaledJob"),
    # last: counted while others are made, it would refuse some of them
    ("ResourceQuota",),
)

_WAVE_OF = {entry: number for number, wave in enumerate(WAVES) for entry in wave}


def wave_of(kind: GroupKind) -> int:
    """The number of the wave that a kind belongs to."""
    return _WAVE_OF.get(f"{kind.group}/{kind.kind}" if kind.group else kind.kind, _WAVE_OF["*"])


def order_key(obj: RawObject) -> tuple[int, str, str, str, str, bytes]:
    """Sorts objects into restore order; equal only for equal objects."""
    kind = group_kind(obj)
    return (
        wave_of(kind),
        kind.group,
        kind.kind,
        namespace_of(obj),
        name_of(obj),
        msgspec.json.encode(obj, order="sorted"),
    )


def waves(objects: Iterable[RawObject]) -> tuple[tuple[RawObject, ...], ...]:
    """All objects in waves, empty ones left out; independent of the order given."""
    found: dict[int, list[RawObject]] = {}
    for obj in sorted(objects, key=order_key):
        found.setdefault(wave_of(group_kind(obj)), []).append(obj)
    return tuple(tuple(wave) for wave in found.values())
