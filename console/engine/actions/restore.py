"""RestoreAction: an application brought back from a point, into a new or emptied namespace.

The plan is a value, made first and shown; volumes are filled and handed over,
then the objects are created wave by wave. Nothing that is there is overwritten.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from console.engine.actions.authorising import requester_of, with_rights
from console.engine.actions.filling import FILL, fill_volume, origin_of
from console.engine.actions.owning import give_owners
from console.engine.actions.reading import make_plan
from console.engine.actions.run import ActionRun, StepSpec
from console.engine.aiokit import side_by_side
from console.engine.catalog.contents import get_content
from console.engine.errors import (
    AlreadyExists,
    ClusterError,
    EngineError,
    Forbidden,
    Invalid,
    NotFound,
)
from console.engine.facade import RestoreRequest
from console.engine.model.kinds import NAMESPACES, RESTORE_POINTS
from console.engine.model.names import ANNOTATION_RESTORED_BY
from console.engine.model.record import Failure, RestoreAction, VolumeProgress
from console.engine.plan.rules.network import without_node_ports
from console.engine.volumes.handover import (
    drop_unfinished,
    finish_hand_over,
    hand_over,
    is_given,
    take_back_unbound,
)
from console.engine.volumes.jobs import clean_up

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.model.points import RestorePointContent
    from console.engine.plan.restore_plan import PlannedItem, PlannedVolume, RestorePlan

Run = ActionRun[RestoreAction]

AT_ONCE = 8
READY_S = 600.0  # images have to be pulled, and a busy node is slow


async def plan(run: Run) -> str:
    """Say exactly what will be done; stop here if anything is in the way."""
    made = await with_rights(
        run.drive.client,
        await plan_of(run),
        user=requester_of(run),
        engine=run.drive.desktop,
        home=run.action.metadata.namespace,
    )
    run.refuse(made.blockers, code="restore.blocked")
    run.note(
        planHash=made.hash,
        targetNamespace=made.target,
        objectsTotal=sum(len(wave) for wave in made.waves) + len(made.volumes),
    )
    return f"{run.status.objectsTotal} objects, {len(made.volumes)} volumes into {made.target}"


async def make_namespace(run: Run) -> str:
    """The target namespace, unless it is there and stays as it is."""
    made = await plan_of(run)
    if made.namespace.verb == "keep":
        return "it is there"
    try:
        await run.drive.client.create(NAMESPACES, made.namespace.obj)
    except AlreadyExists:
        there = await run.drive.client.get(NAMESPACES, made.target)
        annotations = there["metadata"].get("annotations") or {}
        if annotations.get(ANNOTATION_RESTORED_BY) != run.uid:
            raise EngineError(
                "somebody made this namespace while the restore began",
                subject=f"Namespace {made.target}",
                hint="look at it, and ask for the restore again",
                code="restore.exists",
            ) from None
    return made.target


async def fill_volumes(run: Run) -> str:
    """Each volume is filled beside the application and then handed over; several at once."""
    made = await plan_of(run)
    note_waiting(run, made)
    brings = [partial(_bring_volume, run, made, volume) for volume in made.volumes]
    await side_by_side(brings, at_once=max(1, len(brings)))
    return f"{len(made.volumes)} volumes"


def note_waiting(run: Run, made: RestorePlan) -> None:
    """Show every volume of the plan, those that are done as they are."""
    run.set_volumes(
        run.volume(volume.claim.name)
        if run.volume(volume.claim.name).state == "done"
        else VolumeProgress(
            pvc=volume.claim.name,
            bytesTotal=volume.artifact.logicalSize or volume.size,
            state="waiting",
        )
        for volume in made.volumes
    )


async def create_objects(run: Run) -> str:
    """The objects, wave by wave; what is refused is told and does not stop the rest."""
    made = await plan_of(run)
    for wave in made.waves:
        wanted = [partial(_create, run, item) for item in wave if item.verb != "keep"]
        await side_by_side(wanted, at_once=AT_ONCE)
    return f"{run.status.objectsDone} objects"


async def set_owners(run: Run) -> str:
    """What owned another object owns it again."""
    return await give_owners(run, await plan_of(run))


async def wait_ready(run: Run) -> str:
    """Wait a while until the workloads run; those that do not are told."""
    made = await plan_of(run)
    items = [
        item
        for wave in made.waves
        for item in wave
        if item.kind.kind in {"Deployment", "StatefulSet"} and item.kind.group == "apps"
    ]
    waits = [partial(_wait_workload, run, made.target, item) for item in items]
    await side_by_side(waits, at_once=max(1, len(waits)))
    return f"{len(items)} workloads"


async def clean(run: Run) -> str:
    """Nothing of this action stays in the workers' namespace."""
    await clean_up(run.drive, run.uid)
    return ""


async def discard(run: Run) -> bool:
    """After a failure or a cancel: our own claims go; what the target has stays there.

    A claim of the target that was made and not yet given its volume has nothing: it goes too.
    """
    await drop_unfinished(run.drive, run.uid)
    await clean_up(run.drive, run.uid)
    if run.status.targetNamespace:
        await take_back_unbound(run.drive, run.status.targetNamespace, run.uid)
    return False


STEPS: tuple[StepSpec[RestoreAction], ...] = (
    StepSpec("plan", plan),
    StepSpec("namespace", make_namespace),
    StepSpec("volumes", fill_volumes),
    StepSpec("objects", create_objects),
    StepSpec("owners", set_owners),
    StepSpec("workloads", wait_ready),
    StepSpec("clean", clean),
)


def request_of(action: RestoreAction, content: RestorePointContent) -> RestoreRequest:
    """What a RestoreAction asks for."""
    subject = action.spec.subject
    target = action.spec.targetNamespace
    if not target and subject.kind != "RestorePointContent":
        target = subject.namespace or action.metadata.namespace
    return RestoreRequest(
        point=content.metadata.name,
        target=target or content.spec.application.namespace,
        storage_class_map=dict(action.spec.storageClassMap),
        in_place=action.spec.inPlace,
        owner_map=dict(action.spec.ownerMap),
        claim_sizes=dict(action.spec.claimSizes),
    )


async def content_of(run: Run) -> RestorePointContent:
    """The point that is restored."""
    if "content" not in run.memo:
        subject = run.action.spec.subject
        name = subject.name
        if subject.kind != "RestorePointContent":
            namespace = subject.namespace or run.action.metadata.namespace
            point = await run.drive.client.get(RESTORE_POINTS, subject.name, namespace)
            name = point["spec"]["restorePointContentRef"]["name"]
        run.memo["content"] = await get_content(run.drive.client, name)
    content: RestorePointContent = run.memo["content"]
    return content


async def plan_of(run: Run) -> RestorePlan:
    """The plan of this action.

    Raises:
        EngineError: `plan.changed`: it is not the one that was recorded.
    """
    if "plan" not in run.memo:
        content = await content_of(run)
        run.memo["plan"] = await make_plan(
            run.drive.client,
            content,
            request_of(run.action, content),
            run.drive.in_thread,
            action_uid=run.uid,
        )
    made: RestorePlan = run.memo["plan"]
    if run.status.planHash and made.hash != run.status.planHash:
        raise EngineError(
            "the restore point or what the target serves has changed since this restore began",
            subject=run.label,
            hint="look at what is in the target, and ask for a new restore",
            code="plan.changed",
        )
    return made


async def _bring_volume(run: Run, made: RestorePlan, volume: PlannedVolume) -> None:
    content = await content_of(run)
    origin = origin_of(run, content)
    target = volume.claim.obj
    if await is_given(run.drive, target, origin=origin):
        await finish_hand_over(run.drive, target, origin=origin, step=FILL)
    else:
        await fill_volume(run, made, content, volume)
        await hand_over(run.drive, target, origin=origin, step=FILL)
    progress = run.volume(volume.claim.name)
    if progress.state != "done":
        done = msgspec.structs.replace(progress, state="done", bytesDone=progress.bytesTotal)
        await run.set_volume(done, force=True)


async def _create(run: Run, item: PlannedItem) -> None:
    where = f"{item.kind.resource}/{item.obj['metadata'].get('namespace', '')}/{item.name}"
    try:
        await run.drive.client.create(item.kind, item.obj)
    except AlreadyExists:
        failure = await _not_ours(run, item, where)
        if failure is not None:
            run.fail(failure)
            return
    except (Forbidden, Invalid, NotFound) as error:
        free = without_node_ports(item.obj) if _is_port_taken(error) else None
        if free is None or not await _created_freely(run, item, free):
            told = Failure(code=error.code, message=error.message, object=where, hint=error.hint)
            run.fail(told)
            return
        run.fail(_other_port(error, where))
    run.note(objectsDone=run.status.objectsDone + 1)


def _is_port_taken(error: ClusterError) -> bool:
    return isinstance(error, Invalid) and "provided port is already allocated" in error.message


async def _created_freely(run: Run, item: PlannedItem, free: RawObject) -> bool:
    try:
        await run.drive.client.create(item.kind, free)
    except (AlreadyExists, Forbidden, Invalid, NotFound):
        return False
    return True


def _other_port(error: ClusterError, where: str) -> Failure:
    return Failure(
        code="restore.node_port",
        message=f"a node port that was asked for is taken, so it got another: {error.message}",
        object=where,
        hint="change what uses the port, or free it and set it again",
    )


async def _not_ours(run: Run, item: PlannedItem, where: str) -> Failure | None:
    namespace = item.obj["metadata"].get("namespace", "")
    there = await run.drive.client.find(item.kind, item.name, namespace)
    annotations = (there or {}).get("metadata", {}).get("annotations") or {}
    if annotations.get(ANNOTATION_RESTORED_BY) == run.uid:
        return None
    return Failure(
        code="restore.exists",
        message="an object of this name is there and was left as it is",
        object=where,
        hint="delete it, or restore into another namespace",
    )


async def _wait_workload(run: Run, namespace: str, item: PlannedItem) -> None:
    wanted = item.obj.get("spec", {}).get("replicas", 1)
    where = f"{item.kind.resource}/{namespace}/{item.name}"
    try:
        await run.drive.client.wait_for(
            item.kind,
            item.name,
            namespace,
            lambda raw: raw.get("status", {}).get("readyReplicas", 0) >= wanted,
            timeout_s=READY_S,
        )
    except NotFound:
        return  # it was refused; that is told already
    except ClusterError:
        raise
    except EngineError:
        run.fail(
            Failure(
                code="restore.not_ready",
                message=f"the workload was not ready after {READY_S:.0f} s",
                object=where,
                hint="its data is restored; look at its pods and their events",
            )
        )
