"""`worker verify`: look at everything in the repository, and on request read it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.repository import check
from console.worker.result import Failure, Result, with_failures

if TYPE_CHECKING:
    from console.worker.work import Work


def verify(work: Work) -> Result:
    """Check the repository; problems are the result's failures, each with its file."""
    found = check(work.open(), read_data=work.job.read_data, progress=work.progress, stop=work.stop)
    if not found.problems:
        return Result(outcome="Complete")
    first = found.problems[0]
    result = Result(
        outcome="Failed",
        code=first.code,
        message=f"{len(found.problems)} problems in the repository; the first: {first.message}",
        hint=first.hint,
    )
    failures = (Failure(one.subject, one.code, one.message) for one in found.problems)
    return with_failures(result, failures)
