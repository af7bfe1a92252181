"""`worker restore`: a snapshot fills a new volume.

A try that was interrupted leaves its mark beside what it wrote; the next one
begins anew where it finds that mark, and nowhere else. A volume without the mark
that holds anything is compared with the snapshot: it may be a try that died
between taking its mark away and telling its result. What is not equal is refused.
"""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

from console.repository import Summary, TargetUnfit, find_difference, restore_tree, walk
from console.worker.commands.own import owner_map_of
from console.worker.result import Result, failure, with_failures

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from console.repository import Repository, Snapshot
    from console.worker.work import Work

log = logging.getLogger(__name__)

MARK = ".kubehaven-restore-under-way"
TOP = "volume"  # the one node of a volume's snapshot
LOST = "lost+found"  # of the file system


def restore(work: Work) -> Result:
    """Fill the volume; an interrupted try is begun anew."""
    owner_map = owner_map_of(work.job)
    repository = work.open()
    snapshot = repository.find_snapshot(work.job.snapshot)
    try:
        if _holds_something(work.volume):
            same = _already_filled(work, repository, snapshot, owner_map)
            if same is not None:
                return same
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


def _holds_something(volume: Path) -> bool:
    """Whether there is more than an empty volume has, and no mark beside it."""
    names = set(os.listdir(volume))
    return MARK not in names and not names <= {LOST}


def _already_filled(
    work: Work,
    repository: Repository,
    snapshot: Snapshot,
    owner_map: Collection[tuple[int, int]],
) -> Result | None:
    """The result of a try that filled the volume and could not tell; None when it is not equal."""
    other = find_difference(repository, snapshot, work.volume, owner_map=owner_map, stop=work.stop)
    if other:
        log.info("the volume differs from the snapshot at %s", other)
        return None
    log.info("an earlier try filled the volume")
    top = next(node for _, node in walk(repository, snapshot, TOP))
    os.utime(work.volume, ns=(top.mtime_ns, top.mtime_ns))  # it may have died before that, too
    summary = snapshot.summary or Summary()
    return Result(
        outcome="Complete",
        snapshot=snapshot.id,
        files_done=summary.total_files_processed,
        bytes_done=summary.total_bytes_processed,
    )


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
