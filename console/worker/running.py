"""Runs one command of a worker from its arguments to its result.

Owner of the task: nothing below catches what it doesn't expect.
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import TYPE_CHECKING

import msgspec

from console.repository import Cancelled, Progress, RepositoryError, StopToken
from console.storage import StoreError
from console.worker.commands.backup import back_volume_up
from console.worker.commands.init import init
from console.worker.commands.objects import back_point_up
from console.worker.commands.own import own
from console.worker.commands.place import place
from console.worker.commands.probe import probe
from console.worker.commands.restore import restore
from console.worker.commands.retire import retire
from console.worker.commands.verify import verify
from console.worker.errors import WorkerError
from console.worker.job import load_job
from console.worker.reporting import peak_memory_bytes, reporting
from console.worker.result import Result, counted, plain, write_result
from console.worker.stopping import StopOnSignal
from console.worker.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.worker.job import Command
    from console.worker.work import Places

log = logging.getLogger(__name__)

_FUNCTIONS: dict[Command, Callable[[Work], Result]] = {
    "init": init,
    "backup": back_volume_up,
    "objects": back_point_up,
    "restore": restore,
    "verify": verify,
    "place": place,
    "own": own,
    "retire": retire,
    "probe": probe,
}


def run(command: Command, places: Places, exit_code: Callable[[Result], int]) -> int:
    """Carry a command out: counters on stdout, the result in the termination log.

    Called once, in the main thread, before any other was started.

    Args:
        exit_code: The exit code that stands for a result.

    Returns:
        The exit code.
    """
    started = time.monotonic()
    stop, progress = StopToken(), Progress()

    def finished(result: Result) -> int:
        whole = counted(result, progress.snapshot())
        _hand_back(
            places,
            msgspec.structs.replace(
                whole,
                duration_seconds=round(time.monotonic() - started, 3),
                peak_memory_bytes=peak_memory_bytes(),
            ),
        )
        return exit_code(result)

    def give_up() -> int:
        return finished(Result(outcome="Cancelled", code=Cancelled.code, message="ended by force"))

    with StopOnSignal(stop, give_up) as signals:
        code = finished(_result(command, places, progress, stop))
        signals.finish(code)
    return code


def _result(command: Command, places: Places, progress: Progress, stop: StopToken) -> Result:
    try:
        job = load_job(places.job, command)
        log.info("%s in %s", command, job.repository or "no repository")
        work = Work(job=job, places=places, progress=progress, stop=stop)
        with reporting(progress, job.interval):
            return _FUNCTIONS[command](work)
    except Cancelled as fault:
        return Result(outcome="Cancelled", code=fault.code, message=fault.message, hint=fault.hint)
    except (WorkerError, RepositoryError, StoreError) as fault:
        message = fault.message
        if fault.subject and fault.subject not in message:
            message = f"{fault.subject}: {message}"
        return Result(outcome="Failed", code=fault.code, message=message, hint=fault.hint)
    except MemoryError:
        hint = "raise the workers' memory in Settings"
        return Result(outcome="Failed", code="worker.memory", message="out of memory", hint=hint)
    except Exception as fault:  # noqa: BLE001 - the owner of the task; values may be secrets
        frames = "".join(traceback.format_tb(fault.__traceback__))
        # not log.exception: the fault's own text may hold secrets, its frames don't
        log.error("a fault in Kubehaven itself: %s\n%s", type(fault).__name__, frames)  # noqa: TRY400
        return Result(
            outcome="Failed",
            code="worker.internal",
            message=f"a fault in Kubehaven itself: {type(fault).__name__}",
            hint="the pod's log says where; please report it",
        )


def _hand_back(places: Places, result: Result) -> None:
    try:
        write_result(places.termination_log, result)
    except OSError as fault:
        log.warning("the result can't be written: %s", fault.strerror)
    level = logging.INFO if result.outcome == "Complete" else logging.WARNING
    words = (result.outcome, result.code, plain(result.message))
    log.log(level, " ".join(filter(None, words)))
