"""Faults while an action runs: it ends as it should, or says what to do, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from console.engine import RestoreRequest
from console.engine.kube import Changed, Listed
from console.engine.model.kinds import CLAIMS, JOBS, PODS, SETTINGS, VOLUMES
from console.engine.model.names import LABEL_ACTION_UID, NAMESPACE, WORKERS_NAMESPACE
from console.engine.plan.stuck import Patience
from console.engine.volumes import drive
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from console.engine import ActionRef, ActionView

BIG = 300 << 20  # bytes that can't be compressed: a worker takes seconds for them


async def volume_folder(stage: Stage, claim: str) -> Path:
    """Where the sandbox keeps a claim's volume."""
    async with stage.client() as client:
        raw = await client.get(CLAIMS, claim, "visits")
        volume = await client.get(VOLUMES, raw["spec"]["volumeName"])
    return stage.folder / "sandbox" / "volumes" / str(volume["spec"]["csi"]["volumeHandle"])


async def a_worker_runs(stage: Stage, uid: str) -> str:
    """The name of a pod of an action's worker, as soon as it runs."""
    async with stage.client() as client, asyncio.timeout(20):
        async for change in client.follow(
            PODS, WORKERS_NAMESPACE, labels=f"{LABEL_ACTION_UID}={uid}"
        ):
            pods = change.items if isinstance(change, Listed) else []
            if isinstance(change, Changed):
                pods = [change.object]
            for pod in pods:
                job = pod["metadata"]["labels"].get("kubehaven.io/role")
                if job == "job" and pod.get("status", {}).get("phase") == "Running":
                    return str(pod["metadata"]["name"])
    raise AssertionError("follow never ends")


async def export_of(stage: Stage, backup: ActionView) -> ActionRef:
    """Ask for the export of what a backup has made."""
    return await stage.engine.actions.export(CLUSTER, backup.point, location=LOCATION)


async def test_a_killed_worker_is_replaced_and_the_export_ends_complete(stage: Stage) -> None:
    folder = await volume_folder(stage, "data")
    await asyncio.to_thread((folder / "big").write_bytes, os.urandom(BIG))
    backup = await stage.back_up()
    ref = await export_of(stage, backup)
    pod = await a_worker_runs(stage, ref.uid)
    async with stage.client() as client:
        await client.delete(PODS, pod, WORKERS_NAMESPACE, grace_s=0)
    row = await stage.finished(ref)
    assert (row.outcome, row.error) == ("Complete", None)
    point = await stage.point("exported")
    assert point.state == "Ready"
    assert point.logical_size > BIG


async def test_a_cancelled_export_leaves_no_worker_and_no_half_point(stage: Stage) -> None:
    folder = await volume_folder(stage, "data")
    await asyncio.to_thread((folder / "big").write_bytes, os.urandom(BIG))
    backup = await stage.back_up()
    ref = await export_of(stage, backup)
    await a_worker_runs(stage, ref.uid)
    await stage.engine.actions.cancel(CLUSTER, ref.kind, ref.namespace, ref.name)
    row = await stage.finished(ref)
    assert row.outcome == "Cancelled"
    assert [p.kind for p in await stage.points()] == ["local"]
    async with stage.client() as client:
        for kind in (JOBS, CLAIMS, PODS):
            assert await client.list(kind, WORKERS_NAMESPACE) == [], kind
    again = await stage.finished(await export_of(stage, backup))
    assert again.outcome == "Complete"


async def test_a_restore_onto_a_living_application_is_blocked_with_each_reason(
    stage: Stage,
) -> None:
    backup = await stage.back_up()
    request = RestoreRequest(point=backup.point)
    preview = await stage.engine.restore_points.preview(CLUSTER, request)
    assert {blocker.code for blocker in preview.blockers} == {"restore.exists"}
    ref = await stage.engine.actions.restore(CLUSTER, request)
    row = await stage.finished(ref)
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "restore.blocked"
    assert len(row.failures) == len(preview.blockers)
    assert await stage.views() == 0


async def test_an_export_whose_backup_fails_says_so(stage: Stage) -> None:
    """The export waits for its point; when the backup ends without one, it ends too."""
    async with stage.client() as client:
        await client.delete(CLAIMS, "data", "visits")  # held by its pods
    ref = await stage.engine.actions.back_up(CLUSTER, "visits", export_to=LOCATION)
    backup = await stage.finished(ref)
    assert backup.outcome == "Failed"
    assert backup.error is not None
    assert backup.error.code == "cut.refused"
    export = await stage.until(
        lambda rows: next(
            (r for r in rows if r.kind == "ExportAction" and r.phase == "Finished"), None
        )
    )
    assert export.outcome == "Failed"
    assert export.error is not None
    assert export.error.code == "point.missing"
    assert await stage.points() == ()


async def test_a_worker_image_that_is_missing_ends_the_export_with_the_nodes_words(
    bare_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "NORMAL", Patience(image_s=0.5))
    await bare_stage.prepare(watch=False)
    await bare_stage.sandbox.deploy_visits()
    await bare_stage.add_location()
    async with bare_stage.client() as client:
        image = {"spec": {"workers": {"image": "registry.invalid/nothing:1"}}}
        await client.patch(SETTINGS, "default", NAMESPACE, merge=image)
    await bare_stage.engine.clusters.watch(CLUSTER)
    row = await bare_stage.finished(await export_of(bare_stage, await bare_stage.back_up()))
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "worker.image"
    assert "registry.invalid/nothing:1" in row.error.message
    async with bare_stage.client() as client:
        for kind in (JOBS, CLAIMS, PODS):
            assert await client.list(kind, WORKERS_NAMESPACE) == [], kind
