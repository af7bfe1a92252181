"""Writes actions: what a person asks for becomes a resource in the cluster.

Actions of a person with this console live in `kubehaven`: there an
administrator's word counts, and a namespace that dies takes no record along.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.actions.authorising import lacking_rights
from console.engine.actions.reading import swap_facts
from console.engine.actions.retiring import make_retire_plan
from console.engine.catalog.contents import find_content, list_contents
from console.engine.catalog.locations import open_location
from console.engine.controller.queueing import LABEL_AFTER
from console.engine.controller.rows import is_platform
from console.engine.errors import EngineError, NotFound, PlanError
from console.engine.model.kinds import (
    BACKUP_ACTIONS,
    EXPORT_ACTIONS,
    NAMESPACES,
    RESTORE_ACTIONS,
    RETIRE_ACTIONS,
    Kind,
    RawObject,
)
from console.engine.model.names import (
    API_VERSION,
    LABEL_APP_NAME,
    LABEL_APP_NAMESPACE,
    LABEL_EXPORT_PROFILE,
    NAMESPACE,
    label_safe,
    point_id,
)
from console.engine.model.record import (
    BackupActionSpec,
    ExportActionSpec,
    NamedRef,
    RestoreAction,
    RestoreActionSpec,
    RetireActionSpec,
    Subject,
)
from console.engine.model.views import ActionRef
from console.engine.model.wire import decode, encode
from console.engine.plan.rights import retire_needs, swap_needs
from console.engine.plan.undo_plan import plan_undo

if TYPE_CHECKING:
    from console.engine.facade import RestoreRequest, RetireRequest
    from console.engine.kube import KubeClient
    from console.engine.model.points import RestorePointContent
    from console.engine.model.record import ActionKind, ExecHook, Requester
    from console.engine.plan.retire_plan import RetirePlan

KIND_OF: dict[ActionKind, Kind] = {
    "BackupAction": BACKUP_ACTIONS,
    "ExportAction": EXPORT_ACTIONS,
    "RestoreAction": RESTORE_ACTIONS,
    "RetireAction": RETIRE_ACTIONS,
}


async def ask_backup(
    client: KubeClient,
    cluster: str,
    application: str,
    *,
    user: Requester,
    export_to: str,
    hooks: tuple[ExecHook, ...] = (),
) -> ActionRef:
    """A BackupAction; with `export_to`, an ExportAction that waits for its point."""
    if await client.find(NAMESPACES, application) is None:
        raise NotFound(
            "there is no such application",
            subject=f"namespace {application}",
            hint="see which there are with: kubehaven app list",
        )
    if is_platform(application) and application != "default":
        raise EngineError(
            "this namespace belongs to the cluster itself: its installer brings it back, "
            "and a restore over it would break the cluster",
            subject=f"namespace {application}",
            hint="back up applications only; see which there are with: kubehaven app list",
            code="backup.platform",
        )
    spec = BackupActionSpec(
        subject=Subject(kind="Namespace", name=application, namespace=application),
        hooks=hooks,
        requestedBy=user,
    )
    raw = await _create(client, "BackupAction", application, encode(spec))
    meta = raw["metadata"]
    if export_to:
        point = point_id(application, meta["uid"], meta["creationTimestamp"])
        await _ask_export(
            client, point, application, location=export_to, user=user, after=meta["uid"]
        )
    return _ref(cluster, "BackupAction", raw)


async def ask_export(
    client: KubeClient, cluster: str, point: str, *, location: str, user: Requester
) -> ActionRef:
    """An ExportAction of a local point."""
    content = await resolve_point(client, point, kind="local")
    raw = await _ask_export(
        client,
        content.metadata.name,
        content.spec.application.namespace,
        location=location,
        user=user,
    )
    return _ref(cluster, "ExportAction", raw)


async def ask_restore(
    client: KubeClient, cluster: str, request: RestoreRequest, *, user: Requester
) -> ActionRef:
    """A RestoreAction."""
    content = await resolve_point(client, request.point)
    spec = RestoreActionSpec(
        subject=Subject(kind="RestorePointContent", name=content.metadata.name),
        targetNamespace=request.target or content.spec.application.namespace,
        storageClassMap=dict(request.storage_class_map),
        inPlace=request.in_place,
        ownerMap=dict(request.owner_map),
        claimSizes=dict(request.claim_sizes),
        requestedBy=user,
    )
    application = content.spec.application.namespace
    raw = await _create(client, "RestoreAction", application, encode(spec))
    return _ref(cluster, "RestoreAction", raw)


async def ask_undo(
    client: KubeClient, cluster: str, namespace: str, name: str, *, user: Requester
) -> ActionRef:
    """A RestoreAction that undoes a restore in place.

    Raises:
        PlanError: It can't be undone; the code says why.
    """
    undone = decode(await client.get(RESTORE_ACTIONS, name, namespace), RestoreAction)
    facts = await swap_facts(client, undone.status.targetNamespace)
    made = plan_undo(undone, facts)
    lacking = await lacking_rights(
        client, swap_needs(made, undone.status.targetNamespace), user=None, area="undo"
    )
    for blocker in (*made.blockers, *lacking):
        raise PlanError(
            blocker.message, subject=blocker.object, hint=blocker.hint, code=blocker.code
        )
    spec = RestoreActionSpec(
        subject=Subject(kind="RestoreAction", name=name, namespace=namespace),
        targetNamespace=undone.status.targetNamespace,
        requestedBy=user,
    )
    raw = await _create(client, "RestoreAction", undone.status.targetNamespace, encode(spec))
    return _ref(cluster, "RestoreAction", raw)


async def plan_retirement(
    client: KubeClient, request: RetireRequest, *, cluster_uid: str
) -> RetirePlan:
    """What a retirement would free; its points by name, or by id where one copy has it."""
    names = [(await resolve_point(client, name)).metadata.name for name in request.points]
    plan = await make_retire_plan(client, names, request, cluster_uid=cluster_uid)
    lacking = await lacking_rights(client, retire_needs(plan.points), user=None, area="retire")
    return msgspec.structs.replace(plan, blockers=(*plan.blockers, *lacking)) if lacking else plan


async def ask_retire(
    client: KubeClient,
    cluster: str,
    request: RetireRequest,
    *,
    user: Requester,
    cluster_uid: str,
    plan_hash: str,
) -> ActionRef:
    """A RetireAction that names what it frees by id."""
    plan = await plan_retirement(client, request, cluster_uid=cluster_uid)
    if plan_hash and (plan.hash != plan_hash or plan.blockers):
        raise PlanError(
            "the points have changed since the preview",
            subject=", ".join(request.points),
            hint="look at the preview again",
            code="plan.stale",
        )
    spec = RetireActionSpec(
        subject=Subject(kind="Namespace", name=plan.application, namespace=plan.application),
        points=plan.points,
        data=plan.data,
        allowMany=request.allow_many,
        allowLast=request.allow_last,
        requestedBy=user,
    )
    raw = await _create(client, "RetireAction", plan.application, encode(spec))
    return _ref(cluster, "RetireAction", raw)


async def resolve_point(client: KubeClient, name: str, *, kind: str = "") -> RestorePointContent:
    """A content by its name, or by its point's id; `kind` chooses among copies of one moment.

    Raises:
        NotFound: There is none.
        EngineError: `point.ambiguous`: several copies have this id.
    """
    content = await find_content(client, name)
    if content is not None and (not kind or content.spec.kind == kind):
        return content
    there = [c for c in await list_contents(client) if c.spec.id == name]
    fitting = [c for c in there if not kind or c.spec.kind == kind]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        what = f"{kind} restore point" if kind else "restore point"
        raise NotFound(
            f"there is no such {what}",
            subject=name,
            hint="see which there are with: kubehaven point list",
        )
    raise EngineError(
        "several copies of this restore point exist",
        subject=name,
        hint="name one: " + ", ".join(sorted(c.metadata.name for c in fitting)),
        code="point.ambiguous",
    )


async def ask_cancel(client: KubeClient, kind: ActionKind, namespace: str, name: str) -> None:
    """Set `spec.cancel`."""
    await client.patch(KIND_OF[kind], name, namespace, merge={"spec": {"cancel": True}})


async def _ask_export(
    client: KubeClient,
    point: str,
    application: str,
    *,
    location: str,
    user: Requester,
    after: str = "",
) -> RawObject:
    await open_location(client, location)  # say now what would make it fail later
    spec = ExportActionSpec(
        subject=Subject(kind="RestorePointContent", name=point),
        profile=NamedRef(name=location, namespace=NAMESPACE),
        requestedBy=user,
    )
    labels = {LABEL_EXPORT_PROFILE: location} | ({LABEL_AFTER: after} if after else {})
    return await _create(client, "ExportAction", application, encode(spec), labels)


async def _create(
    client: KubeClient,
    kind: ActionKind,
    application: str,
    spec: Any,
    labels: dict[str, str] | None = None,
) -> RawObject:
    word = kind.removesuffix("Action").lower()
    name = f"{word}-{label_safe(application)[:40]}-{secrets.token_hex(3)}"
    body: RawObject = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {
                LABEL_APP_NAME: application,
                LABEL_APP_NAMESPACE: application,
                **(labels or {}),
            },
        },
        "spec": spec,
    }
    return await client.create(KIND_OF[kind], body)


def _ref(cluster: str, kind: ActionKind, raw: RawObject) -> ActionRef:
    meta = raw["metadata"]
    return ActionRef(
        cluster=cluster,
        kind=kind,
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
    )
