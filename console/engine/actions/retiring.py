"""Reads what a retirement has to know: the facts of its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.aiokit import SystemClock
from console.engine.catalog.contents import list_contents
from console.engine.errors import NotFound
from console.engine.model import kinds
from console.engine.model.intent import Location, LocationSpec
from console.engine.model.names import NAMESPACE, WORKERS_NAMESPACE, exported_content_name
from console.engine.model.record import Action, ExportAction, RestoreAction, RetireAction
from console.engine.model.wire import decode
from console.engine.plan.retire_plan import RetireFacts, RetirePlan, plan_retire
from console.engine.volumes.freeing import other_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from console.engine.facade import RetireRequest
    from console.engine.kube import KubeClient
    from console.engine.model.points import RestorePointContent

OUR_KINDS = (
    kinds.RESTORE_POINT_CONTENTS,
    kinds.RESTORE_POINTS,
    kinds.LOCATIONS,
    kinds.SETTINGS,
    kinds.BACKUP_ACTIONS,
    kinds.EXPORT_ACTIONS,
    kinds.RESTORE_ACTIONS,
    kinds.RETIRE_ACTIONS,
)
_USERS: tuple[tuple[kinds.Kind, type[Action]], ...] = (
    (kinds.EXPORT_ACTIONS, ExportAction),
    (kinds.RESTORE_ACTIONS, RestoreAction),
    (kinds.RETIRE_ACTIONS, RetireAction),
)


async def make_retire_plan(
    client: KubeClient,
    names: Sequence[str],
    request: RetireRequest,
    *,
    cluster_uid: str,
    action_uid: str = "",
    damaged: tuple[str, ...] = (),
) -> RetirePlan:
    """What a retirement of the contents of these names would free now; writes nothing.

    Args:
        action_uid: The RetireAction's own; empty for a preview.
        damaged: Contents that are marked as going and were Damaged before.

    Raises:
        NotFound: One of the contents is not there.
    """
    contents = await list_contents(client)
    by_name = {content.metadata.name: content for content in contents}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise NotFound(
            "there is no such restore point any more",
            subject=f"RestorePointContent {missing[0]}",
            hint="see which there are with: kubehaven point list",
        )
    chosen = [by_name[name] for name in dict.fromkeys(names)]
    own = {
        volume.snapshot.handle: volume.snapshot.name
        for content in chosen
        if content.spec.kind == "local"
        for volume in content.status.volumes
        if volume.snapshot is not None
    }
    facts = RetireFacts(
        contents=tuple(contents),
        cluster_uid=cluster_uid,
        damaged=damaged,
        locations=await _locations(client),
        in_use=await contents_in_use(client, contents, besides=action_uid),
        terminating=await terminating(client),
        skew_s=(await client.server_time() - SystemClock().now()).total_seconds(),
        also_named_by=await other_names(client, own) if own else {},
    )
    return plan_retire(chosen, facts, request)


async def terminating(client: KubeClient) -> tuple[str, ...]:
    """Our CRDs and namespaces that are being deleted, in words."""
    asked = [
        *((kinds.NAMESPACES, name) for name in (NAMESPACE, WORKERS_NAMESPACE)),
        *((kinds.CRDS, kind.resource) for kind in OUR_KINDS),
    ]
    found = []
    for kind, name in asked:
        raw = await client.find(kind, name)
        if raw is not None and raw["metadata"].get("deletionTimestamp"):
            found.append(f"{kind.kind} {name}")
    return tuple(found)


async def contents_in_use(
    client: KubeClient, contents: Sequence[RestorePointContent], *, besides: str = ""
) -> dict[str, str]:
    """The unfinished action that works on a content, in words, by the content's name."""
    handles = {
        (bound.namespace, bound.name): content.metadata.name
        for content in contents
        if (bound := content.status.restorePointRef) is not None
    }
    in_use: dict[str, str] = {}
    for kind, to in _USERS:
        for raw in await client.list(kind):
            action = decode(raw, to)
            if action.status.phase == "Finished" or action.metadata.uid == besides:
                continue
            words = f"{kind.kind} {action.metadata.namespace}/{action.metadata.name}"
            for name in _names_in(action, handles):
                in_use[name] = words
    return in_use


def _names_in(action: Action, handles: dict[tuple[str, str], str]) -> Iterator[str]:
    """The contents that an action works on."""
    if isinstance(action, RetireAction):
        yield from (point.name for point in action.spec.points)
        return
    subject = action.spec.subject
    name = subject.name
    if subject.kind != "RestorePointContent":
        where = (subject.namespace or action.metadata.namespace, subject.name)
        name = handles.get(where, "")
    yield name
    if isinstance(action, ExportAction):  # an export made again ends in the copy that is there
        yield exported_content_name(name, action.spec.profile.name)


async def _locations(client: KubeClient) -> dict[str, LocationSpec]:
    found = [decode(raw, Location) for raw in await client.list(kinds.LOCATIONS, NAMESPACE)]
    return {location.metadata.name: location.spec for location in found}
