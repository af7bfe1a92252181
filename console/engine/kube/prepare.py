"""Puts what we need into a cluster: shown first as a plan, then carried out exactly.

`manifests.wanted` reads what is shipped, `draft` compares it with what is there (pure), `prepare`
applies the difference in order. Nothing is ever deleted, and the CRDs of a newer engine stay.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from console import __version__
from console.engine.aiokit import Backoff
from console.engine.errors import NotFound, PlanError
from console.engine.kube.fitting import fitted, read_surroundings
from console.engine.kube.manifests import ANNOTATION_VERSION, is_newer, wanted
from console.engine.kube.node_path import with_node_path
from console.engine.model import kinds
from console.engine.model.names import NAMESPACE, SETTINGS
from console.engine.model.views import Manifests, PlannedObject, PreparePlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from console.engine.kube.client import KubeClient
    from console.engine.kube.manifests import Wanted
    from console.engine.model.kinds import Kind, RawObject

ESTABLISHED_S = 30.0
SERVED_S = 10.0
MAX_CHANGES = 20

Verb = Literal["create", "update", "keep", "skip"]


class Draft(NamedTuple):
    """One object with what has to be done about it."""

    wanted: Wanted
    verb: Verb
    changes: tuple[str, ...] = ()
    reason: str = ""


def draft(
    objects: Iterable[Wanted], live: Mapping[tuple[str, str, str], RawObject], served: set[Kind]
) -> tuple[Draft, ...]:
    """What has to be done, in order.

    Args:
        live: What is there, by (`<plural>.<group>`, namespace, name).
        served: The kinds that the cluster serves.

    Raises:
        PlanError: `prepare.newer`: a newer Kubehaven prepared this cluster.
    """
    drafts = []
    for one in objects:
        there = live.get((one.kind.resource, one.namespace, one.name))
        if one.absent_because and one.kind not in served:
            drafts.append(Draft(one, "skip", reason=one.absent_because))
        elif there is None:
            drafts.append(Draft(one, "create"))
        else:
            _refuse_newer(one, there)
            changes = () if one.once else _changes(one.obj, there)
            drafts.append(Draft(one, "update" if changes else "keep", changes))
    return tuple(drafts)


def shown(cluster: str, drafts: tuple[Draft, ...]) -> PreparePlan:
    """The plan as it is shown, with its hash over the exact objects that would be written."""
    exact = [
        (one.verb, one.changes, one.wanted.obj)
        for one in drafts
        if one.verb in {"create", "update"}
    ]
    digest = hashlib.sha256(msgspec.json.encode(exact, order="sorted")).hexdigest()
    rows = tuple(_row(one, verb=one.verb, reason=one.reason) for one in drafts)
    return PreparePlan(cluster=cluster, objects=rows, hash=digest)


def _row(one: Draft, *, verb: Verb, reason: str) -> PlannedObject:
    return PlannedObject(
        verb=verb,
        resource=one.wanted.kind.resource,
        namespace=one.wanted.namespace,
        name=one.wanted.name,
        changes=one.changes,
        reason=reason,
    )


async def plan_prepare(
    client: KubeClient, cluster: str, *, allow_node_path: bool = False
) -> PreparePlan:
    """What `prepare` would do now; writes nothing.

    Args:
        allow_node_path: Also let workers read volumes in use on their pods' nodes.

    Raises:
        PlanError: `prepare.newer`.
    """
    return shown(cluster, await _look(client, allow_node_path=allow_node_path))


def printed(cluster: str, drafts: tuple[Draft, ...], served: set[Kind]) -> Manifests:
    """Every object as `kubectl apply` takes it, whether it is there already or not.

    Left out is what `kubectl apply` would fail at, or take away from the user.
    """
    objects, left_out = [], []
    for one in drafts:
        why = one.reason
        if one.wanted.once and one.verb == "keep":
            why = "it is there, and yours"
        elif one.wanted.once and one.wanted.kind not in served:
            why = "its kind comes with the others; without it the defaults hold"
        if why:
            left_out.append(_row(one, verb="skip", reason=why))
        else:
            objects.append(one.wanted.obj)
    return Manifests(cluster=cluster, objects=tuple(objects), left_out=tuple(left_out))


async def print_manifests(
    client: KubeClient, cluster: str, *, allow_node_path: bool = False
) -> Manifests:
    """Every object that `prepare` wants in this cluster, for `kubectl apply`; writes nothing.

    Raises:
        PlanError: `prepare.newer`.
    """
    served = {one.kind for one in await client.discover()}
    drafts = await _look(client, served, allow_node_path=allow_node_path)
    return printed(cluster, drafts, served)


async def prepare(
    client: KubeClient, cluster: str, *, plan_hash: str, allow_node_path: bool = False
) -> PreparePlan:
    """Carry a shown plan out; safe to call again after it broke off anywhere.

    Returns:
        The plan that was carried out.

    Raises:
        PlanError: `plan.stale`: the cluster is no longer as it was when the plan was shown.

    Cancel: what was applied stays; the next plan holds the rest.
    """
    drafts = await _look(client, allow_node_path=allow_node_path)
    plan = shown(cluster, drafts)
    if plan.hash != plan_hash:
        raise PlanError(
            "the cluster has changed since the plan was shown",
            subject=cluster,
            hint="look at the new plan",
            code="plan.stale",
        )
    crds = [one for one in drafts if one.wanted.kind == kinds.CRDS]
    for one in crds:
        await _apply(client, one)
    waits = (
        client.wait_for(kinds.CRDS, one.wanted.name, "", _is_established, timeout_s=ESTABLISHED_S)
        for one in crds
    )
    await asyncio.gather(*waits)
    for one in drafts:
        if one.wanted.kind != kinds.CRDS:
            await _apply(client, one)
    return plan


async def _look(
    client: KubeClient, served: set[Kind] | None = None, *, allow_node_path: bool
) -> tuple[Draft, ...]:
    if served is None:
        served = {one.kind for one in await client.discover()}
    surroundings = await read_surroundings(client, served)
    objects = fitted(await asyncio.to_thread(wanted), surroundings)
    asked = [one for one in objects if not one.absent_because or one.kind in served]
    answers = await asyncio.gather(
        *(client.find(one.kind, one.name, one.namespace) for one in asked)
    )
    live = {
        (one.kind.resource, one.namespace, one.name): answer
        for one, answer in zip(asked, answers, strict=True)
        if answer is not None
    }
    settings = live.get((kinds.SETTINGS.resource, NAMESPACE, SETTINGS))
    return draft(with_node_path(objects, settings, asked=allow_node_path), live, served)


async def _apply(client: KubeClient, one: Draft) -> None:
    if one.verb not in {"create", "update"}:
        return
    backoff = Backoff(first_s=0.1, limit_s=1.0)
    try:
        async with asyncio.timeout(SERVED_S):
            while True:
                try:
                    await client.apply(one.wanted.kind, one.wanted.obj, force=True)
                except NotFound:  # an established kind is served a moment later
                    await asyncio.sleep(backoff.next_s())
                else:
                    return
    except TimeoutError as error:
        raise NotFound(
            f"{one.wanted.kind.resource} is not served, although it is established",
            subject=f"{one.wanted.kind.kind} {one.wanted.name}",
        ) from error


def _is_established(crd: RawObject) -> bool:
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _refuse_newer(one: Wanted, there: RawObject) -> None:
    version = there["metadata"].get("annotations", {}).get(ANNOTATION_VERSION, "")
    if one.kind == kinds.CRDS and is_newer(version):
        raise PlanError(
            f"Kubehaven {version} prepared this cluster; this is {__version__}",
            subject=f"{one.kind.kind} {one.name}",
            hint="update this Kubehaven; it can look and ask for work as it is",
            code="prepare.newer",
        )


def _changes(obj: RawObject, there: RawObject) -> tuple[str, ...]:
    found = list(_differences(obj, there, ""))
    if len(found) > MAX_CHANGES:
        return (*found[:MAX_CHANGES], f"and {len(found) - MAX_CHANGES} more")
    return tuple(found)


def _differences(want: Any, have: Any, where: str) -> Iterator[str]:
    """Where `have` lacks something of `want`; what it has beyond that is the server's."""
    if isinstance(want, dict) and isinstance(have, dict):
        for key, value in want.items():
            if key not in have:
                yield f"{where}.{key} is added".lstrip(".")
            else:
                yield from _differences(value, have[key], f"{where}.{key}")
    elif isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        for index, (one, other) in enumerate(zip(want, have, strict=True)):
            yield from _differences(one, other, f"{where}[{index}]")
    elif want != have:
        yield f"{where}: {_short(have)} becomes {_short(want)}".lstrip(".")


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
