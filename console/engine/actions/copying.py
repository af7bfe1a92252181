"""Copies one volume of a point into a repository: from a clone, a twin, or the node's own mount.

The application's volume and claim are only read; a twin goes with the export's clean-up.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from console.engine.actions.authorising import lacking_rights
from console.engine.errors import EngineError, WorkerFailed
from console.engine.model.kinds import CLAIMS, PODS, VOLUMES
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.model.record import Failure
from console.engine.model.views import Blocker
from console.engine.plan.copies import NodePath, Twin, check_copy, check_recorded
from console.engine.plan.engine_rights import copy_engine_needs
from console.engine.plan.placement import ANYWHERE, Placement
from console.engine.plan.snapshots import Origin
from console.engine.volumes.handover import let_volume_go, make_work_claim
from console.engine.volumes.jobs import run_job
from console.engine.volumes.twins import make_twin

if TYPE_CHECKING:
    from console.engine.actions.repository_jobs import JobTarget
    from console.engine.actions.run import ActionRun
    from console.engine.model.points import RestorePointContent, VolumeArtifact
    from console.engine.model.record import ExportAction, VolumeProgress
    from console.engine.volumes.drive import Drive
    from console.engine.volumes.jobs import WorkerCounters, WorkerResult

    Run = ActionRun[ExportAction]

TRIES = 5  # a pod whose volume is read where it is mounted may move on


class Source(NamedTuple):
    """What one worker reads."""

    claim: str = ""  # in kubehaven-workers
    node: NodePath | None = None
    copy: str = ""  # names the moment of a copy without a snapshot; empty: the point's own

    @property
    def subject(self) -> str:
        """What the worker's Job is named after, where it is not the claim alone."""
        return self.copy if self.node else ""

    @property
    def placement(self) -> Placement:
        """Where the worker has to run."""
        return self.node.placement if self.node else ANYWHERE


def origin_of(run: Run, content: RestorePointContent) -> Origin:
    """Where the names of what an export makes come from."""
    return Origin(
        action_uid=run.uid, point=content.spec.id, application=content.spec.application.namespace
    )


async def check_sources(run: Run, content: RestorePointContent) -> None:
    """Nothing is begun that can't be copied whole."""
    bare = [volume for volume in content.status.volumes if volume.snapshot is None]
    if bare and run.drive.desktop:
        needs = copy_engine_needs(content.spec.application.namespace)
        run.refuse(await lacking_rights(run.drive.client, needs, user=None, area="export"))
    found = [await check_source(run.drive, content, volume) for volume in bare]
    run.refuse([one for one in found if isinstance(one, Blocker)])


async def copy_volume(
    run: Run, target: JobTarget, content: RestorePointContent, volume: VolumeArtifact
) -> None:
    """Copy one volume of a local point into the repository."""
    if volume.snapshot is None and not run.volume(volume.pvc).copiedAt:
        # in the record before anything is made: whoever cleans up looks for twins
        await _note_copied_at(run, volume)
    for _ in range(TRIES):
        source = await open_source(run.drive, content, volume, origin=origin_of(run, content))
        result = await _read(run, target, content, volume, source)
        if result is not None:
            break
        await _note_copied_at(run, volume)
    else:
        raise EngineError(
            f"its pod moved {TRIES} times while the volume was copied",
            subject=f"PersistentVolumeClaim {volume.pvc}",
            hint="wait until the application is stable, and export again",
            code="copy.pod_moved",
        )
    note_failures(run, volume.pvc, result)
    await run.set_volume(finished(run.volume(volume.pvc), result), force=True)
    await close_source(run.drive, source)  # it has served; a snapshot and the point stay


async def _note_copied_at(run: Run, volume: VolumeArtifact) -> None:
    now = await run.drive.now()
    there = run.volume(volume.pvc)
    await run.set_volume(msgspec.structs.replace(there, copiedAt=now), force=True)


async def _read(
    run: Run,
    target: JobTarget,
    content: RestorePointContent,
    volume: VolumeArtifact,
    source: Source,
) -> WorkerResult | None:
    """What the worker said; None when what it read does not count: its pod moved meanwhile."""
    marked = {"copy": source.copy} if source.copy else {}
    request = target.request(
        "backup",
        origin=origin_of(run, content),
        step="backup",
        subject=source.subject or volume.pvc,
        job={"pvc": volume.pvc, "hostname": content.spec.clusterUID, **marked},
        claim=source.claim,
        placement=source.placement,
    )
    if source.node:
        request = replace(request, node_path=source.node.path)

    async def on_counters(counters: WorkerCounters) -> None:
        await run.set_volume(progress_of(run.volume(volume.pvc), counters))

    label = f"export of {content.spec.application.name}/{volume.pvc}"
    await run.set_volume(msgspec.structs.replace(run.volume(volume.pvc), state="running"))
    there = partial(still_there, run.drive, source, content.spec.application.namespace)
    try:
        result = await run_job(
            run.drive, request, work="export", label=label, on_counters=on_counters
        )
    except WorkerFailed:
        if await there():
            raise
        return None
    return result if await there() else None


async def check_source(
    drive: Drive, content: RestorePointContent, volume: VolumeArtifact
) -> Twin | NodePath | Blocker:
    """How a volume without a snapshot can be copied now, or why not; writes nothing."""
    application = content.spec.application.namespace
    claim = await drive.client.find(CLAIMS, volume.pvc, application)
    refused = check_recorded(
        volume, claim, taken_at=content.status.actionTime, now=await drive.now()
    )
    if refused is not None or claim is None:
        return refused or _unbound(volume)
    name = claim["spec"].get("volumeName", "")
    original = await drive.client.find(VOLUMES, name) if name else None
    if original is None or claim.get("status", {}).get("phase") != "Bound":
        return _unbound(volume)
    pods = await drive.client.list(PODS, application)
    return check_copy(claim, original, pods, node_path=drive.settings.nodePath)


async def open_source(
    drive: Drive, content: RestorePointContent, volume: VolumeArtifact, *, origin: Origin
) -> Source:
    """Make what a worker reads the volume from; safe to repeat.

    Raises:
        EngineError: It can't be read now; the code says why.
    """
    if volume.snapshot is not None:
        claim = await make_work_claim(drive, volume, origin=origin, step="clone")
        return Source(claim=claim)
    how = await check_source(drive, content, volume)
    if isinstance(how, Blocker):
        raise EngineError(how.message, subject=how.object, hint=how.hint, code=how.code)
    if isinstance(how, NodePath):
        return Source(node=how, copy=origin.name("copy", f"{volume.pvc} of {how.pod_uid}"))
    claim = await make_twin(drive, volume, how, origin=origin)
    return Source(claim=claim, copy=origin.name("copy", volume.pvc))


async def still_there(drive: Drive, source: Source, application: str) -> bool:
    """Whether the source was what it had to be all the time that a worker read it.

    A kubelet's folder of a pod that has ended may be empty: what was read there does not count.
    """
    if source.node is None:
        return True
    pod = await drive.client.find(PODS, source.node.pod, application)
    return (
        pod is not None
        and pod["metadata"]["uid"] == source.node.pod_uid
        and pod.get("status", {}).get("phase") == "Running"
    )


async def close_source(drive: Drive, source: Source) -> None:
    """Take a clone away; the snapshot that it stood for stays. Twins go at the export's end."""
    if not source.claim or source.copy:
        return
    made = await drive.client.find(CLAIMS, source.claim, WORKERS_NAMESPACE)
    if made is not None:
        await let_volume_go(drive, made)
        uid = made["metadata"]["uid"]
        await drive.client.delete(CLAIMS, source.claim, WORKERS_NAMESPACE, uid=uid)


def progress_of(volume: VolumeProgress, counters: WorkerCounters) -> VolumeProgress:
    """A volume's progress with what the worker said last; never going back."""
    return msgspec.structs.replace(
        volume,
        state="running",
        bytesTotal=counters.bytes_total or volume.bytesTotal,
        bytesDone=max(volume.bytesDone, counters.bytes_done),
        bytesStored=max(volume.bytesStored, counters.bytes_stored),
        filesTotal=counters.files_total,
        filesDone=counters.files_done,
    )


def finished(volume: VolumeProgress, result: WorkerResult) -> VolumeProgress:
    """A volume's progress at its end."""
    return msgspec.structs.replace(
        volume,
        state="done",
        bytesTotal=result.bytes_done,
        bytesDone=result.bytes_done,
        bytesStored=result.bytes_stored,
        filesTotal=result.files_done,
        filesDone=result.files_done,
        snapshot=result.snapshot,
    )


def note_failures(run: Run, pvc: str, result: WorkerResult) -> None:
    """Files that a worker could not carry are failures of the action: its outcome is Partial."""
    for failed in result.failures:
        run.fail(Failure(code=failed.code, message=failed.message, object=f"{pvc}:{failed.path}"))
    rest = result.failures_total - len(result.failures)
    if rest > 0:
        run.fail(Failure(code="worker.more", message=f"and {rest} more files", object=pvc))


def _unbound(volume: VolumeArtifact) -> Blocker:
    return Blocker(
        code="copy.unbound",
        message="the claim has no volume now",
        object=f"PersistentVolumeClaim {volume.pvc}",
        hint="see the claim's events; then make a new backup",
    )
