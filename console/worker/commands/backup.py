"""`worker backup`: a volume becomes a snapshot."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from console.repository import back_up
from console.repository.tags import OURS, copy_tags, parent_tags, volume_tags
from console.worker.result import Result, failure, with_failures

if TYPE_CHECKING:
    from collections.abc import Collection

    from console.repository import Repository, Snapshot
    from console.worker.work import Work

log = logging.getLogger(__name__)


def back_volume_up(work: Work) -> Result:
    """Back the volume up; the snapshot that an earlier try made is handed back instead."""
    job = work.job
    repository = work.open()
    tags = (*volume_tags(job.point, job.pvc), *copy_tags(job.copy))
    ours = list_ours(repository)
    made = newest(ours, tags)
    if made is not None:
        log.info("an earlier try made the snapshot %s", made.id)
        return result_of(made)
    parent = newest(ours, job.parent_tags or parent_tags(job.pvc))
    log.info("parent snapshot: %s", parent.id if parent else "none")
    done = back_up(
        repository,
        work.volume,
        tags=tags,
        paths=(f"/{job.pvc}",),
        parent=parent,
        hostname=job.hostname,
        progress=work.progress,
        stop=work.stop,
    )
    result = Result(
        outcome=done.outcome,
        snapshot=done.snapshot,
        files_total=done.files,
        files_done=done.files,
        bytes_total=done.bytes_total,
        bytes_done=done.bytes_total,
        bytes_new=done.bytes_new,
        bytes_stored=done.bytes_stored,
    )
    return with_failures(result, map(failure, done.failures))


def list_ours(repository: Repository) -> list[Snapshot]:
    """Our snapshots, oldest first; a damaged one is no obstacle to another backup."""
    return repository.snapshots(
        tags=(OURS,), on_damage=lambda fault: log.warning("left out: %s", fault.message)
    )


def newest(snapshots: Collection[Snapshot], tags: Collection[str]) -> Snapshot | None:
    """Of snapshots in the order of their age, the newest with every one of the tags."""
    wanted = set(tags)
    return next((one for one in reversed([*snapshots]) if wanted <= set(one.tags)), None)


def result_of(snapshot: Snapshot) -> Result:
    """The result that a snapshot tells of."""
    summary = snapshot.summary
    if summary is None:
        return Result(outcome="Complete", snapshot=snapshot.id)
    return Result(
        outcome="Partial" if summary.items_failed else "Complete",
        snapshot=snapshot.id,
        failures_total=summary.items_failed,
        files_total=summary.total_files_processed,
        files_done=summary.total_files_processed,
        bytes_total=summary.total_bytes_processed,
        bytes_done=summary.total_bytes_processed,
        bytes_new=summary.data_added,
        bytes_stored=summary.data_added_packed,
    )
