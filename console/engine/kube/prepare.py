"""Puts what we need into a cluster: shown first as a plan, then carried out exactly.

`wanted` reads what is shipped, `plan` compares it with what is there (pure), `prepare` applies
the difference in order. Nothing is ever deleted, and the CRDs of a newer engine stay.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from console import __version__, resources_path
from console.engine.aiokit import Backoff
from console.engine.errors import EngineError, NotFound, PlanError
from console.engine.model import kinds
from console.engine.model.kinds import Kind, RawObject
from console.engine.model.names import GROUP
from console.engine.model.views import PlannedObject, PreparePlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from console.engine.kube.client import KubeClient

ANNOTATION_VERSION = f"{GROUP}/version"  # of the Kubehaven that wrote the object
ESTABLISHED_S = 30.0
SERVED_S = 10.0
MAX_CHANGES = 20

_ADMISSION = ("admissionregistration.k8s.io", "v1")
_RBAC = ("rbac.authorization.k8s.io", "v1")
_KINDS = {
    (kind.api_version, kind.kind): kind
    for kind in (
        kinds.CRDS,
        kinds.NAMESPACES,
        kinds.SERVICE_ACCOUNTS,
        kinds.SETTINGS,
        Kind(*_RBAC, "clusterroles", "ClusterRole", namespaced=False),
        Kind(
            *_ADMISSION,
            "validatingadmissionpolicies",
            "ValidatingAdmissionPolicy",
            namespaced=False,
        ),
        Kind(
            *_ADMISSION,
            "validatingadmissionpolicybindings",
            "ValidatingAdmissionPolicyBinding",
            namespaced=False,
        ),
    )
}

Verb = Literal["create", "update", "keep", "skip"]


class Wanted(NamedTuple):
    """One object as it shall be; `once` ones are the user's as soon as they are there."""

    kind: Kind
    obj: RawObject
    once: bool = False

    @property
    def name(self) -> str:
        """Of the object."""
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Of the object; empty where it has none."""
        return str(self.obj["metadata"].get("namespace", ""))


class Draft(NamedTuple):
    """One object with what has to be done about it."""

    wanted: Wanted
    verb: Verb
    changes: tuple[str, ...] = ()
    reason: str = ""


def wanted(folder: Path | None = None) -> tuple[Wanted, ...]:
    """What is shipped, in the order in which it must be applied: CRDs, then the rest."""
    root = folder or resources_path()
    found = [
        Wanted(_KINDS[obj["apiVersion"], obj["kind"]], _stamped(obj), once=part == "defaults")
        for part in ("crds", "rbac", "defaults")
        for path in sorted((root / part).glob("*.yaml"))
        for obj in _documents(path)
    ]
    if not found:
        raise EngineError(
            "the manifests that belong to this Kubehaven are missing",
            subject=str(root),
            hint="install it again",
            code="prepare.incomplete",
        )
    return tuple(found)


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
        if _is_optional(one) and one.kind not in served:
            why = "needs Kubernetes 1.30 or newer; self-service stays off"
            drafts.append(Draft(one, "skip", reason=why))
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
    rows = tuple(
        PlannedObject(
            verb=one.verb,
            resource=one.wanted.kind.resource,
            namespace=one.wanted.namespace,
            name=one.wanted.name,
            changes=one.changes,
            reason=one.reason,
        )
        for one in drafts
    )
    return PreparePlan(cluster=cluster, objects=rows, hash=digest)


async def plan_prepare(client: KubeClient, cluster: str) -> PreparePlan:
    """What `prepare` would do now; writes nothing.

    Raises:
        PlanError: `prepare.newer`.
    """
    return shown(cluster, await _look(client))


async def prepare(client: KubeClient, cluster: str, *, plan_hash: str) -> PreparePlan:
    """Carry a shown plan out; safe to call again after it broke off anywhere.

    Returns:
        The plan that was carried out.

    Raises:
        PlanError: `plan.stale`: the cluster is no longer as it was when the plan was shown.

    Cancel: what was applied stays; the next plan holds the rest.
    """
    drafts = await _look(client)
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


async def _look(client: KubeClient) -> tuple[Draft, ...]:
    objects = await asyncio.to_thread(wanted)
    served = {one.kind for one in await client.discover()}
    asked = [one for one in objects if not _is_optional(one) or one.kind in served]
    answers = await asyncio.gather(
        *(client.find(one.kind, one.name, one.namespace) for one in asked)
    )
    live = {
        (one.kind.resource, one.namespace, one.name): answer
        for one, answer in zip(asked, answers, strict=True)
        if answer is not None
    }
    return draft(objects, live, served)


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


def _is_optional(one: Wanted) -> bool:
    """Whether the cluster may be too old for it."""
    return one.kind.group == _ADMISSION[0]


def _is_established(crd: RawObject) -> bool:
    conditions = crd.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _documents(path: Path) -> Iterator[RawObject]:
    import yaml  # here: only who prepares pays for it

    with path.open("rb") as stream:
        yield from yaml.safe_load_all(stream)


def _stamped(obj: RawObject) -> RawObject:
    metadata = obj["metadata"]
    annotations = {**metadata.get("annotations", {}), ANNOTATION_VERSION: __version__}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def _refuse_newer(one: Wanted, there: RawObject) -> None:
    version = there["metadata"].get("annotations", {}).get(ANNOTATION_VERSION, "")
    if one.kind == kinds.CRDS and _order(version) > _order(__version__):
        raise PlanError(
            f"Kubehaven {version} prepared this cluster; this is {__version__}",
            subject=f"{one.kind.kind} {one.name}",
            hint="update this Kubehaven; it can look and ask for work as it is",
            code="prepare.newer",
        )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:4])


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
