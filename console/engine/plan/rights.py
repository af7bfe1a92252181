"""Which rights a piece of work needs of whoever asks for it.

Pure. The engine can do anything, so it asks first whether its requester could have done the
same with kubectl (docs/security.md: Whose rights count). These are rights on the application's
own objects: to create, scale, delete and grant them. What only we need (volumes, snapshots,
records, workers) is in `engine_rights`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console.engine.model.kinds import CLAIMS, NAMESPACES, RESTORE_POINT_CONTENTS, Kind
from console.engine.model.views import Blocker
from console.engine.plan.grants import Rule, rules_of
from console.engine.plan.raw import GroupKind, name_of, namespace_of, part, text
from console.engine.plan.swap_plan import SUSPENDED, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from console.engine.model.kinds import RawObject
    from console.engine.model.record import RetiredPoint, StoppedWorkload
    from console.engine.plan.restore_plan import PlannedItem, RestorePlan
    from console.engine.plan.swap_plan import SwapPlan

RBAC = "rbac.authorization.k8s.io"
RBAC_GROUPS = frozenset({RBAC, "authorization.openshift.io"})  # the second face is OpenShift's
MAX_NAMED = 100  # rights that are asked for one by one
GRANTS = frozenset({"bind", "escalate"})

ROLES = Kind(RBAC, "v1", "roles", "Role")
CLUSTER_ROLES = Kind(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
ROLE_BINDINGS = Kind(RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE_BINDINGS = Kind(
    RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
_ROLES = {kind.kind: kind for kind in (ROLES, CLUSTER_ROLES)}
_BINDINGS = frozenset({ROLE_BINDINGS.kind, CLUSTER_ROLE_BINDINGS.kind})
_ROUTE = ("route.openshift.io", "Route")


class Right(NamedTuple):
    """One thing that somebody may do or not; `<plural>/<part>` in the kind names a part."""

    verb: str
    kind: Kind
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.verb} {self.kind.resource}"
        what += f" {self.name}" if self.name else ""
        return f"{what} in the namespace {self.namespace}" if self.namespace else what


class Need(NamedTuple):
    """A right that is needed, or all rights of one of the lists in its place.

    For `bind` and `escalate` it is also enough to hold all that the role gives.
    """

    right: Right
    instead: tuple[tuple[Right, ...], ...] = ()
    why: str = ""  # the object that needs it, where `right` does not say
    gives: tuple[Rule, ...] | None = None  # by the role to be granted; None: see the cluster's

    @property
    def role(self) -> Right:
        """The role that is granted, by its name."""
        return self.instead[0][0]


def restore_needs(plan: RestorePlan) -> tuple[Need, ...]:
    """What a restore's requester must be allowed to do, each right once, in order."""
    items = [item for wave in plan.waves for item in wave] + [v.claim for v in plan.volumes]
    made = [item for item in items if item.verb == "create"]
    needs = [Need(Right("create", item.kind, namespace_of(item.obj))) for item in made]
    if plan.namespace.verb == "create":
        needs.append(Need(Right("create", NAMESPACES)))
    needs += swap_needs(plan.swap, plan.target)
    roles = {name_of(item.obj): item.obj for item in made if item.obj["kind"] == "Role"}
    for item in made:
        needs += _of_object(item, roles)
    return once(needs)


def swap_needs(swap: SwapPlan, namespace: str) -> tuple[Need, ...]:
    """To stop what runs and to exchange its claims, forwards or backwards."""
    needs = [_scale(workload, namespace) for workload in swap.workloads]
    if swap.volumes:
        needs += (Need(Right(verb, CLAIMS, namespace)) for verb in ("delete", "create"))
    return once(needs)


def retire_needs(points: Iterable[RetiredPoint]) -> tuple[Need, ...]:
    """To free points is to delete their contents for good; one right for all, or one for each."""
    each = tuple(Right("delete", RESTORE_POINT_CONTENTS, "", point.name) for point in points)
    instead = (each,) if len(each) <= MAX_NAMED else ()
    return (Need(Right("delete", RESTORE_POINT_CONTENTS), instead),)


def lacking(missing: Iterable[Need], *, who: str, area: str = "restore") -> tuple[Blocker, ...]:
    """The blockers for what is missing: which verb, resource and namespace, and what to do.

    Args:
        who: The user in words.
        area: The first half of the codes: `<area>.rights`, `<area>.grants`.
    """
    return tuple(
        Blocker(
            code=f"{area}.{'grants' if need.right.verb in GRANTS else 'rights'}",
            message=f"{who} may not {need.right}"
            + (f", which {need.why} needs" if need.why else ""),
            object=f"{need.right.kind.resource}"
            + (f" {need.right.namespace}" if need.right.namespace else ""),
            hint="ask an administrator for that right, or let an administrator ask for this",
        )
        for need in missing
    )


def once(needs: Iterable[Need]) -> tuple[Need, ...]:
    """The needs without repetitions, in order."""
    return tuple(dict.fromkeys(needs))


def part_of(kind: Kind, subresource: str) -> Kind:
    """A subresource of a kind, as `Right.kind` takes it."""
    return kind._replace(plural=f"{kind.plural}/{subresource}")


def _scale(workload: StoppedWorkload, namespace: str) -> Need:
    kind = kind_of(workload)
    if GroupKind(kind.group, kind.kind) in SUSPENDED:
        return Need(Right("patch", kind, namespace))
    # kubectl scale does it by the subresource
    return Need(
        Right("patch", kind, namespace), ((Right("patch", part_of(kind, "scale"), namespace),),)
    )


def _of_object(item: PlannedItem, roles: dict[str, RawObject]) -> Iterator[Need]:
    """More than `create`, where the API server asks its caller for more; that would be us."""
    if item.kind.group in RBAC_GROUPS:
        yield from _rbac(item, roles)
    spec = part(item.obj, "spec")
    if (item.kind.group, item.kind.kind) == _ROUTE and (spec.get("host") or spec.get("tls")):
        right = Right("create", part_of(item.kind, "custom-host"), namespace_of(item.obj))
        yield Need(right, why=f"Route {item.name}")


def _rbac(item: PlannedItem, roles: dict[str, RawObject]) -> Iterator[Need]:
    """Attack (d): nobody gets by a restore what he could not have granted."""
    kind, namespace = item.obj["kind"], namespace_of(item.obj)
    why = f"{kind} {item.name}"
    if kind in _ROLES:
        yield _grant("escalate", _ROLES[kind], namespace, item.name, role=item.obj, why=why)
    elif kind in _BINDINGS:
        ref = part(item.obj, "roleRef")
        name, local = text(ref, "name"), text(ref, "namespace")  # OpenShift's has no kind
        to = _ROLES.get(text(ref, "kind"), _ROLES["Role" if local else "ClusterRole"])
        known = roles.get(name) if to.kind == "Role" else None
        yield _grant("bind", to, namespace, name, role=known, why=why)


def _grant(
    verb: str, kind: Kind, namespace: str, name: str, *, role: RawObject | None, why: str
) -> Need:
    # a ClusterRole that is bound in a namespace is asked for in that namespace
    kind = kind._replace(namespaced=bool(namespace))
    by_name = (Right(verb, kind, namespace, name),)
    gives = rules_of(role) if role is not None else None
    return Need(Right(verb, kind, namespace), (by_name,), why, gives)
