"""A restore in place and its undo: volumes are swapped, none is overwritten.

Filled beside the running application; then keep, stop, exchange, start. Both
kinds of action work from `status.swap` alone, so that an undo is the very same
swap backwards. The old volumes are kept for a day.
"""

from __future__ import annotations

import asyncio
import datetime
from typing import TYPE_CHECKING

import msgspec

from console.engine.actions import restore
from console.engine.actions.authorising import lacking_rights, requester_of
from console.engine.actions.filling import FILL, fill_volume, origin_of
from console.engine.actions.reading import swap_facts
from console.engine.actions.run import ActionRun, StepSpec
from console.engine.actions.standstill import (
    note_swap,
    refuse_scaled_up,
    start,
    stop,
    swap_of,
    wait_running,
    wait_unmounted,
)
from console.engine.errors import ClusterError, EngineError
from console.engine.model.kinds import CLAIMS, RESTORE_ACTIONS, VOLUMES
from console.engine.model.names import ANNOTATION_RECLAIM_POLICY, NAMESPACE, WORKERS_NAMESPACE
from console.engine.model.record import Failure, RestoreAction, SwappedVolume
from console.engine.model.wire import decode
from console.engine.plan.engine_rights import swap_engine_needs
from console.engine.plan.rights import swap_needs
from console.engine.plan.undo_plan import plan_undo
from console.engine.volumes.drive import timestamp
from console.engine.volumes.handover import drop_unfinished, patch_volume, retain
from console.engine.volumes.jobs import clean_up
from console.engine.volumes.swapping import exchange, keep, kept_claim, settle

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

Run = ActionRun[RestoreAction]

KEPT = datetime.timedelta(hours=24)


async def plan(run: Run) -> str:
    """Say what will be stopped and swapped, in the record, before anything is done."""
    said = await restore.plan(run)
    made = await restore.plan_of(run)
    if not swap_of(run).volumes:
        there = {volume.pvc: volume for volume in made.swap.volumes}
        names = [volume.claim.name for volume in made.volumes]
        note_swap(
            run,
            workloads=made.swap.workloads,
            volumes=tuple(there.get(name, SwappedVolume(pvc=name)) for name in names),
        )
    return said


async def fill(run: Run) -> str:
    """The new volumes, whole, while the application runs.

    Raises:
        EngineError: `swap.fill_incomplete`: a file could not be restored; nothing was stopped.
    """
    made = await restore.plan_of(run)
    content = await restore.content_of(run)
    restore.note_waiting(run, made)
    try:
        async with asyncio.TaskGroup() as group:
            for volume in made.volumes:
                group.create_task(fill_volume(run, made, content, volume))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if run.status.failures:
        raise EngineError(
            "not every file could be restored into the new volumes",
            subject=run.label,
            hint="the application was left as it is; see what failed",
            code="swap.fill_incomplete",
        )
    origin, filled = origin_of(run, content), []
    for one in swap_of(run).volumes:
        claim = await run.drive.client.get(CLAIMS, origin.name(FILL, one.pvc), WORKERS_NAMESPACE)
        await retain(run.drive, claim["spec"]["volumeName"])
        filled.append(msgspec.structs.replace(one, new=claim["spec"]["volumeName"]))
        progress = run.volume(one.pvc)
        await run.set_volume(
            msgspec.structs.replace(progress, state="done", bytesDone=progress.bytesTotal)
        )
    note_swap(run, volumes=tuple(filled))
    return f"{len(filled)} volumes"


async def keep_old(run: Run) -> str:
    """The volumes that go are Retain and marked before the application is touched."""
    swap = swap_of(run)
    if not swap.keptUntil:
        until = timestamp(await run.drive.client.server_time() + KEPT)
        note_swap(run, keptUntil=until)
        await run.write()
    swap = swap_of(run)
    for volume in swap.volumes:
        if volume.old:
            await keep(
                run.drive,
                volume,
                namespace=run.status.targetNamespace,
                uid=run.uid,
                until=swap.keptUntil,
            )
    return f"until {swap.keptUntil}"


async def swap_volumes(run: Run) -> str:
    """Each claim gets its other volume; all of them, or the old ones come back."""
    await refuse_scaled_up(run)
    await wait_unmounted(run)
    bodies = await _bodies(run)
    try:
        async with asyncio.TaskGroup() as group:
            for volume in swap_of(run).volumes:
                group.create_task(
                    exchange(
                        run.drive,
                        bodies[volume.pvc],
                        volume.new,
                        replaces=volume,
                        uid=run.uid,
                    )
                )
    except ExceptionGroup as errors:
        if not isinstance(errors.exceptions[0], ClusterError):
            await refuse_scaled_up(run)
        raise errors.exceptions[0] from None
    note_swap(run, stands="new")
    return f"{len(bodies)} volumes"


async def clean(run: Run) -> str:
    """The new volumes get their own reclaim policy back, now that they are bound."""
    for volume in swap_of(run).volumes:
        await settle(run.drive, run.status.targetNamespace, volume.pvc, volume.new)
    await clean_up(run.drive, run.uid)
    return ""


async def discard(run: Run) -> bool:
    """After a failure or a cancel the application runs again: on the new volumes if they stand."""
    swap = swap_of(run)
    if swap.stands == "new":
        await start(run)
        await clean(run)
        return True
    if swap.stoppedAt:
        await _bring_back(run)
    await _give_up_keeping(run)
    await drop_unfinished(run.drive, run.uid)
    await clean_up(run.drive, run.uid)
    await _free_unused(run)
    return False


async def _bring_back(run: Run) -> None:
    """The old volumes, all of them, and then the workloads."""
    client, namespace = run.drive.client, run.status.targetNamespace
    for volume in swap_of(run).volumes:
        if not volume.old:
            continue
        claim = await client.find(CLAIMS, volume.pvc, namespace)
        going = claim is not None and "deletionTimestamp" in claim["metadata"]
        if claim is None or going or claim["spec"].get("volumeName") != volume.old:
            raw = await client.get(VOLUMES, volume.old)
            if going and claim is not None:
                await stop(run)
                claim_gone = msgspec.structs.replace(volume, old="")
                await _wait_gone(run, claim_gone)
            await exchange(run.drive, kept_claim(raw), volume.old, replaces=volume, uid=run.uid)
    note_swap(run, stands="old")
    await start(run)
    run.fail(
        Failure(
            code="swap.old_stands",
            message="the application runs on its old volumes again",
            object=f"namespaces/{namespace}",
            hint="nothing of its data was changed",
        )
    )


async def _wait_gone(run: Run, volume: SwappedVolume) -> None:
    claim = await run.drive.client.find(CLAIMS, volume.pvc, run.status.targetNamespace)
    if claim is None:
        return
    uid = claim["metadata"]["uid"]
    try:
        await run.drive.client.wait_for(
            CLAIMS,
            volume.pvc,
            run.status.targetNamespace,
            lambda raw: raw["metadata"]["uid"] != uid,
            timeout_s=120,
        )
    except ClusterError as error:
        if error.retryable:
            raise


async def _give_up_keeping(run: Run) -> None:
    for volume in swap_of(run).volumes:
        if not volume.old:
            continue
        claim = await run.drive.client.find(CLAIMS, volume.pvc, run.status.targetNamespace)
        if claim is not None and claim["spec"].get("volumeName") == volume.old:
            await settle(run.drive, run.status.targetNamespace, volume.pvc, volume.old)


async def _free_unused(run: Run) -> None:
    """A volume that was filled and never stood: its own policy frees it; an undo's is kept."""
    if run.action.spec.subject.kind == "RestoreAction":
        return
    for volume in swap_of(run).volumes:
        raw = await run.drive.client.find(VOLUMES, volume.new) if volume.new else None
        if raw is None or raw.get("status", {}).get("phase") != "Released":
            continue
        policy = (raw["metadata"].get("annotations") or {}).get(ANNOTATION_RECLAIM_POLICY)
        if policy:
            merge = {
                "metadata": {"annotations": {ANNOTATION_RECLAIM_POLICY: None}},
                "spec": {"persistentVolumeReclaimPolicy": policy},
            }
            await patch_volume(run.drive, raw, merge)


async def _bodies(run: Run) -> dict[str, RawObject]:
    if run.action.spec.subject.kind != "RestoreAction":
        made = await restore.plan_of(run)
        return {volume.claim.name: volume.claim.obj for volume in made.volumes}
    found = {}
    for volume in swap_of(run).volumes:
        claim = await run.drive.client.find(CLAIMS, volume.pvc, run.status.targetNamespace)
        if claim is not None and claim["spec"].get("volumeName") == volume.new:
            found[volume.pvc] = claim
        else:
            found[volume.pvc] = kept_claim(await run.drive.client.get(VOLUMES, volume.new))
    return found


async def plan_back(run: Run) -> str:
    """What an undo will stop and swap back.

    Raises:
        EngineError: What stands in the way, with every reason as a failure.
    """
    subject = run.action.spec.subject
    namespace = subject.namespace or run.action.metadata.namespace
    raw = await run.drive.client.get(RESTORE_ACTIONS, subject.name, namespace)
    undone = decode(raw, RestoreAction)
    target, home = undone.status.targetNamespace, run.action.metadata.namespace
    if home not in {NAMESPACE, target}:
        raise EngineError(
            f"it would write to {target}, but an action may only work on its own namespace",
            subject=run.label,
            hint=f"an administrator can ask for it in the namespace {NAMESPACE}",
            code="action.other_target",
        )
    facts = await swap_facts(run.drive.client, target)
    made = plan_undo(undone, facts, uid=run.uid)
    run.refuse(made.blockers)
    needs = swap_needs(made, target)
    if run.drive.desktop:
        needs += swap_engine_needs(made, target)
    run.refuse(await lacking_rights(run.drive.client, needs, user=requester_of(run), area="undo"))
    run.note(targetNamespace=target)
    note_swap(run, workloads=made.workloads, volumes=made.volumes)
    return f"{len(made.volumes)} volumes of {target}"


IN_PLACE: tuple[StepSpec[RestoreAction], ...] = (
    StepSpec("plan", plan),
    StepSpec("namespace", restore.make_namespace),
    StepSpec("fill", fill),
    StepSpec("keep", keep_old),
    StepSpec("stop", stop),
    StepSpec("swap", swap_volumes),
    StepSpec("objects", restore.create_objects),
    StepSpec("owners", restore.set_owners),
    StepSpec("start", start),
    StepSpec("workloads", wait_running),
    StepSpec("clean", clean),
)
UNDO: tuple[StepSpec[RestoreAction], ...] = (
    StepSpec("plan", plan_back),
    StepSpec("keep", keep_old),
    StepSpec("stop", stop),
    StepSpec("swap", swap_volumes),
    StepSpec("start", start),
    StepSpec("workloads", wait_running),
    StepSpec("clean", clean),
)
