"""Finds points again: from a look into a location, and from the manifests in the cluster.

Deleting a RestorePointContent frees nothing, it only forgets; this is how the
point comes back. Never frees and never overwrites a point.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from console.engine.aiokit import side_by_side
from console.engine.catalog import exported, local
from console.engine.catalog.contents import (
    complete,
    exported_status,
    list_contents,
    local_status,
    make_content,
)
from console.engine.errors import Conflict, EngineError, NotFound
from console.engine.model.kinds import RESTORE_POINT_CONTENTS
from console.engine.model.names import exported_content_name
from console.engine.model.points import RestorePointContentSpec
from console.repository import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.catalog.exported import FoundPoint
    from console.engine.catalog.locations import OpenLocation
    from console.engine.kube import KubeClient
    from console.engine.model.points import PointManifest, RestorePointContent


AT_ONCE = 16


class Rediscovered(NamedTuple):
    """What a look brought back."""

    found: int
    added: tuple[str, ...]  # names of contents


class Seen(NamedTuple):
    """What a look into a location saw."""

    points: list[FoundPoint]
    damaged: dict[str, RepositoryError | EngineError]  # by the repository's path


def look_into(location: OpenLocation, *, cluster_uid: str) -> Seen:
    """Every point of a cluster in a location; a damaged repository hides no other's points.

    An empty uid asks for those of all clusters.

    Blocking; for a thread.

    Raises:
        StoreError: The location can't be reached.
    """
    store = location.store(read_only=True)
    seen = Seen([], {})

    def note(path: str, error: RepositoryError | EngineError) -> None:
        seen.damaged[path] = error

    try:
        for one in exported.list_repositories(store, cluster_uid=cluster_uid, damaged=note):
            try:
                opened = exported.open_repository(store, one, location.key)
                seen.points.extend(exported.list_points(opened, one.path))
            except (RepositoryError, EngineError) as error:
                note(one.path, error)
        return seen
    finally:
        store.close()


async def join_exported(client: KubeClient, location: str, found: list[FoundPoint]) -> Rediscovered:
    """Make contents for the points of a location that the cluster does not know."""
    there = {content.metadata.name: content for content in await list_contents(client)}

    async def join(point: FoundPoint) -> str:
        name = exported_content_name(point.manifest.id, location)
        known = there.get(name)
        if known is not None and known.status.state == "Ready" and not point.damage:
            return ""
        if known is not None and known.status.state == "Retiring":
            return ""  # its RetireAction has the word
        if known is not None and known.status.state == "Building":
            return ""  # its export has the word; what died is swept, and the next look finds it
        if known is not None and known.status.verifiedAt and known.status.state == "Damaged":
            return ""  # all of it was read, and a look sees less
        content = await make_content(client, name, _exported_spec(point, location), {})
        status = exported_status(point.manifest, point.objects_snapshot, damage=point.damage)
        await complete(client, content, status)
        return "" if known is not None else name

    joined = await side_by_side((partial(join, point) for point in found), at_once=AT_ONCE)
    return Rediscovered(len(found), tuple(name for name in joined if name))


async def forget_foreign(
    client: KubeClient,
    location: str,
    seen: Seen,
    *,
    known: Iterable[RestorePointContent],
    cluster_uid: str,
) -> tuple[str, ...]:
    """Let go of the points of other clusters that are not in the location any more.

    Their own clusters retired them. Only contents are deleted: that frees nothing, and the
    next look brings back what is there after all.

    Args:
        seen: A look at the points of all clusters; of a damaged repository nothing is forgotten.
        known: The contents as they were before that look.

    Returns:
        Names of contents.
    """
    there = {exported_content_name(point.manifest.id, location) for point in seen.points}
    gone = [
        content
        for content in known
        if content.spec.location == location
        and content.spec.clusterUID != cluster_uid
        and content.metadata.name not in there
        and content.spec.repository not in seen.damaged
    ]

    async def forget(content: RestorePointContent) -> str:
        name, uid = content.metadata.name, content.metadata.uid
        with contextlib.suppress(NotFound, Conflict):  # somebody was faster
            await client.delete(RESTORE_POINT_CONTENTS, name, uid=uid)
        return name

    return tuple(await side_by_side((partial(forget, one) for one in gone), at_once=AT_ONCE))


async def join_local(client: KubeClient) -> Rediscovered:
    """Make contents for the local points whose manifests are here and whose contents are not."""
    there = {content.metadata.name for content in await list_contents(client)}
    manifests = await local.list_manifests(client)
    missing = [manifest for manifest in manifests if manifest.id not in there]

    async def join(manifest: PointManifest) -> str:
        content = await make_content(client, manifest.id, local_spec(manifest), manifest.labels)
        await complete_local(client, content, manifest)
        return manifest.id

    added = await side_by_side((partial(join, manifest) for manifest in missing), at_once=AT_ONCE)
    return Rediscovered(len(manifests), tuple(added))


async def complete_local(
    client: KubeClient, content: RestorePointContent, manifest: PointManifest
) -> RestorePointContent:
    """Make a local content Ready from its manifest."""
    name = local.manifest_name(manifest.id, manifest.attempt)
    return await complete(client, content, local_status(manifest, secret=name))


def local_spec(manifest: PointManifest) -> RestorePointContentSpec:
    """The spec of a local point's content."""
    return RestorePointContentSpec(
        id=manifest.id,
        kind="local",
        application=manifest.application,
        clusterUID=manifest.clusterUID,
        actionUID=manifest.actionUID,
    )


def _exported_spec(point: FoundPoint, location: str) -> RestorePointContentSpec:
    manifest = point.manifest
    return RestorePointContentSpec(
        id=manifest.id,
        kind="exported",
        application=manifest.application,
        clusterUID=manifest.clusterUID,
        actionUID=manifest.actionUID,
        location=location,
        repository=point.repository,
    )
