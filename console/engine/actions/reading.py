"""Reads what a point holds and what its target looks like: the facts of a restore's plan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.catalog import exported, local
from console.engine.catalog.locations import open_location
from console.engine.errors import EngineError, Forbidden, NotFound
from console.engine.model.kinds import NAMESPACES, STORAGE_CLASSES, VOLUMES, Kind, RawObject
from console.engine.model.names import ANNOTATION_RESTORED_BY, LABEL_ROLE, ROLE_UNDO
from console.engine.plan.facts import (
    UID_RANGE,
    LiveFacts,
    SwapFacts,
    live_class,
    live_object,
    namespace_state,
)
from console.engine.plan.paths import parse_object_path
from console.engine.plan.restore_plan import RestorePlan, plan_restore
from console.engine.plan.swap_plan import is_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import ParamSpec, Protocol, TypeVar

    from console.engine.catalog.locations import OpenLocation
    from console.engine.facade import RestoreRequest
    from console.engine.kube import KubeClient
    from console.engine.model.points import RestorePointContent

    P = ParamSpec("P")
    T = TypeVar("T")

    class InThread(Protocol):
        """Runs blocking work in a thread."""

        async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
            """The function's result."""


AT_ONCE = 8


async def read_point_objects(
    client: KubeClient, content: RestorePointContent, in_thread: InThread
) -> list[RawObject]:
    """The objects of a point, raw, sorted by path.

    Raises:
        EngineError: `point.damaged`, `point.missing`.
        StoreError: The location of an exported point can't be reached from here.
    """
    if content.status.state == "Retiring":
        raise EngineError(
            "the restore point is being retired",
            subject=f"RestorePointContent {content.metadata.name}",
            hint="choose another point",
            code="point.retiring",
        )
    if content.spec.kind == "local":
        manifest = await local.find_manifest(client, content.spec.id, content.status.cut.attempt)
        if manifest is None:
            raise EngineError(
                "the manifest of the local point is missing",
                subject=f"RestorePointContent {content.metadata.name}",
                hint="restore its exported copy instead",
                code="point.damaged",
            )
        return decode_objects(await local.read_objects(client, manifest))
    location = await open_location(client, content.spec.location)
    return decode_objects(await in_thread(_read_exported, location, content))


def decode_objects(entries: Iterable[tuple[str, bytes]]) -> list[RawObject]:
    """Objects from their stored JSON.

    Raises:
        EngineError: `point.damaged`, naming the path.
    """
    objects = []
    for path, data in entries:
        if parse_object_path(path) is None:
            raise EngineError(
                "the restore point holds something that is no object",
                subject=path,
                code="point.damaged",
            )
        try:
            objects.append(msgspec.json.decode(data))
        except msgspec.MsgspecError as error:
            raise EngineError(
                f"an object of the restore point can't be read: {error}",
                subject=path,
                code="point.damaged",
            ) from error
    return objects


async def make_plan(
    client: KubeClient,
    content: RestorePointContent,
    request: RestoreRequest,
    in_thread: InThread,
    *,
    action_uid: str = "",
) -> RestorePlan:
    """What a restore would do now; writes nothing."""
    objects = await read_point_objects(client, content, in_thread)
    target = request.target or content.spec.application.namespace
    live = await live_facts(client, target, objects)
    if request.in_place:
        live = msgspec.structs.replace(live, swap=await swap_facts(client, target))
    return plan_restore(objects, point=content, request=request, live=live, action_uid=action_uid)


async def swap_facts(client: KubeClient, namespace: str) -> SwapFacts:
    """What a swap in this namespace has to stop, and what is kept for an undo."""
    served = tuple(entry.kind for entry in await client.discover())
    kinds = [kind for kind in served if is_read(kind)]
    # one version of each: the same object in two would be stopped twice
    first = {(kind.group, kind.kind): kind for kind in reversed(kinds)}
    lists = await side_by_side(
        (partial(client.list, kind, namespace) for kind in first.values()), at_once=AT_ONCE
    )
    return SwapFacts(
        objects=tuple(raw for items in lists for raw in items),
        volumes=tuple(await client.list(VOLUMES, labels=f"{LABEL_ROLE}={ROLE_UNDO}")),
        served=served,
    )


async def live_facts(client: KubeClient, namespace: str, objects: Iterable[RawObject]) -> LiveFacts:
    """What the target namespace looks like, as far as the objects of a point matter to it."""
    served = tuple(entry.kind for entry in await client.discover())
    classes = tuple(live_class(raw) for raw in await client.list(STORAGE_CLASSES))
    raw_namespace = await client.find(NAMESPACES, namespace)
    state = namespace_state(raw_namespace)
    if raw_namespace is None:
        return LiveFacts(namespace_state=state, served=served, storage_classes=classes)
    wanted = {(raw["apiVersion"], raw["kind"]) for raw in objects}
    kinds = [k for k in served if (k.api_version, k.kind) in wanted and k.namespaced]

    async def read(kind: Kind) -> list[tuple[Kind, RawObject]]:
        try:
            return [(kind, raw) for raw in await client.list(kind, namespace)]
        except (NotFound, Forbidden):  # creating will say it again, by object
            return []

    lists = await side_by_side((partial(read, kind) for kind in kinds), at_once=AT_ONCE)
    annotations = raw_namespace["metadata"].get("annotations") or {}
    return LiveFacts(
        namespace_state=state,
        namespace_restored_by=annotations.get(ANNOTATION_RESTORED_BY, ""),
        uid_range=annotations.get(UID_RANGE, ""),
        objects=tuple(live_object(*pair) for pairs in lists for pair in pairs),
        served=served,
        storage_classes=classes,
    )


def _read_exported(location: OpenLocation, content: RestorePointContent) -> list[tuple[str, bytes]]:
    with exported.opened_point(location, content) as (repository, point):
        return exported.read_objects(repository, point)
