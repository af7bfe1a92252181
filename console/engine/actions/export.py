"""ExportAction: a copy of a local point in a location, by worker Jobs.

One snapshot in the repository per volume, then the objects, last: an exported
point exists when, and only when, its `objects` snapshot does.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import msgspec

from console.engine.actions.copying import check_sources, copy_volume, origin_of
from console.engine.actions.repository_jobs import JobTarget, created_target
from console.engine.actions.run import ActionRun, StepSpec
from console.engine.catalog import local
from console.engine.catalog.contents import (
    complete,
    exported_status,
    find_content,
    get_content,
    make_content,
)
from console.engine.errors import EngineError, WorkerFailed
from console.engine.model.kinds import (
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    SECRETS,
)
from console.engine.model.names import (
    LABEL_ACTION_UID,
    LABEL_APP_NAMESPACE,
    LABEL_EXPORT_PROFILE,
    NAMESPACE,
    exported_content_name,
)
from console.engine.model.points import (
    PointManifest,
    RestorePointContent,
    RestorePointContentSpec,
    RestorePointContentStatus,
)
from console.engine.model.record import ExportAction, NamedRef, PointRef, VolumeProgress
from console.engine.model.wire import decode, encode
from console.engine.plan.claims import check_export
from console.engine.plan.jobs import PackSource, pack_copy
from console.engine.volumes.cutting import ensure
from console.engine.volumes.jobs import clean_up, run_job
from console.engine.volumes.twins import drop_twins
from console.repository import Damage
from console.repository.location_keys import repository_path

if TYPE_CHECKING:
    from console.engine.plan.jobs import WorkerRequest

Run = ActionRun[ExportAction]

MAX_REASON = 1024  # characters, as in resources/crds


async def make_repository(run: Run) -> str:
    """The repository, a step of its own: workers never create one."""
    content = await _content(run)
    for volume in content.status.volumes:
        blocker = check_export(volume)
        if blocker is not None:
            raise EngineError(
                blocker.message, subject=blocker.object, hint=blocker.hint, code=blocker.code
            )
    await check_sources(run, content)
    target = await _target(run, content)
    return f"{target.location.url}/{target.path}"


async def copy_volumes(run: Run) -> str:
    """One clone and one worker Job per volume; several at once, as slots allow."""
    content = await _content(run)
    target = await _target(run, content)
    run.set_volumes(
        run.volume(volume.pvc)
        if run.volume(volume.pvc).snapshot
        else VolumeProgress(
            pvc=volume.pvc,
            bytesTotal=volume.snapshot.restoreSize if volume.snapshot else 0,
            state="waiting",
            copiedAt=run.volume(volume.pvc).copiedAt,
        )
        for volume in content.status.volumes
    )
    try:
        async with asyncio.TaskGroup() as group:
            for volume in content.status.volumes:
                if not run.volume(volume.pvc).snapshot:
                    group.create_task(copy_volume(run, target, content, volume))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    stored = sum(v.bytesStored for v in run.status.volumes)
    return f"{len(content.status.volumes)} volumes, {stored} bytes stored"


async def write_objects(run: Run) -> str:
    """The objects, last: with them the point exists in the repository."""
    await _objects_snapshot(run)
    return f"{(await _content(run)).status.objectCount} objects"


async def publish(run: Run) -> str:
    """The point gets its content; an application's first export is read back whole before that."""
    content = await _content(run)
    target = await _target(run, content)
    snapshot = await _objects_snapshot(run)
    name = exported_content_name(content.spec.id, target.location.name)
    spec = RestorePointContentSpec(
        id=content.spec.id,
        kind="exported",
        application=content.spec.application,
        clusterUID=content.spec.clusterUID,
        action=NamedRef(name=run.action.metadata.name, namespace=run.action.metadata.namespace),
        actionUID=run.uid,
        location=target.location.name,
        repository=target.path,
    )
    status = exported_status(_exported_manifest(run, content), snapshot)
    made = await make_content(run.drive.client, name, spec, {})
    if made.status.state != "Ready" and await _is_read_back(run, spec):
        status = await _read_back(run, target, made, status)
    elif made.status.state == "Ready":
        status = msgspec.structs.replace(status, verifiedAt=made.status.verifiedAt)
    made = await complete(run.drive.client, made, status)
    bound = made.status.restorePointRef
    run.note(
        restorePointContent=PointRef(name=name),
        restorePoint=PointRef(name=bound.name, namespace=bound.namespace) if bound else None,
    )
    return "read back whole" if status.verifiedAt else "not read back: it is not the first one"


async def _is_read_back(run: Run, spec: RestorePointContentSpec) -> bool:
    """Whether this export is the first into its repository, or the settings say always."""
    if run.drive.settings.readBackExports == "always":
        return True
    labels = f"{LABEL_APP_NAMESPACE}={spec.application.namespace}"
    others = [
        decode(raw, RestorePointContent)
        for raw in await run.drive.client.list(RESTORE_POINT_CONTENTS, labels=labels)
    ]
    return not any(
        other.spec.id != spec.id
        and (other.spec.location, other.spec.repository) == (spec.location, spec.repository)
        and other.status.state == "Ready"
        for other in others
    )


async def _read_back(
    run: Run, target: JobTarget, made: RestorePointContent, status: RestorePointContentStatus
) -> RestorePointContentStatus:
    """Have a worker read every byte of the repository; a point that is not whole is Damaged."""
    content = await _content(run)
    request = target.request(
        "verify",
        origin=origin_of(run, content),
        step="verify",
        subject="repository",
        job={"readData": True},
    )
    label = f"reading back of the export of {content.spec.application.name}"
    try:
        await run_job(run.drive, request, work="export", label=label)
    except WorkerFailed as error:
        if error.code.startswith(Damage.code):
            damage = f"damaged when it was read back: {error.message}"[:MAX_REASON]
            now = await run.drive.now()
            damaged = msgspec.structs.replace(
                status, state="Damaged", reason=damage, verifiedAt=now
            )
            await complete(run.drive.client, made, damaged)
        raise
    return msgspec.structs.replace(status, verifiedAt=await run.drive.now())


async def _objects_snapshot(run: Run) -> str:
    """The id of the point's objects in the repository; a worker that ran before finds them."""
    if "objects" not in run.memo:
        content = await _content(run)
        target = await _target(run, content)
        manifest = _exported_manifest(run, content)
        request = await _objects_request(run, target, content, manifest)
        label = f"export of the objects of {content.spec.application.name}"
        run.memo["objects"] = (await run_job(run.drive, request, work="job", label=label)).snapshot
    return str(run.memo["objects"])


async def clean(run: Run) -> str:
    """Nothing of this action stays in the workers' namespace."""
    await _clean_up(run)
    return ""


async def discard(run: Run) -> bool:
    """After a failure or a cancel: what is stored stays and makes the next export cheap.

    True when the copy is a point already.
    """
    await _clean_up(run)
    client, named = run.drive.client, run.status.restorePointContent
    labels = f"{LABEL_ACTION_UID}={run.uid},{LABEL_EXPORT_PROFILE}"
    for raw in await client.list(RESTORE_POINT_CONTENTS, labels=labels):
        if decode(raw, RestorePointContent).status.state == "Building":  # not read back yet
            meta = raw["metadata"]
            await client.delete(RESTORE_POINT_CONTENTS, meta["name"], uid=meta["uid"])
    there = await find_content(client, named.name) if named is not None else None
    return there is not None and there.status.state != "Damaged"


async def _clean_up(run: Run) -> None:
    await clean_up(run.drive, run.uid)
    if any(volume.copiedAt for volume in run.status.volumes):
        await drop_twins(run.drive, run.uid)


STEPS: tuple[StepSpec[ExportAction], ...] = (
    StepSpec("repository", make_repository),
    StepSpec("volumes", copy_volumes),
    StepSpec("objects", write_objects),
    StepSpec("verify", publish),
    StepSpec("clean", clean),
)


async def subject_content(run: ActionRun[ExportAction]) -> str:
    """The name of the content that the action's subject stands for."""
    subject = run.action.spec.subject
    if subject.kind == "RestorePointContent":
        return subject.name
    namespace = subject.namespace or run.action.metadata.namespace
    point = await run.drive.client.get(RESTORE_POINTS, subject.name, namespace)
    return str(point["spec"]["restorePointContentRef"]["name"])


async def _content(run: Run) -> RestorePointContent:
    content = await get_content(run.drive.client, await subject_content(run))
    if content.status.state != "Ready" or content.spec.kind != "local":
        raise EngineError(
            f"the point is {content.spec.kind} and {content.status.state}; "
            "only a local, Ready point can be exported",
            subject=f"RestorePointContent {content.metadata.name}",
            code="export.not_local",
        )
    return content


async def _target(run: Run, content: RestorePointContent) -> JobTarget:
    if "target" not in run.memo:
        application = content.spec.application
        run.memo["target"] = await created_target(
            run.drive,
            run.action.spec.profile.name,
            repository_path(content.spec.clusterUID, application.namespace),
            origin=origin_of(run, content),
            namespace_uid=application.namespaceUID,
        )
    target: JobTarget = run.memo["target"]
    return target


def _exported_manifest(run: Run, content: RestorePointContent) -> PointManifest:
    volumes = []
    for volume in content.status.volumes:
        progress = run.volume(volume.pvc)
        volumes.append(
            msgspec.structs.replace(
                volume,
                snapshot=None,
                repositorySnapshot=progress.snapshot,
                logicalSize=progress.bytesDone,
                physicalSize=progress.bytesStored,
                copiedAt=progress.copiedAt,
            )
        )
    status = content.status
    return PointManifest(
        id=content.spec.id,
        application=content.spec.application,
        clusterUID=content.spec.clusterUID,
        actionUID=content.spec.actionUID,
        attempt=status.cut.attempt,
        actionTime=status.actionTime,
        scheduledTime=status.scheduledTime,
        expiresAt=run.action.spec.expiresAt,
        cut=status.cut,
        volumes=tuple(volumes),
        objectCount=status.objectCount,
        labels=dict(content.metadata.labels),
    )


async def _objects_request(
    run: Run, target: JobTarget, content: RestorePointContent, manifest: PointManifest
) -> WorkerRequest:
    client = run.drive.client
    local_manifest = await local.find_manifest(client, content.spec.id, content.status.cut.attempt)
    if local_manifest is None:
        raise EngineError(
            "the manifest of the local point is missing",
            subject=f"RestorePointContent {content.metadata.name}",
            code="point.damaged",
        )
    origin = origin_of(run, content)
    bare = target.request(
        "objects",
        origin=origin,
        step="objects",
        subject="objects",
        job={"hostname": content.spec.clusterUID, "manifest": encode(manifest)},
        secrets={"objects-key": await local.objects_key(client)},
    )
    packs = []
    for number, digest in enumerate(local_manifest.packs):
        pack = await client.get(SECRETS, local.pack_name(digest), NAMESPACE)
        copy = await ensure(run.drive, SECRETS, pack_copy(pack, bare))
        packs.append(
            PackSource(
                secret=copy["metadata"]["name"], key=local.PACK_FIELD, file=f"{number:06d}.pack"
            )
        )
    return dataclasses.replace(bare, packs=tuple(packs))
