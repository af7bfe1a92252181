"""`worker restore`: a snapshot fills a new volume.

A try that was interrupted leaves its mark beside what it wrote; the next one
begins anew where it finds that mark, and nowhere else: a volume that holds
anything of others is refused.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

from console.repository import TargetUnfit, restore_tree
from console.worker.errors import BadJob
from console.worker.result import Result, failure, with_failures

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from console.worker.job import Job
    from console.worker.work import Work

log = logging.getLogger(__name__)

MARK = ".kubehaven-restore-under-way"
LOST = "lost+found"  # of the file system


def restore(work: Work) -> Result:
    """Fill the volume; an interrupted try is begun anew."""
    owner_map = _owner_map(work.job)
    repository = work.open()
    snapshot = repository.find_snapshot(work.job.snapshot)
    try:
        _begin(work.volume)
        done = restore_tree(
            repository,
            snapshot,
            work.volume,
            beside=(MARK,),
            owner_map=owner_map,
            progress=work.progress,
            stop=work.stop,
        )
        _end(work.volume)
    except OSError as fault:
        said = fault.strerror or type(fault).__name__
        raise TargetUnfit(f"{work.volume}: {said}", subject=str(work.volume)) from fault
    result = Result(
        outcome=done.outcome,
        snapshot=snapshot.id,
        files_done=done.files,
        bytes_done=done.bytes,
    )
    return with_failures(result, map(failure, done.failures))


def _begin(volume: Path) -> None:
    """Mark an empty volume; take away what an interrupted try left in a marked one."""
    mark = volume / MARK
    if mark.exists():
        log.info("beginning anew what was interrupted")
        _empty(volume, keep={MARK, LOST})
        if (volume / LOST).is_dir():
            _empty(volume / LOST)
    elif set(os.listdir(volume)) <= {LOST}:
        mark.touch(0o600)
    # an unmarked volume that holds anything is refused by the restore itself


def _empty(folder: Path, *, keep: Collection[str] = ()) -> None:
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name not in keep]
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _end(volume: Path) -> None:
    """Take the mark away; the volume's own times stay as they were restored."""
    times = volume.stat()
    (volume / MARK).unlink()
    os.utime(volume, ns=(times.st_atime_ns, times.st_mtime_ns))


def _owner_map(job: Job) -> list[tuple[int, int]]:
    try:
        return [(int(old), int(new)) for old, new in job.owner_map]
    except ValueError as fault:
        raise BadJob("field ownerMap holds something else than numbers", subject="ownerMap") from (
            fault
        )
