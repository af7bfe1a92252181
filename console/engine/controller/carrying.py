"""Carries one action from its first step to its end; the only place that decides its outcome."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.actions.run import (
    MAX_HINT,
    MAX_MESSAGE,
    ActionRun,
    carry_out,
    planned_steps,
)
from console.engine.errors import ClusterError, EngineError, LostLease, NotFound, SignInFailed
from console.engine.model.record import Failure, Fault
from console.repository import RepositoryError
from console.storage import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.engine.actions.kinds import Handling
    from console.engine.model.record import Outcome

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
DISCARD_AGAIN_S = (1.0, 3.0)


async def carry(
    run: ActionRun[Any], handling: Handling, *, is_cancelled: Callable[[], bool]
) -> None:
    """Run all steps; on failure or a person's cancel throw away what never became anything.

    A cluster that does not answer is waited for: steps are idempotent, so they
    go on where they were. Cancelling this coroutine without `is_cancelled`
    leaves the action as it is, for the engine that resumes it.

    Raises:
        LostLease: Another engine has taken over.
        NotFound: The action was deleted.
        ClusterError: Its end can't be written.
    """
    try:
        await _until_answered(run, handling)
    except asyncio.CancelledError:
        if not is_cancelled():
            raise
        await _cancel(run, handling)


async def _until_answered(run: ActionRun[Any], handling: Handling) -> None:
    wait = FIRST_WAIT_S
    while True:
        try:
            await _once(run, handling)
        except ClusterError as error:
            if not error.retryable:
                raise
            log.warning("%s waits for the cluster: %s", run.label, error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)
        else:
            return


async def _once(run: ActionRun[Any], handling: Handling) -> None:
    if run.status.phase == "Cancelling":
        await _cancel(run, handling)
        return
    run.note(
        phase="Running",
        reason="",
        startTime=run.status.startTime or await run.drive.now(),
        steps=planned_steps(handling.steps, run.status),
    )
    try:
        await carry_out(run, handling.steps)
    except LostLease:
        raise
    except (EngineError, StoreError, RepositoryError) as error:
        if isinstance(error, ClusterError) and error.retryable:
            raise
        if isinstance(error, NotFound) and await _is_gone(run):
            await _discard(run, handling)
            raise
        log.warning("%s failed: %s", run.label, error)
        fault = fault_of(error)
        if await _discard(run, handling):
            run.fail(Failure(code=fault.code, message=fault.message, hint=fault.hint))
            await _finish(run, "Partial")
        else:
            await _finish(run, "Failed", error=fault)
    else:
        await _finish(run, "Partial" if run.status.failures else "Complete")


async def _cancel(run: ActionRun[Any], handling: Handling) -> None:
    if await _is_gone(run):
        await _discard(run, handling)
        return
    if run.status.phase != "Cancelling":
        await run.write(phase="Cancelling")
    too_late = await _discard(run, handling)
    await _finish(run, "Complete" if too_late else "Cancelled")


async def _discard(run: ActionRun[Any], handling: Handling) -> bool:
    """Throw away what never became anything; True when it is a result already.

    An action ends also where that can't be done: it is told, and the sweeper tries it again.
    """
    for wait in (*DISCARD_AGAIN_S, None):
        try:
            return await handling.discard(run)
        except (LostLease, SignInFailed):
            raise
        except (EngineError, StoreError, RepositoryError) as error:
            if isinstance(error, ClusterError) and error.retryable:
                raise
            log.warning("%s could not be cleaned up: %s", run.label, error)
            if wait is None:
                fault = fault_of(error)
                hint = fault.hint or "what is left is swept later: kubehaven cluster leftovers"
                run.fail(Failure(code=fault.code, message=fault.message, hint=hint))
            else:
                await asyncio.sleep(wait)
    return False


async def _is_gone(run: ActionRun[Any]) -> bool:
    there = await run.drive.client.find(run.kind, *run.name)
    return there is None or there["metadata"]["uid"] != run.uid


async def _finish(run: ActionRun[Any], outcome: Outcome, *, error: Fault | None = None) -> None:
    now = await run.drive.now()
    ended = "failed" if outcome == "Failed" else "skipped"
    steps = tuple(
        msgspec.structs.replace(step, state=ended, endTime=now) if step.state == "running" else step
        for step in run.status.steps
    )
    done = outcome in {"Complete", "Partial"}
    await run.write(
        phase="Finished",
        outcome=outcome,
        reason="",
        endTime=now,
        error=error,
        steps=steps,
        progress=100 if done else run.status.progress,
    )


def fault_of(error: EngineError | StoreError | RepositoryError) -> Fault:
    """An error as it stands in the record."""
    cause = error.__cause__
    return Fault(
        code=error.code,
        message=(f"{error.subject}: {error.message}" if error.subject else error.message)[
            :MAX_MESSAGE
        ],
        hint=error.hint[:MAX_HINT],
        cause=type(cause).__name__ if cause else "",  # its text may hold addresses
    )
