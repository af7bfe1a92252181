"""What must never happen: attacks are refused with the reason, and forgetting frees nothing."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.engine import open_engine
from console.engine.model.kinds import (
    BACKUP_ACTIONS,
    NAMESPACES,
    RESTORE_ACTIONS,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
)
from console.engine.model.names import API_VERSION, NAMESPACE
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import RawObject


def restore_action(namespace: str, **spec: object) -> RawObject:
    """A RestoreAction as an attacker would write it."""
    return {
        "apiVersion": API_VERSION,
        "kind": "RestoreAction",
        "metadata": {"name": "attack", "namespace": namespace},
        "spec": spec,
    }


async def settled(client: KubeClient, namespace: str) -> RawObject:
    """The attack's status when the engine has decided."""
    raw = await client.wait_for(
        RESTORE_ACTIONS,
        "attack",
        namespace,
        lambda raw: bool(
            raw.get("status", {}).get("phase") == "Finished" or raw.get("status", {}).get("reason")
        ),
        timeout_s=15,
    )
    status: RawObject = raw["status"]
    return status


async def test_a_point_that_names_another_namespaces_content_is_refused(stage: Stage) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    point = await stage.point("local")
    async with stage.client() as client:
        await client.create(NAMESPACES, _namespace("mallory"))
        stolen = {
            "apiVersion": API_VERSION,
            "kind": "RestorePoint",
            "metadata": {"name": "stolen", "namespace": "mallory"},
            "spec": {"restorePointContentRef": {"name": point.name}},
        }
        await client.create(RESTORE_POINTS, stolen)
        subject = {"kind": "RestorePoint", "name": "stolen", "namespace": "mallory"}
        await client.create(RESTORE_ACTIONS, restore_action("mallory", subject=subject))
        status = await settled(client, "mallory")
    assert (status["phase"], status["outcome"]) == ("Finished", "Failed")
    assert status["error"]["code"] == "point.not_bound"


async def test_a_restore_with_another_target_than_its_namespace_is_refused(stage: Stage) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    point = await stage.point("local")
    async with stage.client() as client:
        subject = {"kind": "RestorePoint", "name": point.name, "namespace": "visits"}
        await client.create(
            RESTORE_ACTIONS, restore_action("visits", subject=subject, targetNamespace="victim")
        )
        status = await settled(client, "visits")
        assert await client.find(NAMESPACES, "victim") is None
    assert status["outcome"] == "Failed"
    assert status["error"]["code"] == "action.other_target"


async def test_an_action_outside_our_namespace_waits_where_nobody_checks_who_asks(
    stage: Stage,
) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    point = await stage.point("local")
    async with stage.client() as client:
        subject = {"kind": "RestorePoint", "name": point.name, "namespace": "visits"}
        await client.create(RESTORE_ACTIONS, restore_action("visits", subject=subject))
        status = await settled(client, "visits")
    assert (status["phase"], status["reason"]) == ("Pending", "SelfServiceUnavailable")


async def test_an_action_of_another_user_is_not_driven_by_this_desktop(stage: Stage) -> None:
    """Attack (e): a forged requestedBy; the next own action shows that the engine was awake."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "BackupAction",
        "metadata": {"name": "forged", "namespace": NAMESPACE},
        "spec": {
            "subject": {"kind": "Namespace", "name": "visits", "namespace": "visits"},
            "requestedBy": {"username": "somebody-else", "verified": True},
        },
    }
    async with stage.client() as client:
        await client.create(BACKUP_ACTIONS, body)
        assert (await stage.back_up()).outcome == "Complete"
        raw = await client.get(BACKUP_ACTIONS, "forged", NAMESPACE)
    assert raw.get("status", {}).get("phase", "Pending") == "Pending"
    assert [point.kind for point in await stage.points()] == ["local"]


async def test_a_spec_altered_after_acceptance_is_refused(stage: Stage) -> None:
    """The sandbox does not evaluate CEL, so the engine's own check is what stops it."""
    ref = await stage.engine.actions.back_up(CLUSTER, "visits")
    row = await stage.finished(ref)
    assert row.outcome == "Complete"
    async with stage.client() as client:
        raw = await client.get(BACKUP_ACTIONS, ref.name, NAMESPACE)
        altered = copy.deepcopy(raw)
        altered["status"] = {
            **{k: v for k, v in raw["status"].items() if k in {"specHash", "driver"}},
            "phase": "Pending",
        }
        altered["spec"]["subject"] = {"kind": "Namespace", "name": "other", "namespace": "other"}
        fresh = await client.patch(
            BACKUP_ACTIONS, ref.name, NAMESPACE, merge={"spec": altered["spec"]}
        )
        fresh["status"] = altered["status"]
        await client.replace(BACKUP_ACTIONS, fresh, subresource="status")
        done = await client.wait_for(
            BACKUP_ACTIONS,
            ref.name,
            NAMESPACE,
            lambda raw: raw["status"]["phase"] == "Finished",
            timeout_s=15,
        )
    assert done["status"]["error"]["code"] == "action.altered"


async def test_forgetting_frees_nothing_and_a_look_brings_all_back(stage: Stage) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up(export=True)).outcome == "Complete"
    before = {
        # that it was read back is known to its content alone
        point.name: msgspec.structs.replace(point, verified_at="")
        for point in await stage.points()
    }
    assert len(before) == 2
    async with stage.client() as client:
        for raw in await client.list(RESTORE_POINTS):
            await client.delete(RESTORE_POINTS, raw["metadata"]["name"], "visits")
        for raw in await client.list(RESTORE_POINT_CONTENTS):
            await client.delete(RESTORE_POINT_CONTENTS, raw["metadata"]["name"])
    assert await stage.points() == ()
    await stage.engine.clusters.forget(CLUSTER)

    async with open_engine(stage.folder / "another-desktop") as engine:
        await engine.clusters.add(CLUSTER, str(stage.sandbox.kubeconfig))
        plan = await engine.clusters.plan_prepare(CLUSTER)
        await engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
        await engine.clusters.watch(CLUSTER)
        stage.engine = engine
        await engine.locations.check(CLUSTER, LOCATION)
        after = {point.name: point for point in await stage.points()}
        assert after == before
        local = await stage.point("local")
        assert (await stage.restore(local.name, target="again")).outcome == "Complete"
        assert await stage.views("again") == 1


@pytest.mark.parametrize("when", ["queued", "running"])
async def test_a_cancelled_backup_leaves_nothing(stage: Stage, when: str) -> None:
    ref = await stage.engine.actions.back_up(CLUSTER, "visits")
    if when == "running":
        await stage.until(
            lambda rows: next((r for r in rows if r.uid == ref.uid and r.phase != "Pending"), None)
        )
    await stage.engine.actions.cancel(CLUSTER, ref.kind, ref.namespace, ref.name)
    row = await stage.finished(ref)
    if row.outcome == "Cancelled":
        async with stage.client() as client:
            assert await client.list(RESTORE_POINT_CONTENTS) == []
    else:
        assert row.outcome == "Complete"


def _namespace(name: str) -> RawObject:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
