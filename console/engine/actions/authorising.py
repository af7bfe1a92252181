"""Asks the cluster whether somebody holds the rights that a piece of work needs.

Before the first write, so that nothing is refused half-way: each right once, side by
side. A desktop engine asks about its own user; an engine in the cluster asks about the
action's requester, because the engine itself may do everything.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.errors import Forbidden
from console.engine.plan.authorise import beyond
from console.engine.plan.engine_rights import restore_engine_needs
from console.engine.plan.grants import bound_roles, covers, rules_of
from console.engine.plan.rights import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    GRANTS,
    ROLE_BINDINGS,
    ROLES,
    lacking,
    restore_needs,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.actions.run import ActionRun
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.record import Requester
    from console.engine.model.views import Blocker
    from console.engine.plan.grants import Rule
    from console.engine.plan.restore_plan import RestorePlan
    from console.engine.plan.rights import Need, Right

AT_ONCE = 16


def requester_of(run: ActionRun[Any]) -> Requester | None:
    """Whose rights count for an action; None: our own."""
    return None if run.drive.desktop else run.action.spec.requestedBy


async def missing_rights(
    client: KubeClient, needs: Iterable[Need], *, user: Requester | None
) -> tuple[Need, ...]:
    """The needs that `user` (None: we ourselves) does not meet, in their order."""
    missing = tuple(needs)
    held: dict[Right, bool] = {}
    await _ask(client, (need.right for need in missing), held, user=user)
    missing = tuple(need for need in missing if not held[need.right])
    for turn in range(max((len(need.instead) for need in missing), default=0)):
        tried = [need.instead[turn] for need in missing if len(need.instead) > turn]
        await _ask(client, (right for rights in tried for right in rights), held, user=user)
        missing = tuple(
            need
            for need in missing
            if len(need.instead) <= turn or not all(held[right] for right in need.instead[turn])
        )
    holds = await _held_by_grants(client, missing, user=user)
    return tuple(need for need in missing if need not in holds)


async def lacking_rights(
    client: KubeClient, needs: Iterable[Need], *, user: Requester | None, area: str
) -> tuple[Blocker, ...]:
    """A blocker for each right that `user` (None: we ourselves) lacks; codes `<area>.…`."""
    missing = await missing_rights(client, dict.fromkeys(needs), user=user)
    return lacking(missing, who=user.username if user else "this account", area=area)


async def with_rights(
    client: KubeClient, plan: RestorePlan, *, user: Requester | None, engine: bool, home: str
) -> RestorePlan:
    """A restore's plan with a blocker for each right that is missing.

    Args:
        user: Whose rights count; None: our own.
        engine: Whether we, with our own rights, are the engine that will carry it out.
        home: The namespace in which the restore is asked for.
    """
    needs = (*restore_needs(plan), *(restore_engine_needs(plan) if engine else ()))
    found = (*beyond(plan, home), *await lacking_rights(client, needs, user=user, area="restore"))
    return msgspec.structs.replace(plan, blockers=(*plan.blockers, *found)) if found else plan


async def _held_by_grants(
    client: KubeClient, needs: Iterable[Need], *, user: Requester | None
) -> set[Need]:
    """The grants whose roles give nothing that `user` does not hold already."""
    found: set[Need] = set()
    rules: dict[str, tuple[Rule, ...]] = {}
    for need in needs:
        namespace = need.right.namespace
        if need.right.verb not in GRANTS or not namespace:
            continue
        if namespace not in rules:
            rules[namespace] = await _rules_of(client, user, namespace)
        gives = need.gives
        if gives is None:
            there = await _role(client, need.role.kind, need.role.name, namespace)
            gives = rules_of(there) if there is not None else None
        if gives is not None and covers(rules[namespace], gives):
            found.add(need)
    return found


async def _rules_of(client: KubeClient, user: Requester | None, namespace: str) -> tuple[Rule, ...]:
    """What RBAC gives a user in a namespace."""
    if user is None:
        return rules_of({"rules": list(await client.own_rules(namespace))})
    bindings = [
        *await client.list(ROLE_BINDINGS, namespace),
        *await client.list(CLUSTER_ROLE_BINDINGS),
    ]
    kinds = {kind.kind: kind for kind in (ROLES, CLUSTER_ROLES)}
    roles = await side_by_side(
        (
            partial(_role, client, kinds[kind], name, namespace)
            for kind, name in sorted(bound_roles(bindings, user))
            if kind in kinds
        ),
        at_once=AT_ONCE,
    )
    return tuple(rule for role in roles if role is not None for rule in rules_of(role))


async def _role(client: KubeClient, kind: Kind, name: str, namespace: str) -> RawObject | None:
    is_wide = kind.kind == CLUSTER_ROLES.kind
    try:
        return await client.find(
            CLUSTER_ROLES if is_wide else ROLES, name, "" if is_wide else namespace
        )
    except Forbidden:
        return None  # then the grant needs the right itself


async def _ask(
    client: KubeClient, rights: Iterable[Right], held: dict[Right, bool], *, user: Requester | None
) -> None:
    """Fill `held` with what is not in it yet."""
    asked = sorted(set(rights) - held.keys())
    answers = await side_by_side(
        (
            partial(client.may, user, right.verb, right.kind, right.namespace, right.name)
            for right in asked
        ),
        at_once=AT_ONCE,
    )
    held |= zip(asked, answers, strict=True)
