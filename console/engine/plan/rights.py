"""Which rights a piece of work needs of whoever asks for it.

Pure. The engine can do anything, so it asks first whether its requester could have done the
same with kubectl (docs/security.md: Whose rights count). These are rights on the application's
own objects: to create, scale, delete and grant them. What only we need (volumes, snapshots,
records, workers) is in `engine_rights`.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from console.engine.model.kinds import CLAIMS, NAMESPACES, RESTORE_POINT_CONTENTS, Kind
from console.engine.model.views import Blocker
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
MAX_RULES = 100  # rights that a role is unfolded into; a bigger one needs `escalate` or `bind`
GRANTS = frozenset({"bind", "escalate"})

_ROLES = {
    "Role": Kind(RBAC, "v1", "roles", "Role"),
    "ClusterRole": Kind(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
}
_BINDINGS = frozenset({"RoleBinding", "ClusterRoleBinding"})
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
    """A right that is needed, or all rights of one of the lists in its place."""

    right: Right
    instead: tuple[tuple[Right, ...], ...] = ()
    why: str = ""  # the object that needs it, where `right` does not say


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
    instead = (each,) if len(each) <= MAX_RULES else ()
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
        yield _grant("escalate", _ROLES[kind], namespace, item.name, rules=item.obj, why=why)
    elif kind in _BINDINGS:
        ref = part(item.obj, "roleRef")
        name, local = text(ref, "name"), text(ref, "namespace")  # OpenShift's has no kind
        to = _ROLES.get(text(ref, "kind"), _ROLES["Role" if local else "ClusterRole"])
        known = roles.get(name) if to.kind == "Role" else None
        yield _grant("bind", to, namespace, name, rules=known, why=why)


def _grant(
    verb: str, kind: Kind, namespace: str, name: str, *, rules: RawObject | None, why: str
) -> Need:
    # a ClusterRole that is bound in a namespace is asked for in that namespace
    kind = kind._replace(namespaced=bool(namespace))
    by_name = (Right(verb, kind, namespace, name),)
    unfolded = _unfolded(rules, namespace) if rules is not None else ()
    return Need(Right(verb, kind, namespace), (by_name, unfolded) if unfolded else (by_name,), why)


def _unfolded(role: RawObject, namespace: str) -> tuple[Right, ...]:
    """All that a role gives; nothing where that can't be said right by right."""
    rights: list[Right] = []
    for rule in role.get("rules") or ():
        if rule.get("nonResourceURLs"):
            return ()
        rights += _of_rule(rule, namespace)
        if len(rights) > MAX_RULES:
            return ()
    return tuple(rights)


def _of_rule(rule: dict[str, Any], namespace: str) -> Iterator[Right]:
    names = rule.get("resourceNames") or [""]
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    for verb, group, plural, name in product(rule.get("verbs") or (), groups, resources, names):
        kind = Kind(group, "", plural, "", namespaced=bool(namespace))
        yield Right(verb, kind, namespace, name)
