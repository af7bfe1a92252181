"""BackupAction: a local restore point of one application.

The content is made first (Building), everything after carries its id; the cut
is one step, adopted or thrown away whole; Ready is written last, by one update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console import __version__
from console.engine.actions.collecting import collect, entry
from console.engine.actions.freezing import frozen
from console.engine.actions.run import ActionRun, StepSpec, failure_of
from console.engine.catalog import local
from console.engine.catalog.contents import find_content, make_content
from console.engine.catalog.rediscover import complete_local
from console.engine.errors import EngineError, Forbidden, NotFound
from console.engine.model.kinds import CLAIMS, NAMESPACES, RESTORE_POINT_CONTENTS, SECRETS
from console.engine.model.names import LABEL_POINT, LABEL_ROLE, NAMESPACE, point_id
from console.engine.model.points import Application, PointManifest, RestorePointContentSpec
from console.engine.model.record import BackupAction, NamedRef, PointRef, VolumeProgress
from console.engine.plan.select import decide
from console.engine.plan.snapshots import Origin
from console.engine.volumes.cutting import (
    adopt,
    cut_of,
    cut_volumes,
    cuttable_claims,
    discard_attempt,
)
from console.repository.object_packs import SealedPack, seal_objects

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.volumes.drive import Drive

Run = ActionRun[BackupAction]

ATTEMPTS = 3


def application_of(action: BackupAction) -> str:
    """The namespace that a BackupAction is about."""
    return action.spec.subject.namespace or action.spec.subject.name


def point_of(run: Run) -> str:
    """The id of the point that this action makes."""
    meta = run.action.metadata
    return point_id(application_of(run.action), meta.uid, meta.creationTimestamp)


def origin_of(run: Run, attempt: int = 0) -> Origin:
    """Where the names of one attempt come from."""
    return Origin(
        action_uid=run.uid,
        point=point_of(run),
        application=application_of(run.action),
        attempt=attempt or run.status.attempt,
    )


async def make_point(run: Run) -> str:
    """The content first, so that nothing is ever without an owner."""
    namespace = await run.drive.client.get(NAMESPACES, application_of(run.action))
    _refuse_terminating(namespace)
    name = application_of(run.action)
    meta = run.action.metadata
    spec = RestorePointContentSpec(
        id=point_of(run),
        kind="local",
        application=Application(
            name=name, namespace=name, namespaceUID=namespace["metadata"]["uid"]
        ),
        clusterUID=run.drive.cluster_uid,
        action=NamedRef(name=meta.name, namespace=meta.namespace),
        actionUID=meta.uid,
    )
    await make_content(run.drive.client, spec.id, spec, _point_labels(run))
    run.note(restorePointContent=PointRef(name=spec.id))
    return spec.id


async def cut(run: Run) -> str:
    """Snapshots and objects of one moment; an interrupted attempt is thrown away whole."""
    manifest = await _finished_cut(run)
    if manifest is None:
        await _discard_attempts(run)
        manifest = await _cut_anew(run)
    spread = manifest.cut.spreadSeconds
    return f"{len(manifest.volumes)} volumes within {spread:.1f} s, {manifest.objectCount} objects"


async def adopt_volumes(run: Run) -> str:
    """Move every snapshot into our namespace, where it survives the application's."""
    manifest = await _manifest(run)
    for volume in manifest.volumes:
        await adopt(run.drive, volume, origin=origin_of(run))
    return f"{len(manifest.volumes)} snapshots"


async def finish_point(run: Run) -> str:
    """Ready is the last word."""
    client = run.drive.client
    manifest = await _manifest(run)
    content = await find_content(client, manifest.id)
    if content is None:
        raise EngineError(
            "the restore point was deleted while it was made",
            subject=f"RestorePointContent {manifest.id}",
            code="point.missing",
        )
    await local.mark_manifest_ready(client, manifest)
    content = await complete_local(client, content, manifest)
    bound = content.status.restorePointRef
    if bound is not None:
        run.note(restorePoint=PointRef(name=bound.name, namespace=bound.namespace))
    return manifest.id


async def discard(run: Run) -> bool:
    """After a failure or a cancel: what never became a point goes, by name.

    True when it is a point already: then it stays, and the action has done its work.
    """
    client = run.drive.client
    content = await find_content(client, point_of(run))
    if content is not None and content.status.state != "Building":
        return True  # only a RetireAction frees it
    await _discard_attempts(run)
    if content is not None:
        await client.delete(RESTORE_POINT_CONTENTS, content.metadata.name, uid=content.metadata.uid)
    return False


STEPS: tuple[StepSpec[BackupAction], ...] = (
    StepSpec("point", make_point),
    StepSpec("cut", cut),
    StepSpec("adopt", adopt_volumes),
    StepSpec("ready", finish_point),
)


async def _cut_anew(run: Run) -> PointManifest:
    while True:
        # the attempt is in the record before anything of it exists
        await run.write(attempt=run.status.attempt + 1)
        try:
            return await _cut_once(run)
        except (Forbidden, NotFound):
            await _refuse_gone(run)
            raise
        except EngineError as error:
            if (
                error.code not in {"cut.late", "cut.failed", "cut.thawed"}
                or run.status.attempt >= ATTEMPTS
            ):
                raise
            await discard_attempt(run.drive, origin=origin_of(run), claims=_claims_of(run))


async def _cut_once(run: Run) -> PointManifest:
    drive, origin = run.drive, origin_of(run)
    client, application = drive.client, application_of(run.action)
    async with frozen(run, application) as freeze:
        claims = [raw for raw in await client.list(CLAIMS, application) if decide(raw).take]
        found = await cuttable_claims(drive, claims)
        run.refuse(found.blockers, code="cut.refused")
        run.set_volumes(
            VolumeProgress(pvc=claim["metadata"]["name"], state="waiting")
            for claim, _ in found.targets
        )
        await run.write()  # what will be cut is in the record before it is
        taken_at = await drive.now()
        taken = await cut_volumes(drive, found.targets, origin=origin)
        for failure in await freeze.thaw():
            run.fail(failure)
    run.set_volumes(
        VolumeProgress(
            pvc=volume.pvc,
            bytesTotal=volume.snapshot.restoreSize if volume.snapshot else 0,
            bytesDone=volume.snapshot.restoreSize if volume.snapshot else 0,
            state="done",
        )
        for volume in taken
    )
    for failure in map(failure_of, found.told):
        run.fail(failure)
    sealed = await _seal_objects_of(run, application)
    content = await find_content(client, origin.point)
    manifest = PointManifest(
        id=origin.point,
        application=content.spec.application
        if content
        else Application(name=application, namespace=application),
        clusterUID=drive.cluster_uid,
        actionUID=run.uid,
        attempt=origin.attempt,
        actionTime=taken_at,
        expiresAt=run.action.spec.expiresAt,
        createdBy=f"kubehaven {__version__}",
        cut=cut_of(taken, attempt=origin.attempt),
        volumes=(*taken, *found.without),
        objectCount=sealed.objects,
        objectBytes=sealed.size,
        packs=tuple(pack.digest for pack in sealed.packs),
        labels=_point_labels(run),
    )
    secret = await local.write_manifest(client, manifest)
    await local.write_packs(client, secret, sealed.packs)
    return manifest


class _Sealed(NamedTuple):
    packs: list[SealedPack]
    objects: int  # their number
    size: int  # bytes of their JSON


async def _seal_objects_of(run: Run, application: str) -> _Sealed:
    """Only the sealed bytes stay in memory."""
    client = run.drive.client
    collected = await collect(client, application, entry)
    # objects go one by one after this mark is set: without it, all that was there was seen
    await _refuse_gone(run)
    for failure in collected.failures:
        run.fail(failure)
    key = await local.objects_key(client)
    packs = await run.drive.in_thread(seal_objects, key, collected.kept)
    await _keep_to_budget(run.drive, packs)
    return _Sealed(packs, len(collected.kept), sum(len(data) for _, data in collected.kept))


async def _refuse_gone(run: Run) -> None:
    """A namespace that goes is no application any more: half of it would be no point."""
    namespace = await run.drive.client.find(NAMESPACES, application_of(run.action))
    content = await find_content(run.drive.client, point_of(run))
    uid = content.spec.application.namespaceUID if content else ""
    if namespace is None or (uid and namespace["metadata"]["uid"] != uid):
        raise EngineError(
            "the namespace was deleted while it was backed up",
            subject=f"Namespace {application_of(run.action)}",
            code="backup.terminating",
        )
    _refuse_terminating(namespace)


def _refuse_terminating(namespace: RawObject) -> None:
    if namespace["metadata"].get("deletionTimestamp"):
        raise EngineError(
            "the namespace is being deleted",
            subject=f"Namespace {namespace['metadata']['name']}",
            hint="restore it from a point that was made before",
            code="backup.terminating",
        )


async def _keep_to_budget(drive: Drive, packs: list[SealedPack]) -> None:
    budget = drive.settings.objectsBudgetMiB << 20
    there = await local.packed_bytes(drive.client)
    wanted = sum(len(pack.data) for pack in packs)
    if there + wanted > budget:
        raise EngineError(
            f"the objects of local points may take {budget >> 20} MiB in this cluster; "
            f"{there >> 20} MiB are taken and {max(1, wanted >> 20)} MiB more are needed",
            subject=f"Secrets in {NAMESPACE}",
            hint="retire local points that are exported, or raise objectsBudgetMiB in Settings",
            code="objects.budget",
        )


async def _finished_cut(run: Run) -> PointManifest | None:
    """What an engine before this one has cut, if it is whole."""
    if not run.status.attempt:
        return None
    client = run.drive.client
    manifest = await local.find_manifest(client, point_of(run), run.status.attempt)
    if manifest is None or not await local.packs_present(client, manifest):
        return None
    return manifest


async def _manifest(run: Run) -> PointManifest:
    manifest = await local.find_manifest(run.drive.client, point_of(run), run.status.attempt)
    if manifest is None:
        raise EngineError(
            "the manifest of the cut is missing",
            subject=f"Secret {NAMESPACE}/{local.manifest_name(point_of(run), run.status.attempt)}",
            hint="ask for a new backup",
            code="point.damaged",
        )
    return manifest


async def _discard_attempts(run: Run) -> None:
    for attempt in range(1, run.status.attempt + 1):
        await discard_attempt(run.drive, origin=origin_of(run, attempt), claims=_claims_of(run))
    await _delete_manifests(run.drive, point_of(run))


def _claims_of(run: Run) -> list[str]:
    return [volume.pvc for volume in run.status.volumes]


async def _delete_manifests(drive: Drive, point: str) -> None:
    labels = f"{LABEL_ROLE}=manifest,{LABEL_POINT}={point}"
    for secret in await drive.client.list(SECRETS, NAMESPACE, labels=labels):
        meta = secret["metadata"]
        await drive.client.delete(SECRETS, meta["name"], NAMESPACE, uid=meta["uid"])


def _point_labels(run: Run) -> dict[str, str]:
    """The labels that a policy gives its actions stand on the point too."""
    labels = run.action.metadata.labels
    return {key: value for key, value in labels.items() if key.startswith("kubehaven.io/policy")}
