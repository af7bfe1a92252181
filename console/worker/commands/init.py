"""`worker init`: make an application's repository; the only command that makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.repository.marked import OtherSalt, init_marked
from console.worker.errors import BadJob
from console.worker.result import Result

if TYPE_CHECKING:
    from console.worker.work import Work


def init(work: Work) -> Result:
    """Make the repository, or find it made with the same salt; another salt is handed back."""
    marker = work.job.marker
    if marker is None:
        raise BadJob("the job has no marker", subject="marker")
    try:
        init_marked(work.store, work.password, marker)
    except OtherSalt as other:
        return Result(
            outcome="Failed",
            code=other.code,
            message=other.message,
            hint=other.hint,
            salt=other.salt,
        )
    return Result(outcome="Complete", salt=marker.salt)
