"""A check of a cluster from its first question to the last thing taken away."""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.checks.board import Board
from console.engine.checks.cluster import ApiCheck, PodCheck
from console.engine.checks.leftovers import interrupted, origin_of, remove
from console.engine.checks.locations import check_locations
from console.engine.checks.storage import STEPS, ClassCheck
from console.engine.errors import NotFound
from console.engine.model.views import ClusterCheck
from console.engine.plan.check_plan import Verdict
from console.engine.plan.facts import live_class
from console.engine.plan.raw import name_of
from console.engine.plan.stuck import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.engine.model.views import CheckResult
    from console.engine.volumes.drive import Drive

# somebody waits for the answer: an image that can't be had after a minute is told
PATIENCE = Patience(image_s=60.0, place_s=120.0, begin_s=180.0)
SNAPSHOT_S = 300
CLASSES_AT_ONCE = 3
REMOVED_S = 300.0
REMOVED = "removed"


async def check_cluster(
    drive: Drive,
    cluster: str,
    *,
    user: str,
    storage_classes: tuple[str, ...],
    on_change: Callable[[CheckResult], None],
) -> ClusterCheck:
    """Try everything; `drive.holder` is the uid in the names and labels of what is made.

    Args:
        storage_classes: Only these; by default all that a CSI driver serves.

    Raises:
        NotFound: There is no such storage class with a CSI driver.
        ClusterError: The cluster does not answer.

    Cancel: what was made is taken away first.
    """
    began = await drive.now()
    board = Board(on_change)
    settings = drive.settings
    patient = min(settings.snapshotDeadlineSeconds, SNAPSHOT_S)
    drive = dataclasses.replace(
        drive,
        patience=PATIENCE,
        settings=msgspec.structs.replace(settings, snapshotDeadlineSeconds=patient),
    )
    try:
        for uid in await interrupted(drive.client, besides=drive.holder):
            await remove(drive, uid)
        await _try_all(board, drive, user, storage_classes)
    finally:
        await board.run(REMOVED, partial(_remove, drive))
    return ClusterCheck(
        cluster=cluster,
        id=drive.holder,
        started_at=began,
        ended_at=await drive.now(),
        outcome=board.outcome,
        results=board.results,
    )


async def _try_all(board: Board, drive: Drive, user: str, storage_classes: tuple[str, ...]) -> None:
    origin = origin_of(drive.holder)
    api = ApiCheck(drive, user)
    await api.run(board)
    chosen = _chosen(api, storage_classes)
    unfit = await PodCheck(drive, origin).run(board)
    await check_locations(board, drive, origin, unfit=unfit)
    if unfit:
        for name in chosen:
            for step in STEPS:
                board.skip(step, f"needs {unfit}", subject=name)
        return
    templated = {name_of(raw) for raw in api.classes if live_class(raw).templated}
    tries = [
        partial(ClassCheck(drive, origin, name, name in templated).run, board) for name in chosen
    ]
    await side_by_side(tries, at_once=CLASSES_AT_ONCE)


def _chosen(api: ApiCheck, storage_classes: tuple[str, ...]) -> list[str]:
    names = [name_of(raw) for raw in api.classes]
    for wanted in storage_classes:
        if wanted not in names:
            there = wanted in api.others
            raise NotFound(
                "it has no CSI driver" if there else "there is no such storage class",
                subject=f"StorageClass {wanted}",
                hint=f"one of: {', '.join(names) or 'none'}",
            )
    return list(dict.fromkeys(storage_classes)) or names


async def _remove(drive: Drive) -> Verdict:
    async with asyncio.timeout(REMOVED_S):
        await remove(drive, drive.holder)
    return Verdict("ok", "nothing of the check is left in the cluster")
