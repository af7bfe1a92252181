"""Claims in odd states, snapshots that are slow or bad: the right outcome, and nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.engine import RestoreRequest
from console.engine.model.kinds import (
    CLAIMS,
    RESTORE_POINT_CONTENTS,
    SETTINGS,
    SNAPSHOT_CLASSES,
    SNAPSHOT_CONTENTS,
    VOLUMES,
)
from console.engine.model.names import NAMESPACE
from console.engine.model.names import SETTINGS as SETTINGS_NAME
from tests.engine.driven import KILLED
from tests.engine.story import CLUSTER, Stage, stamped_claim
from tests.engine.test_killed import driven
from tests.engine.test_story import nothing_is_left

if TYPE_CHECKING:
    from typing import Any

    from console.engine import ActionView

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def quiet_stage(bare_stage: Stage) -> Stage:
    """A stage whose own engine only asks and does not drive yet."""
    await bare_stage.prepare(watch=False)
    await bare_stage.deploy_stamps()
    return bare_stage


async def with_settings(stage: Stage, **spec: int) -> None:
    """Settings, read when an engine begins to drive."""
    async with stage.client() as client:
        await client.patch(SETTINGS, SETTINGS_NAME, NAMESPACE, merge={"spec": spec})
    await stage.engine.clusters.watch(CLUSTER, take_over=True)


async def with_class(stage: Stage, **parameters: str) -> None:
    """Let the snapshots that follow behave differently."""
    async with stage.client() as client:
        (found,) = await client.list(SNAPSHOT_CLASSES)
        merge = {"parameters": parameters}
        await client.patch(SNAPSHOT_CLASSES, found["metadata"]["name"], merge=merge)


async def back_up(stage: Stage) -> ActionView:
    return await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps"))


def codes(row: ActionView) -> list[tuple[str, str]]:
    return [(failure.code, failure.object) for failure in row.failures]


async def no_half_point(stage: Stage) -> None:
    async with stage.client() as client:
        assert await client.list(RESTORE_POINT_CONTENTS) == []
        assert await client.list(SNAPSHOT_CONTENTS) == []
    await nothing_is_left(stage)


async def test_a_claim_without_a_volume_is_in_the_point_without_data(quiet_stage: Stage) -> None:
    stage = quiet_stage
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    async with stage.client() as client:
        waiting: dict[str, Any] = stamped_claim("never")
        waiting["spec"] = {**waiting["spec"], "storageClassName": "sandbox-wait"}
        await client.create(CLAIMS, waiting)
    row = await back_up(stage)
    assert row.outcome == "Partial"
    assert codes(row) == [("claim.pending", "PersistentVolumeClaim stamps/never")]
    restored = await stage.restore((await stage.point("local")).name, target="copy")
    assert restored.outcome == "Complete", restored
    async with stage.client() as client:
        there = {raw["metadata"]["name"]: raw for raw in await client.list(CLAIMS, "copy")}
    assert there["one"]["status"]["phase"] == there["two"]["status"]["phase"] == "Bound"
    assert "volumeName" not in there["never"]["spec"]


@pytest.mark.parametrize("code", ["claim.lost", "claim.deleting"])
async def test_data_that_is_gone_or_going_fails_the_backup(quiet_stage: Stage, code: str) -> None:
    stage = quiet_stage
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    async with stage.client() as client:
        if code == "claim.lost":
            await client.create(CLAIMS, stamped_claim("gone"))
            claim = await client.wait_for(
                CLAIMS, "gone", "stamps", lambda raw: _phase(raw) == "Bound", timeout_s=20
            )
            await client.delete(VOLUMES, claim["spec"]["volumeName"])
            await client.patch(
                VOLUMES, claim["spec"]["volumeName"], merge={"metadata": {"finalizers": None}}
            )
            await client.wait_for(
                CLAIMS, "gone", "stamps", lambda raw: _phase(raw) == "Lost", timeout_s=20
            )
        else:
            await client.delete(CLAIMS, "one", "stamps")  # its pod holds it
    row = await back_up(stage)
    name = "gone" if code == "claim.lost" else "one"
    assert (row.outcome, row.error and row.error.code) == ("Failed", "cut.refused")
    assert codes(row) == [(code, f"PersistentVolumeClaim stamps/{name}")]
    await no_half_point(stage)


def _phase(raw: dict[str, Any]) -> str:
    return str(raw.get("status", {}).get("phase", ""))


async def test_a_snapshot_that_never_gets_ready_ends_the_restore(quiet_stage: Stage) -> None:
    stage = quiet_stage
    await with_class(stage, delay="86400")
    await with_settings(stage, snapshotReadySeconds=1)
    assert (await back_up(stage)).outcome == "Complete"
    point = await stage.point("local")
    row = await stage.restore(point.name, target="copy")
    assert (row.outcome, row.error and row.error.code) == ("Failed", "snapshot.not_ready")
    await nothing_is_left(stage)
    async with stage.client() as client:
        assert await client.list(CLAIMS, "copy") == []
    assert (await stage.point("local")).state == "Ready"


async def test_a_restore_cancelled_before_it_gave_a_volume_takes_its_claim_back(
    quiet_stage: Stage,
) -> None:
    stage = quiet_stage
    ref = await stage.engine.actions.back_up(CLUSTER, "stamps")
    await driven(stage, ref)
    point = await stage.point("local")
    request = RestoreRequest(point=point.name, target="copy")
    ref = await stage.engine.actions.restore(CLUSTER, request)
    code, _ = await driven(stage, ref, kill_at="/namespaces/copy/persistentvolumeclaims")
    assert code == KILLED
    async with stage.client() as client:
        made = await client.list(CLAIMS, "copy")  # two are on their way at once
        assert {_phase(claim) for claim in made} == {"Pending"}
    await stage.engine.actions.cancel(CLUSTER, ref.kind, ref.namespace, ref.name)
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    assert (await stage.finished(ref, within_s=80)).outcome == "Cancelled"
    await nothing_is_left(stage)
    async with stage.client() as client:
        assert await client.list(CLAIMS, "copy") == []
        assert len(await client.list(VOLUMES)) == 2, "only the application's own"
    ref = await stage.engine.actions.restore(CLUSTER, request)
    again = await stage.finished(ref, within_s=80)
    assert again.outcome == "Complete", again
