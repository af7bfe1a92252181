"""An application stands still while its volumes are swapped, and comes back as it was.

What was running is in the action's status before the first scale-down is sent,
so that any engine can bring it back.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.errors import Conflict, EngineError
from console.engine.kube import Changed, Listed
from console.engine.model.kinds import PODS
from console.engine.model.record import Failure, RestoreAction, RestoreActionStatus, Swap
from console.engine.plan.raw import GroupKind, name_of, part
from console.engine.plan.swap_plan import SUSPENDED, kind_of, mounts

if TYPE_CHECKING:
    from console.engine.actions.run import ActionRun
    from console.engine.model.kinds import RawObject
    from console.engine.model.record import StoppedWorkload

    Run = ActionRun[RestoreAction]

UNMOUNT_S = 120.0  # on top of the pods' own grace
READY_S = 600.0  # images have to be pulled, and a busy node is slow
TRIES = 5


def swap_of(run: Run) -> Swap:
    """What stands in the record about the swap."""
    status = run.status
    found = status.swap if isinstance(status, RestoreActionStatus) else None
    return found or Swap()


def note_swap(run: Run, **changes: object) -> None:
    """Change what is recorded about the swap; written with the next write."""
    run.note(swap=msgspec.structs.replace(swap_of(run), **changes))


async def stop(run: Run) -> str:
    """Scale all down and wait until nothing mounts the claims any more.

    Raises:
        EngineError: `swap.scaled_up`, `swap.still_mounted`, `swap.workload_gone`.
    """
    swap = swap_of(run)
    if not swap.stoppedAt:
        note_swap(run, stoppedAt=await run.drive.now())
        await run.write()
        run.memo["stopped_s"] = asyncio.get_running_loop().time()
    for workload in swap.workloads:
        if not await _set(run, workload, running=False):
            raise EngineError(
                "the workload was deleted or replaced since the plan was made",
                subject=f"{workload.kind} {run.status.targetNamespace}/{workload.name}",
                hint="ask for the restore again",
                code="swap.workload_gone",
            )
    await wait_unmounted(run)
    return f"{len(swap.workloads)} workloads"


async def start(run: Run) -> str:
    """Bring everything back that was stopped; one that is gone is told."""
    swap = swap_of(run)
    if not swap.startedAt and swap.stoppedAt:
        began_s = run.memo.get("stopped_s")
        seconds = asyncio.get_running_loop().time() - began_s if began_s else 0.0
        note_swap(run, startedAt=await run.drive.now(), downtimeSeconds=round(seconds, 2))
    for workload in swap.workloads:
        if not await _set(run, workload, running=True):
            run.fail(
                Failure(
                    code="swap.workload_gone",
                    message="it was stopped for the swap and is gone now",
                    object=f"{workload.kind} {run.status.targetNamespace}/{workload.name}",
                    hint="make it again, or restore it into another namespace",
                )
            )
    return f"{len(swap.workloads)} workloads, down for {swap_of(run).downtimeSeconds:.1f} s"


async def wait_running(run: Run) -> str:
    """Wait a while until what was stopped runs again; what does not is told."""
    swap = swap_of(run)
    waited = [w for w in swap.workloads if w.kind in {"Deployment", "StatefulSet"}]
    waits = [partial(_wait_ready, run, workload) for workload in waited]
    await side_by_side(waits, at_once=max(1, len(waits)))
    return f"{len(waited)} workloads"


async def wait_unmounted(run: Run) -> None:
    """Wait until no pod mounts the claims; a workload that was scaled up meanwhile ends it."""
    namespace = run.status.targetNamespace
    claims = {volume.pvc for volume in swap_of(run).volumes}
    pods: dict[str, RawObject] = {}
    grace = 0.0
    for pod in await run.drive.client.list(PODS, namespace):
        grace = max(grace, float(part(pod, "spec").get("terminationGracePeriodSeconds") or 0))
    follow = run.drive.client.follow(PODS, namespace)
    try:
        async with asyncio.timeout(UNMOUNT_S + grace), contextlib.aclosing(follow) as changes:
            async for change in changes:
                if isinstance(change, Listed):
                    pods = {name_of(pod): pod for pod in change.items}
                elif isinstance(change, Changed):
                    name = name_of(change.object)
                    if change.type == "DELETED":
                        pods.pop(name, None)
                    else:
                        pods[name] = change.object
                left = [pod for pod in pods.values() if mounts(pod, claims)]
                if not left:
                    return
                if any("deletionTimestamp" not in pod["metadata"] for pod in left):
                    await refuse_scaled_up(run)
    except TimeoutError:
        names = ", ".join(sorted(name for name, pod in pods.items() if mounts(pod, claims)))
        raise EngineError(
            f"pods still use the volumes: {names}",
            subject=f"Namespace {namespace}",
            hint="see why they do not end (kubectl describe pod), and ask for the restore again",
            code="swap.still_mounted",
        ) from None


async def refuse_scaled_up(run: Run) -> None:
    """Stop where somebody scales a workload up that was scaled down for the swap.

    Raises:
        EngineError: `swap.scaled_up`.
    """
    namespace = run.status.targetNamespace
    for workload in swap_of(run).workloads:
        raw = await run.drive.client.find(kind_of(workload), workload.name, namespace)
        if raw is not None and _is_running(workload, raw):
            raise EngineError(
                "an autoscaler, operator or person scaled it up while its volumes were swapped",
                subject=f"{workload.kind} {namespace}/{workload.name}",
                hint="pause what manages it, and ask again; no data is lost",
                code="swap.scaled_up",
            )


async def _set(run: Run, workload: StoppedWorkload, *, running: bool) -> bool:
    """Scale or suspend exactly this object; False where it is not there any more."""
    kind, namespace = kind_of(workload), run.status.targetNamespace
    for _ in range(TRIES):
        raw = await run.drive.client.find(kind, workload.name, namespace)
        if raw is None or raw["metadata"]["uid"] != workload.uid:
            return False
        if _is_running(workload, raw) == running:
            return True
        change = {"replicas": workload.replicas if running else 0}
        if _suspends(workload):
            change = {"suspend": not running}
        held = {key: raw["metadata"][key] for key in ("uid", "resourceVersion")}
        with contextlib.suppress(Conflict):
            await run.drive.client.patch(
                kind, workload.name, namespace, merge={"metadata": held, "spec": change}
            )
            return True
    raise EngineError(
        "the workload changes all the time",
        subject=f"{workload.kind} {namespace}/{workload.name}",
        hint="see who changes it, and ask again",
        code="swap.scaled_up",
    )


def _is_running(workload: StoppedWorkload, raw: RawObject) -> bool:
    spec = part(raw, "spec")
    return not spec.get("suspend") if _suspends(workload) else bool(spec.get("replicas", 1))


def _suspends(workload: StoppedWorkload) -> bool:
    return GroupKind(kind_of(workload).group, workload.kind) in SUSPENDED


async def _wait_ready(run: Run, workload: StoppedWorkload) -> None:
    namespace = run.status.targetNamespace
    try:
        await run.drive.client.wait_for(
            kind_of(workload),
            workload.name,
            namespace,
            lambda raw: raw.get("status", {}).get("readyReplicas", 0) >= workload.replicas,
            timeout_s=READY_S,
        )
    except EngineError as error:
        if error.code != "cluster.timeout":
            raise
        run.fail(
            Failure(
                code="restore.not_ready",
                message=f"the workload was not ready after {READY_S:.0f} s",
                object=f"{workload.kind} {namespace}/{workload.name}",
                hint="its volumes are swapped; look at its pods and their events, or undo",
            )
        )
