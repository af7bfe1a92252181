"""The engine is killed after a write, and another one finishes: same end, no leftovers.

Every few writes of each kind of action; with `KUBEHAVEN_EVERY_WRITE=1` after every single one,
which takes half an hour and more.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from console.engine.model.kinds import RESTORE_POINT_CONTENTS, SNAPSHOT_CONTENTS, VOLUMES
from console.engine.model.names import LABEL_ACTION_UID
from tests.cluster.box import CLUSTER, EVERY, HOOK, Desk, until
from tests.engine.driven import KILLED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.engine import ActionRef, ActionView

pytestmark = pytest.mark.timeout(3600 if EVERY else 600)


async def killed_at(
    desk: Desk,
    sample: range,
    ask: Callable[[int], Awaitable[ActionRef]],
    check: Callable[[ActionView], Awaitable[None]],
) -> None:
    """Kill after the writes of the sample, until an engine gets through without that many."""
    for number in range(1, 1000) if EVERY else sample:
        ref = await ask(number)
        code = await desk.driven(ref, kill_after=number)
        if code == KILLED:
            await desk.driven(ref)
        row = await desk.shown(ref)
        assert (row.outcome, row.error) == ("Complete", None), (number, row)
        await desk.nothing_is_left(ref)
        await check(row)
        if code != KILLED:
            assert number > 5, "the engine wrote hardly anything"
            return


async def test_backup(desk: Desk) -> None:
    """It is thawed in time, and the point has one snapshot that one content names."""

    async def ask(_number: int) -> ActionRef:
        return await desk.back_up(hooks=(HOOK,))

    async def check(row: ActionView) -> None:
        frozen = partial(asyncio.to_thread, desk.box.is_frozen)
        await until(frozen, lambda still: not still, "it is thawed")
        content = await desk.client.get(RESTORE_POINT_CONTENTS, row.point)
        (volume,) = content["status"]["volumes"]
        handles = [
            (raw.get("status") or {}).get("snapshotHandle")
            for raw in await desk.client.list(SNAPSHOT_CONTENTS)
        ]
        assert handles.count(volume["snapshot"]["handle"]) == 1
        mine = await desk.client.list(SNAPSHOT_CONTENTS, labels=f"{LABEL_ACTION_UID}={row.uid}")
        assert [raw["metadata"]["name"] for raw in mine] == [volume["snapshot"]["name"]]

    await killed_at(desk, range(3, 40, 7), ask, check)


async def test_export(desk: Desk) -> None:
    point = await desk.backed_up()

    async def ask(_number: int) -> ActionRef:
        return await desk.export(point if not EVERY else await desk.backed_up())

    async def check(row: ActionView) -> None:
        points = await desk.engine.restore_points.list(CLUSTER, application=desk.box.namespace)
        assert all(p.state == "Ready" for p in points)
        assert sorted(p.kind for p in points if p.id == row.point or p.name == row.point)

    await killed_at(desk, range(4, 40, 8), ask, check)


async def test_restore_beside(desk: Desk) -> None:
    box = desk.box
    box.data("beside")
    point = await desk.backed_up()

    async def ask(number: int) -> ActionRef:
        return await desk.restore(point.point, target=f"{box.namespace}-{number}")

    async def check(row: ActionView) -> None:
        assert await asyncio.to_thread(box.data, "", row.target) == "beside"
        path = "jsonpath={.spec.volumeName}"
        name = box.cluster.kubectl("-n", row.target, "get", "pvc/data", "-o", path)
        volume = await desk.client.get(VOLUMES, name)
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        box.cluster.kubectl("delete", "namespace", row.target, "--wait=false")

    await killed_at(desk, range(3, 40, 6), ask, check)


async def test_restore_in_place(desk: Desk) -> None:
    box = desk.box
    box.data("then")
    point = await desk.backed_up()

    async def ask(_number: int) -> ActionRef:
        box.data("now")
        return await desk.restore(point.point, in_place=True)

    async def check(row: ActionView) -> None:
        assert await asyncio.to_thread(box.data) == "then"
        assert row.swap is not None
        (swapped,) = row.swap.volumes
        old, new = [await desk.client.get(VOLUMES, name) for name in (swapped.old, swapped.new)]
        assert old["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        assert new["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        await desk.free_old(row)

    await killed_at(desk, range(4, 60, 8), ask, check)
