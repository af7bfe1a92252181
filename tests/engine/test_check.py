"""`cluster check` on the sandbox: all is tried and nothing is left; what is wrong is named."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import pytest

from console.engine import CheckChanged, EngineError
from console.engine.checks import run
from console.engine.kube import Changed, Listed
from console.engine.model.kinds import (
    CLAIMS,
    JOBS,
    LEASES,
    PODS,
    SECRETS,
    SETTINGS,
    SNAPSHOT_CLASSES,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import (
    CHECK_LEASE,
    CHECK_UID,
    LABEL_ACTION_UID,
    NAMESPACE,
    WORKERS_NAMESPACE,
)
from console.engine.plan.stuck import Patience
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from console.engine import CheckResult, ClusterCheck
    from console.engine.kube import KubeClient

CLASS = "sandbox"


def by_key(done: ClusterCheck) -> dict[str, CheckResult]:
    return {row.key: row for row in done.results}


async def assert_nothing_is_left(stage: Stage) -> None:
    async with stage.client() as client:
        for kind in (JOBS, CLAIMS, PODS, SECRETS, SNAPSHOTS):
            assert await client.list(kind, WORKERS_NAMESPACE) == [], kind
        for kind in (SNAPSHOT_CONTENTS, CLAIMS, SNAPSHOTS):
            for raw in await client.list(kind):
                labels = raw["metadata"].get("labels") or {}
                assert not str(labels.get(LABEL_ACTION_UID, "")).startswith(CHECK_UID), kind
        bound = [raw["spec"].get("claimRef", {}) for raw in await client.list(VOLUMES)]
        assert WORKERS_NAMESPACE not in {ref.get("namespace") for ref in bound}


async def a_snapshot_is_there(client: KubeClient) -> None:
    """Wait until a check is in the middle of its work."""
    changes = client.follow(SNAPSHOTS, WORKERS_NAMESPACE)
    async with contextlib.aclosing(changes):
        async for change in changes:
            if isinstance(change, Changed) or (isinstance(change, Listed) and change.items):
                return


async def test_all_is_well_and_nothing_is_left(stage: Stage) -> None:
    done = await stage.engine.clusters.check(CLUSTER)
    assert done.outcome == "ok", [row for row in done.results if row.status != "ok"]
    rows = by_key(done)
    assert {row.status for row in done.results} == {"ok"}
    for check in ("volume.write", "volume.clone", "volume.handover", "volume.files"):
        assert f"{check}/{CLASS}" in rows
    for check in ("location.here", "location.pod", "clock.location"):
        assert f"{check}/{LOCATION}" in rows
    await assert_nothing_is_left(stage)


async def test_each_result_is_an_event_when_it_begins_and_when_it_ends(stage: Stage) -> None:
    seen: list[CheckChanged] = []

    async def read() -> None:
        async for event in stage.engine.events():
            if isinstance(event, CheckChanged):
                seen.append(event)
                if event.result.check == "removed" and event.result.status != "running":
                    return

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(read())
        done = await stage.engine.clusters.check(CLUSTER, storage_classes=(CLASS,))
    ends = {event.result.key: event.result for event in seen}
    assert tuple(ends.values()) == done.results
    assert sum(event.result.status == "running" for event in seen) == len(done.results)


async def test_a_class_that_is_not_there_is_refused_and_nothing_is_left(stage: Stage) -> None:
    with pytest.raises(EngineError) as refused:
        await stage.engine.clusters.check(CLUSTER, storage_classes=("gone",))
    assert "sandbox" in refused.value.hint
    await assert_nothing_is_left(stage)


async def test_without_snapshots_or_image_the_rest_is_tried_and_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.client() as client:
        for raw in await client.list(SNAPSHOT_CLASSES):
            await client.delete(SNAPSHOT_CLASSES, raw["metadata"]["name"])
    done = await stage.engine.clusters.check(CLUSTER, storage_classes=(CLASS,))
    rows = by_key(done)
    snapshot = rows[f"volume.snapshot/{CLASS}"]
    assert (done.outcome, snapshot.code) == ("warning", "claim.copied_by_export")
    assert rows[f"volume.clone/{CLASS}"].status == "skipped"
    assert rows[f"volume.files/{CLASS}"].status == "ok"
    await assert_nothing_is_left(stage)

    monkeypatch.setattr(run, "PATIENCE", Patience(image_s=0.5))
    async with stage.client() as client:
        image = {"spec": {"workers": {"image": "registry.invalid/nothing:1"}}}
        await client.patch(SETTINGS, "default", NAMESPACE, merge=image)
    rows = by_key(await stage.engine.clusters.check(CLUSTER))
    assert (rows["workers.image/"].status, rows["workers.image/"].code) == (
        "failed",
        "worker.image",
    )
    for skipped in (f"volume.write/{CLASS}", f"location.pod/{LOCATION}", "clock.node/"):
        assert rows[skipped].status == "skipped"
    assert rows[f"location.here/{LOCATION}"].status == "ok"
    await assert_nothing_is_left(stage)


async def test_a_cancelled_check_takes_everything_away(stage: Stage) -> None:
    clusters = stage.engine.clusters
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        check = group.create_task(clusters.check(CLUSTER, storage_classes=(CLASS,)))
        async with stage.client() as client:
            await a_snapshot_is_there(client)
        check.cancel()
    assert check.cancelled()
    await assert_nothing_is_left(stage)


async def test_one_check_runs_at_a_time_and_a_killed_one_is_cleaned_up_after(
    bare_stage: Stage,
) -> None:
    """Killed in the middle: neither a sweep nor a check takes its things while it may run."""
    await bare_stage.prepare(watch=False)
    clusters = bare_stage.engine.clusters
    home = str(bare_stage.folder / "home")
    command = [sys.executable, "-m", "console", "cluster", "check", CLUSTER, "--home", home]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    async with bare_stage.client() as client:
        async with asyncio.timeout(60):
            await a_snapshot_is_there(client)
        process.kill()
        await process.wait()
        left = await client.list(CLAIMS, WORKERS_NAMESPACE)
        assert left
        assert (await clusters.leftovers(CLUSTER)).items == ()
        with pytest.raises(EngineError) as refused:
            await clusters.check(CLUSTER, storage_classes=(CLASS,))
        assert refused.value.code == "check.running"

        long_ago = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}
        await client.patch(LEASES, CHECK_LEASE, NAMESPACE, merge=long_ago)
        swept = {item.name for item in (await clusters.leftovers(CLUSTER)).items}
        assert {raw["metadata"]["name"] for raw in left} <= swept
        done = await clusters.check(CLUSTER, storage_classes=(CLASS,))
    assert done.outcome == "ok"
    await assert_nothing_is_left(bare_stage)
