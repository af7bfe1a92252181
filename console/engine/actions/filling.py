"""Fills the new volumes of a restore in `kubehaven-workers`: by a clone, or by a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.actions.copying import finished, progress_of
from console.engine.actions.repository_jobs import WIRE_VERSION, existing_target
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.model.record import Failure, RestoreAction
from console.engine.plan.jobs import WorkerRequest
from console.engine.plan.placement import placement_of
from console.engine.plan.snapshots import Origin
from console.engine.volumes.handover import (
    is_filled,
    make_work_claim,
    note_filled,
    wait_bound,
    waits_for_consumer,
)
from console.engine.volumes.jobs import WorkerCounters, WorkerResult, run_job

if TYPE_CHECKING:
    from console.engine.actions.run import ActionRun
    from console.engine.model.kinds import RawObject
    from console.engine.model.points import RestorePointContent
    from console.engine.plan.placement import Placement
    from console.engine.plan.restore_plan import PlannedVolume, RestorePlan

    Run = ActionRun[RestoreAction]

FILL = "fill"
OWNED = "owned"  # on a claim: the owners of its files are mapped


def origin_of(run: Run, content: RestorePointContent) -> Origin:
    """What the names of a restore's own objects are derived from."""
    return Origin(
        action_uid=run.uid, point=content.spec.id, application=content.spec.application.namespace
    )


async def fill_volume(
    run: Run, made: RestorePlan, content: RestorePointContent, volume: PlannedVolume
) -> None:
    """A claim of ours with the volume's data; safe to repeat. Nothing of the target is touched."""
    if content.spec.kind == "local":
        await _clone(run, made, origin_of(run, content), volume)
    else:
        await _copy(run, made, content, volume)


async def _clone(run: Run, made: RestorePlan, origin: Origin, volume: PlannedVolume) -> None:
    """A local point's volume: a clone of its snapshot, whose files may get other owners."""
    placement = placement_of(volume.claim.name, _workloads(made))
    await run.set_volume(msgspec.structs.replace(run.volume(volume.claim.name), state="running"))
    name = await make_work_claim(
        run.drive,
        volume.artifact,
        origin=origin,
        step=FILL,
        size=volume.size,
        storage_class=volume.storage_class,
    )
    if made.owner_map and volume.volume_mode != "Block":
        await _own(run, made, origin, volume, claim=name, placement=placement)
    elif await waits_for_consumer(run.drive, volume.storage_class):
        await _place(run, origin, volume, claim=name, placement=placement)
    await wait_bound(run.drive, WORKERS_NAMESPACE, name)


async def _place(
    run: Run, origin: Origin, volume: PlannedVolume, *, claim: str, placement: Placement
) -> None:
    """Such a volume is made where its first pod runs: a worker goes where the application will."""
    name = volume.claim.name
    request = WorkerRequest(
        command="place",
        origin=origin,
        step="place",
        subject=name,
        job={"version": WIRE_VERSION},
        claim=claim,
        block=volume.volume_mode == "Block",
        placement=placement,
    )
    await run_job(run.drive, request, work="restore", label=f"placing of {name}")


async def _own(
    run: Run,
    made: RestorePlan,
    origin: Origin,
    volume: PlannedVolume,
    *,
    claim: str,
    placement: Placement,
) -> None:
    """A worker maps the owners of a clone's files; it runs where the application will."""
    name = volume.claim.name
    if await is_filled(run.drive, claim, OWNED):
        return

    async def on_result(result: WorkerResult) -> None:
        _tell(run, name, result)
        await note_filled(run.drive, claim, OWNED)

    request = WorkerRequest(
        command="own",
        origin=origin,
        step="own",
        subject=name,
        job={"version": WIRE_VERSION, "ownerMap": _wire_map(made)},
        claim=claim,
        placement=placement,
    )
    label = f"new owners in {name}"
    await run_job(run.drive, request, work="restore", label=label, on_result=on_result)


def _tell(run: Run, claim: str, result: WorkerResult) -> None:
    """Note the files that a worker could not restore."""
    for item in result.failures:
        run.fail(Failure(code=item.code, message=item.message, object=f"{claim}:{item.path}"))


def _wire_map(made: RestorePlan) -> list[list[str]]:
    return [[str(old), str(new)] for old, new in made.owner_map]


async def _copy(
    run: Run, made: RestorePlan, content: RestorePointContent, volume: PlannedVolume
) -> None:
    """An exported point's volume: an empty claim that a worker fills from the repository."""
    name = volume.claim.name
    target = await existing_target(run.drive, content.spec.location, content.spec.repository)
    origin = origin_of(run, content)
    claim = await make_work_claim(
        run.drive,
        msgspec.structs.replace(volume.artifact, snapshot=None),
        origin=origin,
        step=FILL,
        size=volume.size,
        storage_class=volume.storage_class,
    )
    snapshot = volume.artifact.repositorySnapshot
    if await is_filled(run.drive, claim, snapshot):
        return
    source = {"pvc": name, "hostname": content.spec.clusterUID, "snapshot": snapshot}
    request = target.request(
        "restore",
        origin=origin,
        step="restore",
        subject=name,
        job={**source, "ownerMap": _wire_map(made)},
        claim=claim,
        placement=placement_of(name, _workloads(made)),
    )

    async def on_counters(counters: WorkerCounters) -> None:
        await run.set_volume(progress_of(run.volume(name), counters))

    async def on_result(result: WorkerResult) -> None:
        # what failed is in the record before the claim says that it need not be filled again
        _tell(run, name, result)
        await run.set_volume(finished(run.volume(name), result), force=True)
        await note_filled(run.drive, claim, snapshot)

    await run.set_volume(msgspec.structs.replace(run.volume(name), state="running"))
    await run_job(
        run.drive,
        request,
        work="restore",
        label=f"restore of {content.spec.application.name}/{name}",
        on_counters=on_counters,
        on_result=on_result,
    )


def _workloads(made: RestorePlan) -> list[RawObject]:
    return [item.obj for wave in made.waves for item in wave]
