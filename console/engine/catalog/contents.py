"""RestorePointContents: how they are made, and how a point gets its handle.

A content and its RestorePoint name each other, as PV and PVC do. Only the
engine writes the content's side; a handle that names a content which does not
name it back is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.errors import AlreadyExists, Conflict, NotFound
from console.engine.model.kinds import (
    NAMESPACES,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    RawObject,
)
from console.engine.model.names import (
    API_VERSION,
    LABEL_ACTION_UID,
    LABEL_APP_NAME,
    LABEL_APP_NAMESPACE,
    LABEL_EXPORT_PROFILE,
    LABEL_POINT,
)
from console.engine.model.points import (
    BoundPoint,
    PointManifest,
    RestorePointContent,
    RestorePointContentSpec,
    RestorePointContentStatus,
    RestorePointStatus,
)
from console.engine.model.wire import decode, encode

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.model.points import PointState

STATE_TRIES = 10


async def make_content(
    client: KubeClient, name: str, spec: RestorePointContentSpec, labels: dict[str, str]
) -> RestorePointContent:
    """Create a content in state Building; one that is already there is taken as it is."""
    own = {
        LABEL_APP_NAME: spec.application.name,
        LABEL_APP_NAMESPACE: spec.application.namespace,
        LABEL_POINT: spec.id,
    }
    if spec.location:
        own[LABEL_EXPORT_PROFILE] = spec.location
    if spec.actionUID:
        own[LABEL_ACTION_UID] = spec.actionUID
    body: RawObject = {
        "apiVersion": API_VERSION,
        "kind": "RestorePointContent",
        "metadata": {"name": name, "labels": {**labels, **own}},
        "spec": encode(spec),
    }
    try:
        raw = await client.create(RESTORE_POINT_CONTENTS, body)
    except AlreadyExists:
        raw = await client.get(RESTORE_POINT_CONTENTS, name)
    return decode(raw, RestorePointContent)


async def get_content(client: KubeClient, name: str) -> RestorePointContent:
    """A content by name."""
    return decode(await client.get(RESTORE_POINT_CONTENTS, name), RestorePointContent)


async def find_content(client: KubeClient, name: str) -> RestorePointContent | None:
    """A content by name, if it is there."""
    raw = await client.find(RESTORE_POINT_CONTENTS, name)
    return None if raw is None else decode(raw, RestorePointContent)


async def list_contents(client: KubeClient) -> list[RestorePointContent]:
    """All contents, Building ones included."""
    return [decode(raw, RestorePointContent) for raw in await client.list(RESTORE_POINT_CONTENTS)]


def local_status(manifest: PointManifest, *, secret: str) -> RestorePointContentStatus:
    """The status of a complete local point."""
    return RestorePointContentStatus(
        state="Ready",
        actionTime=manifest.actionTime,
        scheduledTime=manifest.scheduledTime,
        expiresAt=manifest.expiresAt,
        logicalSizeBytes=sum(v.snapshot.restoreSize for v in manifest.volumes if v.snapshot),
        objectCount=manifest.objectCount,
        manifest=secret,
        volumes=manifest.volumes,
        cut=manifest.cut,
    )


def exported_status(
    manifest: PointManifest, objects_snapshot: str, *, damage: str = ""
) -> RestorePointContentStatus:
    """The status of an exported point, complete or damaged."""
    return RestorePointContentStatus(
        state="Damaged" if damage else "Ready",
        reason=damage,
        actionTime=manifest.actionTime,
        scheduledTime=manifest.scheduledTime,
        expiresAt=manifest.expiresAt,
        logicalSizeBytes=sum(v.logicalSize for v in manifest.volumes),
        physicalSizeBytes=sum(v.physicalSize for v in manifest.volumes),
        objectCount=manifest.objectCount,
        objectsSnapshot=objects_snapshot,
        volumes=manifest.volumes,
        cut=manifest.cut,
    )


async def set_state(
    client: KubeClient, content: RestorePointContent, state: PointState, reason: str
) -> None:
    """Write another state of a content and of its handle; nothing else of them changes.

    Raises:
        NotFound: It was forgotten meanwhile.
        Conflict: It is another content by now, or keeps changing.
    """
    name = content.metadata.name
    for _ in range(STATE_TRIES):
        raw = await client.get(RESTORE_POINT_CONTENTS, name)
        if raw["metadata"]["uid"] != content.metadata.uid:
            break
        there = decode(raw, RestorePointContent)
        wanted = msgspec.structs.replace(there.status, state=state, reason=reason)
        if there.status == wanted:
            return
        try:
            raw = await client.replace(
                RESTORE_POINT_CONTENTS, {**raw, "status": encode(wanted)}, subresource="status"
            )
        except Conflict:
            continue
        changed = decode(raw, RestorePointContent)
        if changed.status.restorePointRef is not None:
            await _copy_status(client, changed.status.restorePointRef, changed)
        return
    raise Conflict("the content is changed by somebody else", subject=f"RestorePointContent {name}")


async def complete(
    client: KubeClient, content: RestorePointContent, status: RestorePointContentStatus
) -> RestorePointContent:
    """Give a content its handle and write its status whole: from here on it is a point.

    The handle is left out where the application's namespace is gone, or is
    another one by now (a re-created namespace does not inherit points).
    """
    name = content.metadata.name
    bound = await _make_handle(client, content)
    raw = await client.get(RESTORE_POINT_CONTENTS, name)
    there = decode(raw, RestorePointContent)
    wanted = msgspec.structs.replace(status, restorePointRef=bound or there.status.restorePointRef)
    if there.status != wanted:
        raw["status"] = encode(wanted)
        raw = await client.replace(RESTORE_POINT_CONTENTS, raw, subresource="status")
        there = decode(raw, RestorePointContent)
    if bound is not None:
        await _copy_status(client, bound, there)
    return there


async def _make_handle(client: KubeClient, content: RestorePointContent) -> BoundPoint | None:
    application = content.spec.application
    namespace = await client.find(NAMESPACES, application.namespace)
    if namespace is None or namespace["metadata"].get("deletionTimestamp"):
        return None
    uid = namespace["metadata"]["uid"]
    if application.namespaceUID and uid != application.namespaceUID:
        return None
    name = content.metadata.name
    body: RawObject = {
        "apiVersion": API_VERSION,
        "kind": "RestorePoint",
        "metadata": {
            "name": name,
            "namespace": application.namespace,
            "labels": dict(content.metadata.labels),
        },
        "spec": {"restorePointContentRef": {"name": name, "uid": content.metadata.uid}},
    }
    try:
        handle = await client.create(RESTORE_POINTS, body)
    except AlreadyExists:
        handle = await client.get(RESTORE_POINTS, name, application.namespace)
        if handle["spec"]["restorePointContentRef"].get("uid") != content.metadata.uid:
            # a handle of a content that was forgotten; the point has a new content now
            await client.delete(
                RESTORE_POINTS,
                name,
                application.namespace,
                uid=handle["metadata"]["uid"],
            )
            handle = await client.create(RESTORE_POINTS, body)
    except NotFound:  # the namespace went away meanwhile
        return None
    return BoundPoint(
        name=name,
        namespace=application.namespace,
        uid=handle["metadata"]["uid"],
        namespaceUID=uid,
    )


async def _copy_status(client: KubeClient, bound: BoundPoint, content: RestorePointContent) -> None:
    status = RestorePointStatus(
        state=content.status.state,
        kind=content.spec.kind,
        actionTime=content.status.actionTime,
        logicalSizeBytes=content.status.logicalSizeBytes,
        physicalSizeBytes=content.status.physicalSizeBytes,
    )
    # a patch leaves defaults out, so say every field
    full = {field: getattr(status, field) for field in status.__struct_fields__}
    try:
        await client.patch(
            RESTORE_POINTS,
            bound.name,
            bound.namespace,
            merge={"status": full},
            subresource="status",
        )
    except NotFound:
        return
