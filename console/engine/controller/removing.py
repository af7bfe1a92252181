"""Takes Kubehaven out of a cluster: reads what stands, then carries out exactly what was shown.

Nothing that holds data is deleted here; local points are freed only on demand, and by a
RetireAction for each application, before anything goes.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from console.engine.actions.retiring import make_retire_plan
from console.engine.aiokit import side_by_side
from console.engine.catalog.contents import list_contents
from console.engine.controller import asking
from console.engine.controller.rows import KINDS
from console.engine.errors import Conflict, EngineError, NotFound, PlanError
from console.engine.facade import RetireRequest
from console.engine.kube.lease import Lease, may_take
from console.engine.kube.manifests import ANNOTATION_VERSION, is_newer, prepared_kinds
from console.engine.model import kinds
from console.engine.model.intent import Location
from console.engine.model.names import (
    GROUP,
    LABEL_MANAGED_BY,
    LABEL_ROLE,
    LEASE,
    MANAGED_BY,
    NAMESPACE,
    ROLE_UNDO,
    WORKERS_NAMESPACE,
)
from console.engine.model.record import ACTION_KINDS
from console.engine.model.wire import decode
from console.engine.plan.raw import annotations_of, items, name_of, namespace_of, part, text, uid_of
from console.engine.plan.remove_plan import (
    RemoveFacts,
    Standing,
    deleted,
    plan_remove,
    still_working,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable

    from console.engine.controller.session import ClusterSession
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.points import RestorePointContent
    from console.engine.model.views import Blocker

OURS = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
GONE_S = 120.0
RETIRED_S = 3600.0
POINTS_AT_ONCE = 20
_RBAC = ("rbac.authorization.k8s.io", "v1")
_BINDINGS = (
    kinds.Kind(*_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    kinds.Kind(*_RBAC, "rolebindings", "RoleBinding"),
)


async def read_standing(session: ClusterSession, *, retire_local: bool) -> RemoveFacts:
    """What stands in the cluster; also where a removal broke off."""
    client = session.client
    served = {one.kind for one in await client.discover()}
    crds = [raw for raw in await client.list(kinds.CRDS) if text(raw, "spec", "group") == GROUP]
    lease = await client.find(kinds.LEASES, LEASE, NAMESPACE) or {}
    contents: list[RestorePointContent] = []
    if kinds.RESTORE_POINT_CONTENTS in served:
        contents = await list_contents(client)
    versions = [str(annotations_of(raw).get(ANNOTATION_VERSION, "")) for raw in crds]
    return RemoveFacts(
        cluster=session.name,
        crds=tuple(crds),
        ours=tuple(await _ours(client, served)),
        lease=lease,
        driven_by=await _driven_by(session, lease),
        records=tuple([one async for one in _records(client, crds, served)]),
        actions=tuple(
            [
                decode(raw, KINDS[kind])
                for kind in ACTION_KINDS
                for raw in await _list(client, asking.KIND_OF[kind], served)
            ]
        ),
        locations=tuple(
            decode(raw, Location) for raw in await _list(client, kinds.LOCATIONS, served)
        ),
        contents=tuple(contents),
        secrets=tuple(await client.list(kinds.SECRETS, NAMESPACE, labels=OURS, metadata_only=True)),
        kept=(
            *[one async for one in _kept(client, served)],
            *[one async for one in _bindings(client, served)],
        ),
        newer=next((version for version in versions if is_newer(version)), ""),
        retiring=await _retire_blockers(session, contents) if retire_local else (),
    )


async def remove(session: ClusterSession, *, plan_hash: str) -> None:
    """Delete what a plan named, by a session that neither drives nor observes.

    Safe to call again after it broke off anywhere: what is gone is not in the next plan.

    Raises:
        PlanError: `plan.stale`, or the first of what stands in the way.
        DrivenElsewhere: Another engine has the Lease.
    """
    lease = Lease(session.access, holder=session.holder)
    await lease.acquire()
    try:
        facts = await read_standing(session, retire_local=False)
        for action in still_working(facts):  # asked for since the plan
            raise PlanError(
                "an action was asked for meanwhile",
                subject=f"{type(action).__name__} {action.metadata.namespace}/"
                f"{action.metadata.name}",
                hint="let it end, or cancel it, and remove again",
                code="remove.busy",
            )
        if plan_remove(facts, retire_local=False).hash != plan_hash:
            raise stale(session.name)
        await _delete(session.client, deleted(facts), lease)
    finally:
        await lease.release()
    await _delete_lease(session.client, session.holder)


async def retire_all(session: ClusterSession, names: Collection[str]) -> None:
    """Free local points, one RetireAction per application, by the engine that drives here.

    Raises:
        EngineError: `remove.retire`: one of them did not end well; nothing was removed.
    """
    contents = [one for one in await list_contents(session.client) if one.metadata.name in names]
    for request in _requests(contents):
        ref = await asking.ask_retire(
            session.client,
            session.name,
            request,
            user=session.asker(),
            cluster_uid=session.uid,
            plan_hash="",
        )
        kind = asking.KIND_OF[ref.kind]
        raw = await session.client.wait_for(
            kind,
            ref.name,
            ref.namespace,
            lambda raw: text(raw, "status", "phase") == "Finished",
            timeout_s=RETIRED_S,
        )
        if text(raw, "status", "outcome") != "Complete":
            raise EngineError(
                f"local points were not freed: {text(raw, 'status', 'error', 'message')}",
                subject=f"{ref.kind} {ref.namespace}/{ref.name}",
                hint="nothing was removed; see it with: kubehaven action show " + ref.name,
                code="remove.retire",
            )


def stale(cluster: str) -> PlanError:
    """The error of a plan that is no longer true."""
    return PlanError(
        "the cluster has changed since the plan was shown",
        subject=cluster,
        hint="look at the new plan",
        code="plan.stale",
    )


async def _delete(client: KubeClient, objects: Iterable[Standing], lease: Lease) -> None:
    for kind, raw in objects:
        lease.check()
        name, namespace = name_of(raw), namespace_of(raw)
        with contextlib.suppress(Conflict):  # another object than was shown: the next plan's
            await client.delete(kind, name, namespace, uid=uid_of(raw))
        if kind == kinds.CRDS:
            with contextlib.suppress(NotFound):
                await client.wait_for(kind, name, "", lambda _raw: False, timeout_s=GONE_S)


async def _delete_lease(client: KubeClient, holder: str) -> None:
    there = await client.find(kinds.LEASES, LEASE, NAMESPACE)
    if there is None or text(there, "spec", "holderIdentity") not in {"", holder}:
        return
    meta = there["metadata"]
    with contextlib.suppress(Conflict):
        await client.delete(
            kinds.LEASES,
            LEASE,
            NAMESPACE,
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
        )


async def _driven_by(session: ClusterSession, lease: RawObject) -> str:
    spec, now = part(lease, "spec"), await session.client.server_time()
    if may_take(spec, holder=session.holder, now=now, take_over=False):
        return ""
    return text(lease, "spec", "holderIdentity")


async def _ours(client: KubeClient, served: Collection[Kind]) -> list[Standing]:
    """What *prepare* wrote, whatever version it was: told by label and annotation."""
    found = []
    for kind in prepared_kinds():
        if kind in {kinds.CRDS, kinds.NAMESPACES} or kind.group == GROUP or kind not in served:
            continue
        for raw in await client.list(kind, labels=OURS):
            home = namespace_of(raw) in {"", NAMESPACE, WORKERS_NAMESPACE}
            if home and ANNOTATION_VERSION in annotations_of(raw):
                found.append(Standing(kind, raw))
    return found


async def _records(
    client: KubeClient, crds: Iterable[RawObject], served: Collection[Kind]
) -> AsyncIterator[tuple[str, int]]:
    names = {name_of(raw) for raw in crds}
    for kind in sorted(kind for kind in served if kind.group == GROUP and kind.resource in names):
        yield kind.resource, len(await client.list(kind, metadata_only=True))


async def _kept(
    client: KubeClient, served: Collection[Kind]
) -> AsyncIterator[tuple[Standing, str]]:
    for raw in await _list(client, kinds.SNAPSHOTS, served, WORKERS_NAMESPACE):
        yield Standing(kinds.SNAPSHOTS, raw), "data of a local restore point"
    for raw in await _list(client, kinds.SNAPSHOT_CLASSES, served, labels=OURS):
        yield Standing(kinds.SNAPSHOT_CLASSES, raw), "the snapshots of local points name it"
    for raw in await client.list(kinds.VOLUMES, labels=f"{LABEL_ROLE}={ROLE_UNDO}"):
        reason = "the old volume of a restore in place; without its action it can't be undone"
        yield Standing(kinds.VOLUMES, raw), reason
    for kind in (kinds.JOBS, kinds.CLAIMS, kinds.SECRETS):
        for raw in await client.list(kind, WORKERS_NAMESPACE, labels=OURS, metadata_only=True):
            yield Standing(kind, raw), "an action that is gone has left it"
    for name in (NAMESPACE, WORKERS_NAMESPACE):
        namespace = await client.find(kinds.NAMESPACES, name)
        if namespace is not None:
            yield Standing(kinds.NAMESPACES, namespace), "for what stays in it"


async def _bindings(
    client: KubeClient, served: Collection[Kind]
) -> AsyncIterator[tuple[Standing, str]]:
    for kind in _BINDINGS:
        for raw in await _list(client, kind, served):
            role = text(raw, "roleRef", "name")
            if role.startswith(f"{MANAGED_BY}-") and items(raw, "subjects"):
                yield Standing(kind, raw), f"it is yours; it names the role {role}, which goes"


async def _retire_blockers(
    session: ClusterSession, contents: list[RestorePointContent]
) -> tuple[Blocker, ...]:
    plans = await side_by_side(
        (
            partial(
                make_retire_plan,
                session.client,
                request.points,
                request,
                cluster_uid=session.uid,
            )
            for request in _requests(contents)
        ),
        at_once=4,
    )
    return tuple(blocker for plan in plans for blocker in plan.blockers)


def _requests(contents: Iterable[RestorePointContent]) -> list[RetireRequest]:
    """For the local points of each application; a RetireAction has its limits."""
    points: dict[str, list[str]] = {}
    for content in contents:
        if content.spec.kind == "local" and content.status.state in {"Ready", "Damaged"}:
            points.setdefault(content.spec.application.namespace, []).append(content.metadata.name)
    return [
        RetireRequest(points=part, allow_many=True, allow_last=True)
        for _, names in sorted(points.items())
        for part in _batched(sorted(names), POINTS_AT_ONCE)
    ]


def _batched(names: list[str], size: int) -> list[tuple[str, ...]]:
    """In parts of at most `size`."""
    return [tuple(names[first : first + size]) for first in range(0, len(names), size)]


async def _list(
    client: KubeClient,
    kind: Kind,
    served: Collection[Kind],
    namespace: str = "",
    *,
    labels: str = "",
) -> list[RawObject]:
    if kind not in served:
        return []
    try:
        return await client.list(kind, namespace, labels=labels)
    except NotFound:  # it went while we looked
        return []
