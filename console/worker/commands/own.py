"""`worker own`: the files of a volume get other owners; a clone is made fit for its namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.repository import map_owners
from console.worker.errors import BadJob
from console.worker.result import Result, failure, with_failures

if TYPE_CHECKING:
    from console.worker.job import Job
    from console.worker.work import Work


def own(work: Work) -> Result:
    """Map the owners of all files; a pass that was killed is run again."""
    pairs = owner_map_of(work.job)
    try:
        done = map_owners(work.volume, pairs, progress=work.progress, stop=work.stop)
    except ValueError as fault:
        raise BadJob(f"field ownerMap: {fault}", subject="ownerMap") from fault
    result = Result(outcome=done.outcome, files_done=done.files)
    return with_failures(result, map(failure, done.failures))


def owner_map_of(job: Job) -> list[tuple[int, int]]:
    """The pairs of ids in a job; raises `BadJob`."""
    try:
        return [(int(old), int(new)) for old, new in job.owner_map]
    except ValueError as fault:
        raise BadJob("field ownerMap holds something else than numbers", subject="ownerMap") from (
            fault
        )
