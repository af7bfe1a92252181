"""The engine is killed after every single write, and another one finishes: same end, no leftovers.

`make test-long` runs these.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest

from console.engine import RestoreRequest, RetireRequest
from console.engine.model.kinds import (
    CLAIMS,
    JOBS,
    NAMESPACES,
    RESTORE_POINT_CONTENTS,
    SECRETS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import LABEL_ACTION_UID, LABEL_ROLE, NAMESPACE, WORKERS_NAMESPACE
from tests.engine.driven import KILLED
from tests.engine.story import CLUSTER, LOCATION, Stage
from tests.engine.test_story import check_every_repository
from tests.engine.test_swap import kept, policies_are_back

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.engine import ActionRef, ActionView

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


async def driven(
    stage: Stage, ref: ActionRef, *, kill_after: int = 0, kill_at: str = ""
) -> tuple[int, str]:
    """Run an engine of its own until the action has ended or the engine was killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.engine.driven",
        str(stage.folder / "home"),
        CLUSTER,
        ref.uid,
        f"--kill-after={kill_after}",
        f"--kill-at={kill_at}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(90):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        row = await shown(stage, ref)
        pytest.fail(f"stuck (kill after {kill_after}): {row}\n{err.decode()[-3000:]}")
    code = process.returncode or 0
    assert code in {0, KILLED}, err.decode()[-3000:]
    return code, out.decode()


async def shown(stage: Stage, ref: ActionRef) -> ActionView:
    """The action as it stands."""
    return await stage.engine.actions.show(CLUSTER, ref.kind, ref.namespace, ref.name)


async def killed_everywhere(
    stage: Stage,
    ask: Callable[[int], Awaitable[ActionRef]],
    check: Callable[[ActionView], Awaitable[None]],
) -> None:
    """Kill after write 1, 2, 3 … until an engine gets through without reaching that many."""
    for number in range(1, 1000):
        ref = await ask(number)
        code, said = await driven(stage, ref, kill_after=number)
        if code == KILLED:
            await driven(stage, ref)
        row = await shown(stage, ref)
        assert (row.phase, row.outcome) == ("Finished", "Complete"), (said, row.error, row.failures)
        await check(row)
        if code != KILLED:
            assert number > 5, "the engine wrote hardly anything"
            return
    pytest.fail("the engine never stops writing")


@pytest.fixture
async def quiet_stage(bare_stage: Stage) -> Stage:
    """A stage whose own engine only asks and never drives."""
    await bare_stage.prepare(watch=False)
    await bare_stage.sandbox.deploy_visits()
    await bare_stage.add_location()
    return bare_stage


async def test_backup(quiet_stage: Stage) -> None:
    """A writer stamps both volumes every second: the volumes of a point are of one moment."""
    stage = quiet_stage
    await stage.deploy_stamps()

    async def ask(_number: int) -> ActionRef:
        return await stage.engine.actions.back_up(CLUSTER, "stamps")

    async def check(row: ActionView) -> None:
        async with stage.client() as client:
            mine = f"{LABEL_ACTION_UID}={row.uid}"
            contents = await client.list(RESTORE_POINT_CONTENTS, labels=mine)
            assert [c["status"]["state"] for c in contents] == ["Ready"]
            volumes = contents[0]["status"]["volumes"]
            assert len(volumes) == 2
            kept = {volume["snapshot"]["name"] for volume in volumes}
            there = await client.list(SNAPSHOT_CONTENTS)
            handles = [raw["status"]["snapshotHandle"] for raw in there]
            assert len(handles) == len(set(handles)), "two contents name one snapshot"
            assert {
                raw["metadata"]["name"]
                for raw in there
                if raw["metadata"].get("labels", {}).get(LABEL_ACTION_UID) == row.uid
            } == kept
            assert all(raw["spec"]["volumeSnapshotRef"]["namespace"] != "stamps" for raw in there)
            assert await client.list(SNAPSHOTS, "stamps") == []
            manifests = await client.list(
                SECRETS, NAMESPACE, labels=f"{mine},{LABEL_ROLE}=manifest"
            )
            assert len(manifests) == 1
        handles = [volume["snapshot"]["handle"] for volume in volumes]
        stamps = [stage.stamp_in(handle) for handle in handles]
        assert abs(stamps[0] - stamps[1]) < 10e9, "the volumes come from different moments"

    await killed_everywhere(stage, ask, check)


async def test_export(quiet_stage: Stage) -> None:
    stage = quiet_stage

    async def ask(_number: int) -> ActionRef:
        backup = await stage.engine.actions.back_up(CLUSTER, "visits")
        await driven(stage, backup)
        point = (await shown(stage, backup)).point
        return await stage.engine.actions.export(CLUSTER, point, location=LOCATION)

    async def check(row: ActionView) -> None:
        points = [p for p in await stage.points() if p.id == row.point]
        assert sorted(p.kind for p in points) == ["exported", "local"]
        assert all(p.state == "Ready" for p in points)
        await workers_are_clean(stage)

    await killed_everywhere(stage, ask, check)
    check_every_repository(stage)


async def test_restore(quiet_stage: Stage) -> None:
    stage = quiet_stage
    await stage.views(open_page=True)
    backup = await stage.engine.actions.back_up(CLUSTER, "visits")
    await driven(stage, backup)
    point = (await shown(stage, backup)).point
    await driven(stage, await stage.engine.actions.export(CLUSTER, point, location=LOCATION))
    exported = await stage.point("exported")

    async def ask(number: int) -> ActionRef:
        request = RestoreRequest(point=exported.name, target=f"visits-{number}")
        return await stage.engine.actions.restore(CLUSTER, request)

    async def check(row: ActionView) -> None:
        assert await stage.views(row.target) == 1
        await workers_are_clean(stage)
        async with stage.client() as client:
            for claim in await client.list(CLAIMS, row.target):
                volume = await client.get(VOLUMES, claim["spec"]["volumeName"])
                assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
                assert "kubehaven.io/reclaimPolicy" not in volume["metadata"].get("annotations", {})
            await client.delete(NAMESPACES, row.target)

    await killed_everywhere(stage, ask, check)


async def test_retire(quiet_stage: Stage) -> None:
    """A point goes whole, locally and in the location; the one beside it stays whole."""
    stage = quiet_stage
    await stage.views(open_page=True)
    kept = await made_and_exported(stage)
    kept_rows = [p for p in await stage.points() if p.id == kept]
    wanted: set[tuple[str, str, str]] = set()

    async def ask(_number: int) -> ActionRef:
        point = await made_and_exported(stage)
        request = RetireRequest(
            points=tuple(p.name for p in await stage.points() if p.id == point), allow_many=True
        )
        preview = await stage.engine.restore_points.preview_retire(CLUSTER, request)
        wanted.clear()
        wanted.update((item.what, item.id, item.bytes) for item in preview.items)
        return await stage.engine.actions.retire(CLUSTER, request, plan_hash=preview.hash)

    async def check(row: ActionView) -> None:
        assert {(one.kind, one.id, one.bytes) for one in row.freed} == wanted
        assert [p for p in await stage.points() if p.id == kept] == kept_rows
        assert len(await stage.points()) == len(kept_rows)
        await workers_are_clean(stage)
        async with stage.client() as client:
            contents = await client.list(SNAPSHOT_CONTENTS)
            manifests = await client.list(SECRETS, NAMESPACE, labels=f"{LABEL_ROLE}=manifest")
        handles = {raw["status"]["snapshotHandle"] for raw in contents}
        assert len(manifests) == 1
        assert {path.name for path in (stage.folder / "sandbox" / "snapshots").iterdir()} == handles
        gone = {id_ for _, id_, _ in wanted}
        assert not handles & gone
        left = {path.name for path in stage.store.glob("*/visits/snapshots/*")}
        assert len(left) == len(kept_rows[0].volumes) + 1
        assert not left & gone

    await killed_everywhere(stage, ask, check)
    check_every_repository(stage)
    for number, row in enumerate(kept_rows):
        request = RestoreRequest(point=row.name, target=f"again-{number}")
        await driven(stage, await stage.engine.actions.restore(CLUSTER, request))
        assert await stage.views(f"again-{number}") == 1


async def made_and_exported(stage: Stage) -> str:
    """The id of a new point with a copy in the location."""
    backup = await stage.engine.actions.back_up(CLUSTER, "visits")
    await driven(stage, backup)
    point = (await shown(stage, backup)).point
    await driven(stage, await stage.engine.actions.export(CLUSTER, point, location=LOCATION))
    return point


async def a_point_with_one_view(stage: Stage) -> str:
    """The name of a local point in which the page was opened once; now it counts two."""
    await stage.views(open_page=True)
    await driven(stage, await stage.engine.actions.back_up(CLUSTER, "visits"))
    assert await stage.views(open_page=True) == 2
    return (await stage.point("local")).name


async def in_place(stage: Stage, point: str) -> ActionRef:
    """Ask for a restore in place."""
    request = RestoreRequest(point=point, in_place=True)
    return await stage.engine.actions.restore(CLUSTER, request)


async def swapped_well(stage: Stage, row: ActionView, *, views: int) -> None:
    """The application runs on its new volumes, with their own policies; the old are Retain."""
    assert row.swap is not None
    assert row.swap.stands == "new"
    assert await stage.views() == views
    await policies_are_back(stage)
    await workers_are_clean(stage)
    old = {volume.old for volume in row.swap.volumes}
    there = {raw["metadata"]["name"]: raw for raw in await kept(stage)}
    assert old <= set(there)
    assert {there[name]["spec"]["persistentVolumeReclaimPolicy"] for name in old} == {"Retain"}


async def test_in_place(quiet_stage: Stage) -> None:
    stage = quiet_stage
    point = await a_point_with_one_view(stage)

    async def ask(_number: int) -> ActionRef:
        await stage.views(open_page=True)
        return await in_place(stage, point)

    async def check(row: ActionView) -> None:
        await swapped_well(stage, row, views=1)

    await killed_everywhere(stage, ask, check)


async def test_undo(quiet_stage: Stage) -> None:
    stage = quiet_stage
    point = await a_point_with_one_view(stage)

    async def ask(_number: int) -> ActionRef:
        ref = await in_place(stage, point)
        await driven(stage, ref)
        assert await stage.views() == 1
        return await stage.engine.actions.undo(CLUSTER, ref.namespace, ref.name)

    async def check(row: ActionView) -> None:
        await swapped_well(stage, row, views=2)

    await killed_everywhere(stage, ask, check)


async def workers_are_clean(stage: Stage) -> None:
    """Nothing of a finished action stays in the workers' namespace."""
    async with stage.client() as client:
        for kind in (JOBS, CLAIMS, SECRETS):
            left = await client.list(kind, WORKERS_NAMESPACE, labels=LABEL_ACTION_UID)
            assert left == [], kind
