"""A restore in place swaps volumes and its undo swaps them back; nothing is overwritten or lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from console.engine import EngineError, RestoreRequest
from console.engine.kube import Changed
from console.engine.model.kinds import CLAIMS, DEPLOYMENTS, PODS, VOLUMES, RawObject
from console.engine.model.names import LABEL_ROLE, ROLE_UNDO
from tests.engine.story import CLUSTER, Stage
from tests.engine.test_story import nothing_is_left

if TYPE_CHECKING:
    from console.engine import ActionRef, ActionView


async def restored_in_place(stage: Stage, kind: str) -> ActionView:
    """Views 2 in the point, 4 now; the row of the restore in place."""
    await stage.views(open_page=True)
    assert await stage.views(open_page=True) == 2
    assert (await stage.back_up(export=kind == "exported")).outcome == "Complete"
    await stage.views(open_page=True)
    assert await stage.views(open_page=True) == 4
    return await stage.finished(await ask_in_place(stage, kind))


async def ask_in_place(stage: Stage, kind: str = "local") -> ActionRef:
    """Ask for a restore in place, after its preview."""
    request = RestoreRequest(point=(await stage.point(kind)).name, in_place=True)
    preview = await stage.engine.restore_points.preview(CLUSTER, request)
    assert not preview.blockers, preview.blockers
    return await stage.engine.actions.restore(CLUSTER, request, plan_hash=preview.hash)


async def kept(stage: Stage) -> list[RawObject]:
    """The volumes that are kept for an undo."""
    async with stage.client() as client:
        return await client.list(VOLUMES, labels=f"{LABEL_ROLE}={ROLE_UNDO}")


@pytest.mark.parametrize("kind", ["local", "exported"])
async def test_a_restore_in_place_and_its_undo(stage: Stage, kind: str) -> None:
    row = await restored_in_place(stage, kind)
    assert row.outcome == "Complete", row
    assert await stage.views() == 2
    assert row.swap is not None
    assert row.swap.stands == "new"
    assert row.swap.downtimeSeconds > 0
    old = {volume.old for volume in row.swap.volumes}
    there = await kept(stage)
    assert {raw["metadata"]["name"] for raw in there} == old
    assert {raw["spec"]["persistentVolumeReclaimPolicy"] for raw in there} == {"Retain"}
    await policies_are_back(stage)
    await nothing_is_left(stage)

    undo = await stage.finished(await stage.engine.actions.undo(CLUSTER, row.namespace, row.name))
    assert undo.outcome == "Complete", undo
    assert await stage.views() == 4
    await policies_are_back(stage)
    new = {volume.new for volume in row.swap.volumes}
    assert {raw["metadata"]["name"] for raw in await kept(stage)} == new

    with pytest.raises(EngineError) as caught:
        await stage.engine.actions.undo(CLUSTER, row.namespace, row.name)
    assert caught.value.code == "undo.done"


async def policies_are_back(stage: Stage) -> None:
    """Every volume of the application has the reclaim policy of its class, and no note of ours."""
    async with stage.client() as client:
        for claim in await client.list(CLAIMS, "visits"):
            volume = await client.get(VOLUMES, claim["spec"]["volumeName"])
            assert volume["status"]["phase"] == "Bound"
            assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
            notes = volume["metadata"].get("annotations", {})
            assert not [key for key in notes if key.startswith("kubehaven.io/")]


async def test_a_pod_that_nothing_stops_is_a_blocker(stage: Stage) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bare", "namespace": "visits"},
        "spec": {
            "containers": [
                {
                    "name": "writer",
                    "image": "sandbox.kubehaven.io/writer:1",
                    "args": ["/log"],
                    "volumeMounts": [{"name": "log", "mountPath": "/log"}],
                }
            ],
            "volumes": [{"name": "log", "persistentVolumeClaim": {"claimName": "log"}}],
        },
    }
    async with stage.client() as client:
        await client.create(PODS, pod)
    request = RestoreRequest(point=(await stage.point("local")).name, in_place=True)
    preview = await stage.engine.restore_points.preview(CLUSTER, request)
    assert [blocker.code for blocker in preview.blockers] == ["swap.unmanaged_pod"]


async def test_without_in_place_nothing_that_is_there_is_touched(stage: Stage) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    request = RestoreRequest(point=(await stage.point("local")).name)
    preview = await stage.engine.restore_points.preview(CLUSTER, request)
    assert {blocker.code for blocker in preview.blockers} == {"restore.exists"}
    assert all("in place" in blocker.hint for blocker in preview.blockers)


async def test_a_cancel_leaves_the_application_running_on_one_kind_of_volumes(
    stage: Stage,
) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up()).outcome == "Complete"
    await stage.views(open_page=True)
    ref = await ask_in_place(stage)
    await stage.until(
        lambda rows: next(
            (r for r in rows if r.uid == ref.uid and r.swap and r.swap.stoppedAt), None
        )
    )
    await stage.engine.actions.cancel(CLUSTER, ref.kind, ref.namespace, ref.name)
    row = await stage.finished(ref)
    assert row.swap is not None
    assert (row.outcome, row.swap.stands) in {("Cancelled", "old"), ("Complete", "new")}
    assert await stage.views() == (2 if row.swap.stands == "old" else 1)
    async with stage.client() as client:
        for raw in await client.list(DEPLOYMENTS, "visits"):
            assert raw["spec"]["replicas"] == 1
    await policies_are_back(stage)


async def test_a_workload_that_somebody_scales_up_meanwhile_keeps_its_old_volumes(
    stage: Stage,
) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up()).outcome == "Complete"
    assert await stage.views(open_page=True) == 2

    async def operator() -> None:
        async with (
            stage.client() as client,
            contextlib.aclosing(client.follow(DEPLOYMENTS, "visits")) as changes,
        ):
            async for change in changes:
                if isinstance(change, Changed) and change.object["spec"]["replicas"] == 0:
                    name = change.object["metadata"]["name"]
                    await client.patch(DEPLOYMENTS, name, "visits", merge={"spec": {"replicas": 1}})

    async with asyncio.TaskGroup() as group:
        meddling = group.create_task(operator())
        row = await stage.finished(await ask_in_place(stage))
        meddling.cancel()
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "swap.scaled_up"
    assert row.swap is not None
    assert row.swap.stands == "old"
    assert "swap.old_stands" in [failure.code for failure in row.failures]
    assert await stage.views() == 2
    await policies_are_back(stage)
    assert await kept(stage) == []
