"""Worker Jobs: made, followed, read, cleaned away; one Job holds one slot.

The truth is in the repository: a result that got lost is asked for again by
running the worker anew, which finds what it had done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import msgspec

from console.engine.errors import EngineError, NotFound, WorkerFailed
from console.engine.model.kinds import CLAIMS, JOBS, PODS, SECRETS, RawObject
from console.engine.model.names import LABEL_ACTION_UID, WORKERS_NAMESPACE
from console.engine.plan.jobs import CONTAINER, WorkerRequest, job_secret, trusting, worker_job
from console.engine.volumes.cutting import ensure
from console.engine.volumes.handover import let_volume_go
from console.engine.volumes.waiting import last_words, until_stuck

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.engine.plan.queue import Work
    from console.engine.volumes.drive import Drive

    CountersSink = Callable[["WorkerCounters"], Awaitable[None]]
    ResultSink = Callable[["WorkerResult"], Awaitable[None]]

JOB_DEADLINE_S = 7 * 24 * 3600.0
TRIES = 3


class OtherSalt(WorkerFailed):
    """The repository is there already, with another salt (base64) than the cluster keeps."""

    def __init__(self, result: WorkerResult, *, subject: str) -> None:
        super().__init__(result.message, subject=subject, code=result.code)
        self.salt = result.salt


class ItemFailed(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a worker could not carry."""

    path: str = ""
    code: str = ""
    message: str = ""


class WorkerResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a worker said at its end (the worker's contract)."""

    outcome: str = "Failed"
    code: str = ""
    message: str = ""
    hint: str = ""
    snapshot: str = ""
    salt: str = ""
    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_new: int = 0
    bytes_stored: int = 0
    failures: tuple[ItemFailed, ...] = ()
    failures_total: int = 0
    clock: float = 0.0  # probe: the node's time, seconds since the epoch
    store_clock: float = 0.0  # probe: the location's time


class WorkerCounters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of a worker's progress."""

    bytes_total: int = 0
    bytes_done: int = 0
    bytes_stored: int = 0
    files_total: int = 0
    files_done: int = 0


async def _ignore_counters(_counters: WorkerCounters) -> None:
    return


async def _ignore_result(_result: WorkerResult) -> None:
    return


async def run_job(
    drive: Drive,
    request: WorkerRequest,
    *,
    work: Work,
    label: str,
    on_counters: CountersSink = _ignore_counters,
    on_result: ResultSink = _ignore_result,
) -> WorkerResult:
    """Run a worker to its end and clean its Job and Secret away.

    Args:
        on_result: Called before the Job goes: writes down what must not be done twice.

    Cancel: the Job is left; `clean_up` of the action takes it away.

    Raises:
        WorkerFailed: The worker said so, or its pod could not run; code and hint are its own.
    """
    request = trusting(request, drive.settings.workers)
    for _ in range(TRIES):
        async with drive.slots.slot(
            work,
            action=request.origin.action_uid,
            label=label,
            application=request.origin.application,
        ):
            await ensure(drive, SECRETS, job_secret(request))
            job = await ensure(drive, JOBS, worker_job(request, drive.settings.workers))
            result = await _follow(drive, job, on_counters)
            if result is not None:
                await on_result(result)
            await delete_job(drive, request.name)
        if result is not None:
            return result
    raise WorkerFailed(
        "the worker's result could not be read",
        subject=label,
        hint="look at the Job's events in kubehaven-workers",
        code="worker.lost",
    )


async def delete_job(drive: Drive, name: str) -> None:
    """Take a Job away with its pods, wait until they are gone, then its Secret."""
    job = await drive.client.find(JOBS, name, WORKERS_NAMESPACE)
    if job is not None:
        await drive.client.delete(
            JOBS, name, WORKERS_NAMESPACE, uid=job["metadata"]["uid"], propagation="Foreground"
        )
        with contextlib.suppress(NotFound):
            await drive.client.wait_for(
                JOBS, name, WORKERS_NAMESPACE, lambda _raw: False, timeout_s=120
            )
    await drive.client.delete(SECRETS, name, WORKERS_NAMESPACE)


async def clean_up(drive: Drive, action_uid: str) -> None:
    """Take away, by name, what an action left in `kubehaven-workers`: jobs, then claims."""
    labels = f"{LABEL_ACTION_UID}={action_uid}"
    for job in await drive.client.list(JOBS, WORKERS_NAMESPACE, labels=labels):
        await delete_job(drive, job["metadata"]["name"])
    for secret in await drive.client.list(SECRETS, WORKERS_NAMESPACE, labels=labels):
        await drive.client.delete(SECRETS, secret["metadata"]["name"], WORKERS_NAMESPACE)
    for claim in await drive.client.list(CLAIMS, WORKERS_NAMESPACE, labels=labels):
        meta = claim["metadata"]
        await let_volume_go(drive, claim)
        await drive.client.delete(CLAIMS, meta["name"], WORKERS_NAMESPACE, uid=meta["uid"])


async def _follow(drive: Drive, job: RawObject, on_counters: CountersSink) -> WorkerResult | None:
    name = job["metadata"]["name"]
    loop, started = asyncio.get_running_loop(), asyncio.Event()
    log = loop.create_task(_read_log(drive, name, on_counters, started), name=f"log:{name}")
    begun = loop.create_task(started.wait(), name=f"begun:{name}")
    ended = loop.create_task(
        drive.client.wait_for(JOBS, name, WORKERS_NAMESPACE, _has_ended, timeout_s=JOB_DEADLINE_S),
        name=f"ended:{name}",
    )
    stuck = loop.create_task(until_stuck(drive.client, name, drive.patience), name=f"stuck:{name}")
    first, patience_s = asyncio.FIRST_COMPLETED, drive.patience.begin_s
    try:
        done, _ = await asyncio.wait({begun, ended, stuck}, timeout=patience_s, return_when=first)
        if not done:
            raise await _not_started(drive, job)
        await asyncio.wait({ended, stuck}, return_when=first)
        if not ended.done():
            found = stuck.result()
            raise WorkerFailed(
                found.message,
                subject=f"Job {WORKERS_NAMESPACE}/{name}",
                hint=found.hint,
                code=found.code,
            )
        return await _result(drive, ended.result())
    finally:
        for task in (log, begun, ended, stuck):
            task.cancel()
        await asyncio.gather(log, begun, ended, stuck, return_exceptions=True)


async def _not_started(drive: Drive, job: RawObject) -> WorkerFailed:
    name = job["metadata"]["name"]
    pods = await drive.client.list(PODS, WORKERS_NAMESPACE, labels=f"job-name={name}")
    words, subject = await _why(drive, job, pods), f"Job {WORKERS_NAMESPACE}/{name}"
    if not pods:
        return WorkerFailed(
            f"no worker pod could be made: {words}",
            subject=subject,
            hint="does a quota, a LimitRange, Pod Security, an SCC or a webhook refuse it?",
            code="worker.refused",
        )
    return WorkerFailed(
        f"the worker did not begin within {drive.patience.begin_s / 60:.0f} minutes: {words}",
        subject=subject,
        hint="can the worker image be pulled, and is there room on a node?",
        code="worker.not_started",
    )


async def _read_log(
    drive: Drive, job: str, on_counters: CountersSink, started: asyncio.Event
) -> None:
    """Live counters from the pod's log; a log that is lost is progress unknown, never a failure."""
    try:
        with contextlib.suppress(EngineError):
            await _read_counters(drive, job, on_counters, started)
    finally:
        started.set()  # what can't be seen is no reason to call the worker stuck


async def _read_counters(
    drive: Drive, job: str, on_counters: CountersSink, started: asyncio.Event
) -> None:
    decoder = msgspec.json.Decoder(WorkerCounters)
    pods = drive.client.follow(PODS, WORKERS_NAMESPACE, labels=f"job-name={job}")
    async with contextlib.aclosing(pods) as changes:
        async for change in changes:
            seen = getattr(change, "items", None) or [getattr(change, "object", None)]
            running = next((pod for pod in seen if pod and _is_running(pod)), None)
            if running is None:
                continue
            started.set()
            name = running["metadata"]["name"]
            lines = drive.client.logs(WORKERS_NAMESPACE, name, follow=True)
            async with contextlib.aclosing(lines) as log:
                async for line in log:
                    with contextlib.suppress(msgspec.MsgspecError):
                        await on_counters(decoder.decode(line.encode()))
            return


def _is_running(pod: RawObject) -> bool:
    return str(pod.get("status", {}).get("phase")) in {"Running", "Succeeded", "Failed"}


def _has_ended(job: RawObject) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)


async def _result(drive: Drive, job: RawObject) -> WorkerResult | None:
    """What the Job's last pod said; None when nothing of it can be read any more."""
    name = job["metadata"]["name"]
    pods = await drive.client.list(PODS, WORKERS_NAMESPACE, labels=f"job-name={name}")
    pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    results = [result for pod in pods if (result := _termination(pod)) is not None]
    good = next((r for r in results if r.outcome in {"Complete", "Partial"}), None)
    if good is not None:
        return good
    failed = any(
        c["type"] == "Failed" and c["status"] == "True"
        for c in job.get("status", {}).get("conditions", ())
    )
    if not failed:
        return None
    if results:
        last = results[-1]
        if last.code == "repository.other_salt" and last.salt:
            raise OtherSalt(last, subject=name)
        raise WorkerFailed(
            last.message or "the worker failed",
            subject=name,
            hint=last.hint,
            code=last.code or "worker.failed",
        )
    if any(_is_out_of_memory(pod) for pod in pods):
        raise WorkerFailed(
            f"the worker needs more memory than the {drive.settings.workers.memory} it may have",
            subject=f"Job {WORKERS_NAMESPACE}/{name}",
            hint="raise workers.memory in Settings, and ask again",
            code="worker.memory",
        )
    raise WorkerFailed(
        await _why(drive, job, pods),
        subject=f"Job {WORKERS_NAMESPACE}/{name}",
        hint="is the worker image to be had, and is there memory for it?",
    )


def _is_out_of_memory(pod: RawObject) -> bool:
    states = [one.get("state", {}) for one in pod.get("status", {}).get("containerStatuses", ())]
    return any(state.get("terminated", {}).get("reason") == "OOMKilled" for state in states)


def _termination(pod: RawObject) -> WorkerResult | None:
    for status in pod.get("status", {}).get("containerStatuses", ()):
        ended = status.get("state", {}).get("terminated") or status.get("lastState", {}).get(
            "terminated"
        )
        if status.get("name") == CONTAINER and ended and ended.get("message"):
            with contextlib.suppress(msgspec.MsgspecError, json.JSONDecodeError):
                return msgspec.json.decode(ended["message"].encode(), type=WorkerResult)
    return None


async def _why(drive: Drive, job: RawObject, pods: list[RawObject]) -> str:
    """The cluster's own words on a Job that said nothing."""
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses", ()):
            state = status.get("state", {})
            ended, waiting = state.get("terminated", {}), state.get("waiting", {})
            if ended.get("reason"):
                return f"the worker pod ended with {ended['reason']} ({ended.get('exitCode')})"
            if waiting.get("message"):
                return f"{waiting.get('reason')}: {waiting['message']}"[:256]
    names = {job["metadata"]["name"]}
    for pod in pods:  # one that waits for its volume has nothing to say itself
        names |= {pod["metadata"]["name"], *_claims_of(pod)}
    words = await last_words(drive.client, WORKERS_NAMESPACE, names)
    if words:
        return words
    conditions = job.get("status", {}).get("conditions", [{}])
    return str(conditions[-1].get("message") or "the worker Job failed without a word")[:256]


def _claims_of(pod: RawObject) -> set[str]:
    volumes = pod["spec"].get("volumes", ())
    return {
        v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v
    }
