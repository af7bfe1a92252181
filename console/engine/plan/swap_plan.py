"""What a restore in place stops and swaps, and what stands in its way. Pure.

All workloads of the namespace stand still while the volumes change: one that
only talks to another would carry newer data over. A pod that mounts one of the
claims and belongs to nothing that can be stopped is a blocker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console.engine.model.kinds import Kind
from console.engine.model.record import StoppedWorkload, SwappedVolume
from console.engine.model.views import Blocker
from console.engine.plan.raw import (
    GroupKind,
    annotations_of,
    controller_of,
    describe,
    group_kind,
    items,
    labels_of,
    name_of,
    part,
    text,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from console.engine.model.kinds import RawObject

POD = GroupKind("", "Pod")
CLAIM = GroupKind("", "PersistentVolumeClaim")
SCALED = frozenset(
    {
        GroupKind("apps", "Deployment"),
        GroupKind("apps", "StatefulSet"),
        GroupKind("apps", "ReplicaSet"),
        GroupKind("", "ReplicationController"),
        GroupKind("apps.openshift.io", "DeploymentConfig"),
        GroupKind("argoproj.io", "Rollout"),
    }
)
SUSPENDED = frozenset({GroupKind("batch", "CronJob"), GroupKind("batch", "Job")})
READ = SCALED | SUSPENDED | {POD, CLAIM}
_CHILDREN = frozenset({GroupKind("apps", "ReplicaSet"), GroupKind("", "ReplicationController")})
_GITOPS = (
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/tracking-id",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)


class SwapPlan(NamedTuple):
    """The standstill and the claims whose volumes change, by name."""

    workloads: tuple[StoppedWorkload, ...] = ()
    volumes: tuple[SwappedVolume, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[Blocker, ...] = ()


def is_read(kind: Kind) -> bool:
    """Whether a swap looks at the objects of a kind."""
    return (kind.group, kind.kind) in READ


def kind_of(workload: StoppedWorkload) -> Kind:
    """The kind of a workload that is stopped."""
    group, _, version = workload.apiVersion.rpartition("/")
    return Kind(group, version, workload.plural, workload.kind)


def plan_swap(
    live: Iterable[RawObject], served: Iterable[Kind], claims: Collection[str]
) -> SwapPlan:
    """Plan a swap of the volumes of some claims.

    Args:
        live: The objects of the namespace, of all kinds of `READ`.
        claims: Names of claims; those that are not there get their first volume.
    """
    objects = sorted(live, key=lambda raw: (group_kind(raw), name_of(raw)))
    plurals = {(kind.api_version, kind.kind): kind.plural for kind in served}
    stops = [raw for raw in objects if _runs(raw)]
    there = [raw for raw in objects if group_kind(raw) == CLAIM and name_of(raw) in claims]
    return SwapPlan(
        tuple(_stopped(raw, plurals) for raw in stops),
        tuple(_swapped(raw) for raw in there),
        tuple(_blockers(objects, stops, there)),
        tuple(warning for raw in stops for warning in _warnings(raw)),
    )


def mounts(pod: RawObject, claims: Collection[str]) -> bool:
    """Whether a pod that has not ended mounts one of the claims."""
    if text(pod, "status", "phase") in {"Succeeded", "Failed"}:
        return False
    volumes = items(pod, "spec", "volumes")
    return any(text(v, "persistentVolumeClaim", "claimName") in claims for v in volumes)


def _runs(raw: RawObject) -> bool:
    kind, spec = group_kind(raw), part(raw, "spec")
    if kind in SUSPENDED:
        ended = any(
            one.get("type") in {"Complete", "Failed"} and one.get("status") == "True"
            for one in items(raw, "status", "conditions")
        )
        return not spec.get("suspend") and not ended
    # a set of a Deployment is stopped with it
    owned = kind in _CHILDREN and controller_of(raw) is not None
    return kind in SCALED and not owned and bool(spec.get("replicas", 1))


def _stopped(raw: RawObject, plurals: dict[tuple[str, str], str]) -> StoppedWorkload:
    api_version, kind = text(raw, "apiVersion"), text(raw, "kind")
    suspends = group_kind(raw) in SUSPENDED
    return StoppedWorkload(
        apiVersion=api_version,
        kind=kind,
        plural=plurals.get((api_version, kind), f"{kind.lower()}s"),
        name=name_of(raw),
        uid=uid_of(raw),
        replicas=1 if suspends else int(part(raw, "spec").get("replicas", 1)),
    )


def _swapped(claim: RawObject) -> SwappedVolume:
    return SwappedVolume(
        pvc=name_of(claim), claimUID=uid_of(claim), old=text(claim, "spec", "volumeName")
    )


def _blockers(
    objects: list[RawObject], stops: list[RawObject], claims: list[RawObject]
) -> Iterator[Blocker]:
    names = {name_of(claim) for claim in claims}
    for claim in claims:
        if text(claim, "metadata", "deletionTimestamp"):
            yield Blocker(
                code="swap.claim_going",
                message="the claim is being deleted",
                object=describe(claim),
                hint="wait until it is gone; then the restore gives it back",
            )
    stopped = {(group_kind(raw), name_of(raw)) for raw in stops}
    by_name = {(group_kind(raw), name_of(raw)): raw for raw in objects}
    for pod in objects:
        if group_kind(pod) != POD or not mounts(pod, names):
            continue
        owner = controller_of(pod)
        above = by_name.get(owner) if owner in by_name and owner[0] in _CHILDREN else None
        owner = (controller_of(above) if above else None) or owner
        if owner not in stopped:
            who = f"{owner[0].kind} {owner[1]}" if owner else "nothing"
            yield Blocker(
                code="swap.unmanaged_pod",
                message=f"it uses a volume that is to be swapped and belongs to {who}, "
                "which can't be scaled to 0",
                object=describe(pod),
                hint="stop it yourself, or restore into another namespace",
            )
    for raw in stops:
        policy = text(raw, "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled")
        if policy == "Delete":
            yield Blocker(
                code="swap.claims_scaled_away",
                message="it deletes its claims when it is scaled down",
                object=describe(raw),
                hint="set persistentVolumeClaimRetentionPolicy.whenScaled to Retain first",
            )


def _warnings(raw: RawObject) -> Iterator[Blocker]:
    marks = {**labels_of(raw), **annotations_of(raw)}
    mark = next((mark for mark in _GITOPS if mark in marks), "")
    owner = controller_of(raw)
    who = f"GitOps ({mark})" if mark else f"{owner[0].kind} {owner[1]}" if owner else ""
    if who and group_kind(raw) != GroupKind("batch", "Job"):
        yield Blocker(
            code="swap.managed",
            message=f"it is managed by {who}, which may scale it up while its volumes are swapped; "
            "the restore then stops and the application keeps its old volumes",
            object=describe(raw),
            hint="pause what manages it until the restore has ended",
        )
