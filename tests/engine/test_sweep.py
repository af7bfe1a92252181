"""What dead engines and deleted actions leave goes by name; points and their data stay."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from console.engine.aiokit import BoundedExecutor
from console.engine.controller.sweeping import sweep
from console.engine.errors import LostLease, NotFound
from console.engine.model.intent import SettingsSpec, Slots
from console.engine.model.kinds import (
    BACKUP_ACTIONS,
    CLAIMS,
    EVENTS,
    JOBS,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    SECRETS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import (
    ANNOTATION_RECLAIM_POLICY,
    LABEL_ACTION_UID,
    LABEL_ROLE,
    NAMESPACE,
    WORKERS_NAMESPACE,
)
from console.engine.volumes.drive import Drive
from console.engine.volumes.slots import SlotTable
from tests.engine.driven import KILLED
from tests.engine.story import CLUSTER, Stage
from tests.engine.test_killed import driven
from tests.engine.test_story import nothing_is_left

if TYPE_CHECKING:
    from console.engine import ActionRef, Leftover
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import RawObject

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def quiet_stage(bare_stage: Stage) -> Stage:
    """A stage whose own engine only asks and does not drive yet."""
    await bare_stage.prepare(watch=False)
    await bare_stage.sandbox.deploy_visits()
    await bare_stage.add_location()
    return bare_stage


async def left(stage: Stage) -> dict[tuple[str, str], Leftover]:
    """The leftovers that are listed, by resource and name."""
    found = await stage.engine.clusters.leftovers(CLUSTER)
    return {(one.resource, one.name): one for one in found.items}


async def swept(stage: Stage) -> None:
    """Let the stage's engine drive, and wait until it has carried an action out."""
    await stage.engine.clusters.watch(CLUSTER, take_over=True)
    assert (await stage.back_up()).outcome == "Complete"


async def told(client: KubeClient) -> list[str]:
    """What the Events say that was swept."""
    events = await client.list(EVENTS, NAMESPACE)
    return [event["message"] for event in events if event["reason"] == "Swept"]


async def deleted(stage: Stage, ref: ActionRef) -> None:
    """Delete an action behind every engine's back."""
    async with stage.client() as client:
        await client.delete(BACKUP_ACTIONS, ref.name, ref.namespace)


@pytest.mark.parametrize(
    "write", ["/restorepointcontents", "/volumesnapshots", "/secrets", "/volumesnapshotcontents"]
)
async def test_a_backup_that_died_and_was_deleted_is_swept_by_name(
    quiet_stage: Stage, write: str
) -> None:
    stage = quiet_stage
    await driven(stage, await stage.engine.actions.back_up(CLUSTER, "visits"))
    (kept,) = await stage.points()
    assert await left(stage) == {}
    snapshots = stage.folder / "sandbox" / "snapshots"
    before = {path.name for path in snapshots.iterdir()}

    ref = await stage.engine.actions.back_up(CLUSTER, "visits")
    code, _ = await driven(stage, ref, kill_at=write)
    assert code == KILLED
    assert await left(stage) == {}, "what an action has still to carry out is no leftover"
    await deleted(stage, ref)
    found = await left(stage)
    assert found
    assert await left(stage) == found, "listing changes nothing"
    assert all(one.reason for one in found.values())

    await swept(stage)
    async with stage.client() as client:
        messages = await told(client)
        for resource, name in found:
            assert any(f"{resource} " in text and name in text for text in messages)
        mine = f"{LABEL_ACTION_UID}={ref.uid}"
        for kind in (SNAPSHOTS, SNAPSHOT_CONTENTS, RESTORE_POINT_CONTENTS, JOBS, CLAIMS):
            assert await client.list(kind, labels=mine) == [], kind
        manifests = await client.list(SECRETS, NAMESPACE, labels=f"{LABEL_ROLE}=manifest")
    assert len(manifests) == 2
    points = await stage.points()
    assert len(points) == 2
    assert kept in points
    assert before <= {path.name for path in snapshots.iterdir()}
    assert await left(stage) == {}
    restored = await stage.restore(kept.name, target="again")
    assert restored.outcome == "Complete"
    await nothing_is_left(stage)


async def test_a_point_that_lacked_only_its_last_word_gets_it(quiet_stage: Stage) -> None:
    """The manifest says that the point is whole: it would bring its content back anyway."""
    stage = quiet_stage
    ref = await stage.engine.actions.back_up(CLUSTER, "visits")
    await driven(stage, ref)
    (point,) = await stage.points()
    async with stage.client() as client:
        raw = await client.get(RESTORE_POINT_CONTENTS, point.name)
        raw["status"] = {"state": "Building"}
        await client.replace(RESTORE_POINT_CONTENTS, raw, subresource="status")
    await deleted(stage, ref)
    ((key, one),) = (await left(stage)).items()
    assert (key[1], one.verb) == (point.name, "complete")
    await swept(stage)
    assert point in await stage.points()


async def test_what_a_forgotten_point_has_is_no_leftover(quiet_stage: Stage) -> None:
    """Deleting a content only forgets: its snapshots and its manifest wait for the next look."""
    stage = quiet_stage
    ref = await stage.engine.actions.back_up(CLUSTER, "visits")
    await driven(stage, ref)
    await deleted(stage, ref)
    async with stage.client() as client:
        for raw in await client.list(RESTORE_POINTS):
            await client.delete(RESTORE_POINTS, raw["metadata"]["name"], "visits")
        for raw in await client.list(RESTORE_POINT_CONTENTS):
            await client.delete(RESTORE_POINT_CONTENTS, raw["metadata"]["name"])
    assert await left(stage) == {}


async def test_workers_things_of_a_deleted_action_go(quiet_stage: Stage) -> None:
    stage = quiet_stage
    metadata = {"namespace": WORKERS_NAMESPACE, "labels": {LABEL_ACTION_UID: "gone"}}
    async with stage.client() as client:
        secret: RawObject = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "kh-000000000001", **metadata},
        }
        await client.create(SECRETS, secret)
        claim: RawObject = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "kh-000000000002", **metadata},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        await client.create(CLAIMS, claim)
        bound = await client.wait_for(
            CLAIMS,
            "kh-000000000002",
            WORKERS_NAMESPACE,
            lambda raw: raw.get("status", {}).get("phase") == "Bound",
            timeout_s=60,
        )
        volume = bound["spec"]["volumeName"]
        retained = {
            "metadata": {"annotations": {ANNOTATION_RECLAIM_POLICY: "Delete"}},
            "spec": {"persistentVolumeReclaimPolicy": "Retain"},
        }
        await client.patch(VOLUMES, volume, merge=retained)
        found = await left(stage)
        assert [(one.verb, one.name) for one in found.values()] == [
            ("return", volume),
            ("delete", "kh-000000000002"),
            ("delete", "kh-000000000001"),
        ]
        await swept(stage)
        assert await client.find(SECRETS, "kh-000000000001", WORKERS_NAMESPACE) is None
        # with its policy back, the volume went with its claim
        with contextlib.suppress(NotFound):
            await client.wait_for(VOLUMES, volume, "", lambda _raw: False, timeout_s=60)
    await nothing_is_left(stage)


async def test_a_retirement_that_was_deleted_leaves_a_damaged_point(quiet_stage: Stage) -> None:
    stage = quiet_stage
    await driven(stage, await stage.engine.actions.back_up(CLUSTER, "visits"))
    (point,) = await stage.points()
    async with stage.client() as client:
        raw = await client.get(RESTORE_POINT_CONTENTS, point.name)
        raw["status"]["state"] = "Retiring"
        await client.replace(RESTORE_POINT_CONTENTS, raw, subresource="status")
    ((key, one),) = (await left(stage)).items()
    assert (key[1], one.verb) == (point.name, "mark")
    await swept(stage)
    marked = await stage.engine.restore_points.show(CLUSTER, point.name)
    assert marked.state == "Damaged"
    assert "retire it again" in marked.reason


async def test_nothing_is_swept_by_an_engine_that_does_not_hold_the_lease(
    quiet_stage: Stage,
) -> None:
    stage = quiet_stage
    async with stage.client() as client, BoundedExecutor("test", threads=1) as threads:
        body: RawObject = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "kh-000000000001",
                "namespace": WORKERS_NAMESPACE,
                "labels": {LABEL_ACTION_UID: "gone"},
            },
        }
        await client.create(SECRETS, body)
        drive = Drive(
            client=client,
            cluster_uid="",
            holder="cli:somebody@else/1",
            epoch=1,
            settings=SettingsSpec(),
            slots=SlotTable(Slots()),
            threads=threads,
        )
        with pytest.raises(LostLease):
            await sweep(drive, [], on_swept=lambda _leftover: None)
        assert await client.find(SECRETS, "kh-000000000001", WORKERS_NAMESPACE) is not None
