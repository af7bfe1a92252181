"""RetireAction: the data of restore points is freed, on purpose, by id; nothing else frees any.

What makes a point exist goes first (the manifest of a local one, the `objects`
snapshot of an exported one), then its volumes' snapshots, its content last. So
an engine that dies anywhere leaves no half point that looks whole, and the next
one goes on from the ids in the spec.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from console.engine.actions.authorising import lacking_rights, requester_of
from console.engine.actions.repository_jobs import existing_target
from console.engine.actions.retiring import make_retire_plan, terminating
from console.engine.actions.run import ActionRun, StepSpec
from console.engine.aiokit import side_by_side
from console.engine.catalog.contents import find_content, set_state
from console.engine.errors import Conflict, EngineError, WorkerFailed
from console.engine.facade import RetireRequest
from console.engine.model.kinds import RESTORE_POINT_CONTENTS, RESTORE_POINTS, SECRETS
from console.engine.model.names import LABEL_POINT, LABEL_ROLE, NAMESPACE
from console.engine.model.record import (
    FreedData,
    RetireAction,
    RetireActionStatus,
)
from console.engine.plan.engine_rights import retire_engine_needs
from console.engine.plan.rights import retire_needs
from console.engine.plan.snapshots import Origin
from console.engine.volumes.freeing import free_snapshot
from console.engine.volumes.jobs import clean_up, run_job

if TYPE_CHECKING:
    from console.engine.model.points import RestorePointContent
    from console.engine.model.record import RetiredData, RetiredPoint

Run = ActionRun[RetireAction]

AT_ONCE = 8
LOCK_PAUSE_S, LOCK_TRIES = 20.0, 100  # the lock of one that died grows stale in 30 minutes


async def check(run: Run) -> str:
    """Ask all rules again; what is there must be exactly what the spec names."""
    spec = run.action.spec
    if not _status(run).begun:
        await _check(run)
        kinds = {point.kind for point in spec.points}
        needs = retire_needs(spec.points)
        if run.drive.desktop:
            needs += retire_engine_needs(local="local" in kinds, exported="exported" in kinds)
        lacking = await lacking_rights(
            run.drive.client, needs, user=requester_of(run), area="retire"
        )
        run.refuse(lacking, code="retire.blocked")
    return f"{len(spec.points)} points, {len(spec.data)} volumes"


async def mark(run: Run) -> str:
    """Say on each content that it is going, so that nothing begins to use it."""
    for point in run.action.spec.points:
        content = await _content(run, point)
        if content is not None and content.status.state != "Retiring":
            reason = f"{run.label} frees it"
            await set_state(run.drive.client, content, "Retiring", reason)
    if not _status(run).begun:
        await _check(run)  # what began before the marks were there is seen now
    return f"{len(run.action.spec.points)} points"


async def free(run: Run) -> str:
    """One point after the other; what was freed is in the record before the next begins."""
    for point in run.action.spec.points:
        await _refuse_terminating(run)
        if point.name not in _status(run).begun:
            run.note(begun=(*_status(run).begun, point.name))
            await run.write()  # also the fence: an engine that was replaced stops here
        if point.kind == "local":
            await _free_local(run, point)
        else:
            await _free_exported(run, point)
    return _summary(_status(run).freed)


async def forget(run: Run) -> str:
    """The contents and their handles, which stand for nothing any more."""
    client = run.drive.client
    for point in run.action.spec.points:
        content = await find_content(client, point.name)
        if content is None:
            continue
        bound = content.status.restorePointRef
        if bound is not None:
            with contextlib.suppress(Conflict):  # a handle made anew is another point's
                await client.delete(RESTORE_POINTS, bound.name, bound.namespace, uid=bound.uid)
        uid = content.metadata.uid
        await client.delete(RESTORE_POINT_CONTENTS, content.metadata.name, uid=uid)
    return f"{len(run.action.spec.points)} points"


async def clean(run: Run) -> str:
    """Nothing of this action stays in the workers' namespace."""
    await clean_up(run.drive, run.uid)
    return ""


async def discard(run: Run) -> bool:
    """After a failure or a cancel: untouched points are points again, begun ones are Damaged.

    True when every point is gone already.
    """
    await clean_up(run.drive, run.uid)
    left = 0
    for point in run.action.spec.points:
        content = await find_content(run.drive.client, point.name)
        if content is None:
            continue
        left += 1
        if content.status.state != "Retiring":
            continue
        if point.name in _status(run).begun:
            reason = f"{run.label} has begun to free it and did not end; retire it again"
            await set_state(run.drive.client, content, "Damaged", reason)
        else:
            reason = "look into its location to see why" if point.state == "Damaged" else ""
            await set_state(run.drive.client, content, point.state, reason)
    return not left and bool(_status(run).begun)


STEPS: tuple[StepSpec[RetireAction], ...] = (
    StepSpec("check", check),
    StepSpec("mark", mark),
    StepSpec("free", free),
    StepSpec("forget", forget),
    StepSpec("clean", clean),
)


async def _check(run: Run) -> None:
    spec = run.action.spec
    request = RetireRequest(
        points=tuple(point.name for point in spec.points),
        allow_many=spec.allowMany,
        allow_last=spec.allowLast,
    )
    plan = await make_retire_plan(
        run.drive.client,
        request.points,
        request,
        cluster_uid=run.drive.cluster_uid,
        action_uid=run.uid,
        damaged=tuple(point.name for point in spec.points if point.state == "Damaged"),
    )
    run.refuse(plan.blockers, code="retire.blocked")
    there = [msgspec.structs.replace(point, state="Ready") for point in plan.points]
    named = [msgspec.structs.replace(point, state="Ready") for point in spec.points]
    if there != named or plan.data != spec.data:
        raise EngineError(
            "the points are no longer what the action names",
            subject=run.label,
            hint="look at the preview again, and ask for it anew",
            code="plan.stale",
        )


def _status(run: Run) -> RetireActionStatus:
    status = run.status
    if not isinstance(status, RetireActionStatus):
        raise TypeError(f"a RetireAction has no {type(status).__name__}")
    return status


async def _content(run: Run, point: RetiredPoint) -> RestorePointContent | None:
    content = await find_content(run.drive.client, point.name)
    if content is not None and content.metadata.uid != point.uid:
        if point.name in _status(run).begun:
            return content  # forgotten and found again meanwhile: it stands for the same data
        raise EngineError(
            "the content is another one than the action names",
            subject=f"RestorePointContent {point.name}",
            hint="look at the preview again, and ask for it anew",
            code="plan.stale",
        )
    return content


async def _refuse_terminating(run: Run) -> None:
    for name in await terminating(run.drive.client):
        raise EngineError(
            "it is being deleted; nothing is retired meanwhile",
            subject=name,
            hint="prepare the cluster again, look at the points, and ask for it anew",
            code="retire.terminating",
        )


def _origin(run: Run, point: RetiredPoint) -> Origin:
    subject = run.action.spec.subject
    return Origin(action_uid=run.uid, point=point.id, application=subject.namespace or subject.name)


def _data(run: Run, point: RetiredPoint) -> list[RetiredData]:
    return [one for one in run.action.spec.data if one.point == point.name]


async def _note(run: Run, *freed: FreedData) -> None:
    """Write down what was freed; the same is said once."""
    before = _status(run).freed
    new = [one for one in freed if not _is_told(one, before)]
    if new:
        run.note(freed=(*before, *new))  # before anything is awaited: several note at once
        await run.write()


def _is_told(one: FreedData, before: tuple[FreedData, ...]) -> bool:
    return any((f.point, f.kind, f.id) == (one.point, one.kind, one.id) for f in before)


async def _free_local(run: Run, point: RetiredPoint) -> None:
    client = run.drive.client
    labels = f"{LABEL_ROLE}=manifest,{LABEL_POINT}={point.id}"
    for secret in await client.list(SECRETS, NAMESPACE, labels=labels):
        # the packs go with their last manifest: the garbage collector counts
        meta = secret["metadata"]
        await client.delete(SECRETS, meta["name"], NAMESPACE, uid=meta["uid"])
    await _note(run, FreedData(point=point.name, kind="Manifest", id=point.id))
    calls = (partial(_free_one, run, point, data) for data in _data(run, point))
    await side_by_side(calls, at_once=AT_ONCE)


async def _free_one(run: Run, point: RetiredPoint, data: RetiredData) -> None:
    freed = FreedData(point=point.name, kind="VolumeSnapshot", id=data.id, pvc=data.pvc)
    if _is_told(freed, _status(run).freed):
        return
    how = await free_snapshot(run.drive, data, origin=_origin(run, point))
    await _note(run, msgspec.structs.replace(freed, bytes=how))


async def _free_exported(run: Run, point: RetiredPoint) -> None:
    data = _data(run, point)
    freed = [
        FreedData(point=point.name, kind="RepositorySnapshot", id=id_, pvc=pvc, bytes="prune")
        for id_, pvc in ((point.objectsSnapshot, ""), *((one.id, one.pvc) for one in data))
        if id_
    ]
    if all(_is_told(one, _status(run).freed) for one in freed):
        return
    target = await existing_target(run.drive, point.location, point.repository)
    request = target.request(
        "retire",
        origin=_origin(run, point),
        step="retire",
        subject=point.name,
        job={
            "owner": run.drive.cluster_uid,
            "objectsSnapshot": point.objectsSnapshot,
            "volumeSnapshots": [one.id for one in data],
        },
    )
    label = f"retirement of {point.name}"
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            await run_job(run.drive, request, work="job", label=label)
        except WorkerFailed as error:
            if error.code != "repository.locked" or not tries_left:
                raise
            await clean_up(run.drive, run.uid)
            await asyncio.sleep(LOCK_PAUSE_S)
        else:
            break
    await _note(run, *freed)


def _summary(freed: tuple[FreedData, ...]) -> str:
    words = {"now": "freed", "prune": "removed, freed by the next prune", "kept": "kept"}
    counts = {how: sum(one.bytes == how for one in freed) for how in words}
    return ", ".join(f"{count} {words[how]}" for how, count in counts.items() if count)
