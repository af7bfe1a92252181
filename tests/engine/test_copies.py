"""Volumes that nothing can snapshot: an export copies them by a twin, and theirs stay untouched."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from console.engine import RestoreRequest
from console.engine.errors import NotFound
from console.engine.model.kinds import CLAIMS, PODS, SNAPSHOT_CLASSES, VOLUMES
from console.engine.model.names import LABEL_ROLE
from tests.engine.story import CLUSTER, LOCATION, Stage
from tests.engine.test_claims import codes
from tests.engine.test_killed import driven, killed_everywhere, shown
from tests.engine.test_story import check_every_repository, nothing_is_left

if TYPE_CHECKING:
    from pathlib import Path

    from console.engine import ActionRef, ActionView, PointView
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import Kind

pytestmark = pytest.mark.timeout(180)

LINUX = {"key": "kubernetes.io/os", "operator": "Exists"}
SAID = "claim.copied_by_export"


@pytest.fixture
async def quiet_stage(bare_stage: Stage) -> Stage:
    """An application with a volume of a folder, beside two of a driver; nobody drives yet."""
    await bare_stage.prepare(watch=False)
    await bare_stage.add_location()
    await bare_stage.deploy_stamps()
    await with_folder(bare_stage)
    return bare_stage


async def with_folder(stage: Stage) -> Path:
    """A static volume on a folder, and the claim `shared` that is bound to it."""
    folder = stage.folder / "export"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "picture").write_bytes(b"pixels" * 1000)
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "folder"},
        "spec": {
            **common,
            "capacity": {"storage": "64Mi"},
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [LINUX]}]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "shared", "namespace": "stamps"},
        "spec": {
            **common,
            "volumeName": "folder",
            "resources": {"requests": {"storage": "64Mi"}},
        },
    }
    async with stage.client() as client:
        await client.create(VOLUMES, volume)
        await client.create(CLAIMS, claim)
        await client.wait_for(
            CLAIMS, "shared", "stamps", lambda raw: _phase(raw) == "Bound", timeout_s=20
        )
    return folder


def _phase(raw: dict[str, Any]) -> str:
    return str(raw.get("status", {}).get("phase", ""))


async def gone(client: KubeClient, kind: Kind, name: str) -> None:
    with contextlib.suppress(NotFound):
        await client.wait_for(kind, name, "stamps", lambda _raw: False, timeout_s=20)


async def no_twin(client: KubeClient) -> None:
    assert await client.list(VOLUMES, labels=f"{LABEL_ROLE}=twin") == []


async def exported(stage: Stage, point: PointView) -> ActionView:
    return await stage.finished(
        await stage.engine.actions.export(CLUSTER, point.name, location=LOCATION)
    )


async def test_a_static_volume_is_copied_by_a_twin(quiet_stage: Stage) -> None:
    stage = quiet_stage
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    async with stage.client() as client:
        before = [await client.get(VOLUMES, "folder"), await client.get(CLAIMS, "shared", "stamps")]
    row = await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps"))
    assert (row.outcome, codes(row)) == ("Partial", [(SAID, "PersistentVolumeClaim stamps/shared")])
    local = await stage.point("local")
    assert [v.pvc for v in local.volumes if not v.crash_consistent] == ["shared"]
    preview = await stage.engine.restore_points.preview(
        CLUSTER, RestoreRequest(point=local.name, target="copy")
    )
    assert "point.data_exported_only" in {blocker.code for blocker in preview.blockers}
    done = await exported(stage, local)
    assert done.outcome == "Complete", done
    async with stage.client() as client:
        await no_twin(client)
        after = [await client.get(VOLUMES, "folder"), await client.get(CLAIMS, "shared", "stamps")]
    assert after == before
    await nothing_is_left(stage)
    point = await stage.point("exported")
    (copied,) = [volume for volume in point.volumes if not volume.crash_consistent]
    assert copied.copied_at >= point.taken_at
    request = RestoreRequest(point=point.name, target="copy", storage_class_map={"": "sandbox"})
    preview = await stage.engine.restore_points.preview(CLUSTER, request)
    assert not preview.blockers, preview.blockers
    assert "restore.not_crash_consistent" in {one.code for one in preview.warnings}
    restored = await stage.finished(
        await stage.engine.actions.restore(CLUSTER, request, plan_hash=preview.hash)
    )
    assert restored.outcome == "Complete", restored
    volumes = stage.folder / "sandbox" / "volumes"
    (picture,) = volumes.glob("*/sub/picture")
    assert picture.read_bytes() == (stage.folder / "export/sub/picture").read_bytes()
    check_every_repository(stage)


async def test_without_a_class_volumes_in_use_need_the_node(quiet_stage: Stage) -> None:
    stage = quiet_stage
    async with stage.client() as client:
        for found in await client.list(SNAPSHOT_CLASSES):
            await client.delete(SNAPSHOT_CLASSES, found["metadata"]["name"])
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    row = await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps"))
    assert (row.outcome, row.error and row.error.code) == ("Failed", "cut.refused")
    assert {code for code, _ in codes(row)} == {"copy.node_path_off"}
    assert "--allow-node-path" in row.failures[0].hint
    async with stage.client() as client:
        await client.delete(PODS, "stamps", "stamps")
        await gone(client, PODS, "stamps")
    row = await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps"))
    assert (row.outcome, len(row.failures)) == ("Partial", 3)
    done = await exported(stage, await stage.point("local"))
    assert done.outcome == "Complete", done
    async with stage.client() as client:
        await no_twin(client)
        there = [raw for raw in await client.list(CLAIMS, "stamps") if _phase(raw) == "Bound"]
        assert len(there) == 3
    await nothing_is_left(stage)
    check_every_repository(stage)


async def test_another_claim_of_the_same_name_is_not_copied(quiet_stage: Stage) -> None:
    stage = quiet_stage
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    await stage.engine.actions.back_up(CLUSTER, "stamps")
    await stage.until(lambda rows: next((r for r in rows if r.phase == "Finished"), None))
    async with stage.client() as client:
        await client.delete(CLAIMS, "shared", "stamps")
        await gone(client, CLAIMS, "shared")
    row = await exported(stage, await stage.point("local"))
    assert (row.outcome, row.error and row.error.code) == ("Failed", "copy.replaced")
    await nothing_is_left(stage)


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_an_engine_is_killed_while_it_copies(quiet_stage: Stage) -> None:
    stage = quiet_stage
    async with stage.client() as client:
        await client.delete(PODS, "stamps", "stamps")
        for name in ("one", "two"):
            await client.delete(CLAIMS, name, "stamps")
        before = await client.get(VOLUMES, "folder")

    async def ask(_number: int) -> ActionRef:
        backup = await stage.engine.actions.back_up(CLUSTER, "stamps")
        await driven(stage, backup)
        point = (await shown(stage, backup)).point
        return await stage.engine.actions.export(CLUSTER, point, location=LOCATION)

    async def check(_row: ActionView) -> None:
        async with stage.client() as client:
            await no_twin(client)
            assert await client.get(VOLUMES, "folder") == before
        await nothing_is_left(stage)

    await killed_everywhere(stage, ask, check)
    check_every_repository(stage)
