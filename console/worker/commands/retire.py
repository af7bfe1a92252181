"""`worker retire`: a point's snapshots are removed, the one of its objects first.

From then on the point does not exist; the bytes come back when the repository
is pruned. Nothing is removed that does not carry the point's own tags.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from console.repository import NoSuchSnapshot
from console.repository.markers import MARKER, RepositoryMarker
from console.repository.tags import OURS, objects_tags, point_tag
from console.worker.errors import WorkerError
from console.worker.result import Result

if TYPE_CHECKING:
    from console.repository import Repository, Snapshot
    from console.worker.work import Work

log = logging.getLogger(__name__)

MOST_SKEW_S = 60.0


def retire(work: Work) -> Result:
    """Remove what the job names; what is gone already is no error.

    Under a shared lock: it keeps a prune out, and no reader or writer needs the
    snapshots themselves, whose data stays. An exclusive one would wait half an hour
    for the lock of every worker that was killed.
    """
    _refuse_other_owner(work)
    _refuse_skew(work)
    repository = work.open()
    with repository.lock():
        points = repository.snapshots(tags=objects_tags(work.job.point))
        named = (work.job.objects_snapshot, *work.job.volume_snapshots)
        ids = dict.fromkeys((*(one.id for one in points), *named))
        found = [snapshot for id_ in ids if (snapshot := _find(repository, id_)) is not None]
        for snapshot in found:
            _refuse_other_point(work, snapshot)
        for snapshot in found:
            work.stop.check()
            repository.check_lock()
            repository.store.delete(f"snapshots/{snapshot.id}")
            log.info("removed the snapshot %s", snapshot.id)
    work.tidy()
    return Result(outcome="Complete", files_total=len(found), files_done=len(found))


def _find(repository: Repository, id_: str) -> Snapshot | None:
    if not id_:
        return None
    try:
        return repository.find_snapshot(id_)
    except NoSuchSnapshot:
        return None


def _refuse_other_owner(work: Work) -> None:
    marker = RepositoryMarker.decode(work.store.get(MARKER))
    if marker.cluster_uid != work.job.owner:
        raise WorkerError(
            f"the repository belongs to another cluster ({marker.cluster_uid})",
            subject=work.job.repository,
            hint="retire the point from the cluster that made it",
            code="retire.other_owner",
        )


def _refuse_skew(work: Work) -> None:
    skew_s = abs(work.store.clock() - time.time())
    if skew_s > MOST_SKEW_S:
        raise WorkerError(
            f"the clocks of the node and of the store are {skew_s:.0f} s apart; nothing is "
            "retired while they are more than 60 s apart",
            subject=work.job.repository,
            hint="set the clocks right (NTP) and ask again",
            code="clock.skew",
        )


def _refuse_other_point(work: Work, snapshot: Snapshot) -> None:
    if {OURS, point_tag(work.job.point)} <= set(snapshot.tags):
        return
    raise WorkerError(
        f"the snapshot {snapshot.id[:8]} is not one of the point {work.job.point}",
        subject=snapshot.id,
        hint="look into the location again",
        code="retire.other_point",
    )
