"""Kubehaven is taken out of a cluster and put back: data stays, and comes back with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.engine import EngineError
from console.engine.model.kinds import (
    BACKUP_ACTIONS,
    CRDS,
    LEASES,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    Kind,
)
from console.engine.model.names import LABEL_ROLE, LEASE, NAMESPACE, WORKERS_NAMESPACE
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from console.engine import RemovePlan

pytestmark = pytest.mark.timeout(180)

ROLES = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
DATA = ((SECRETS, NAMESPACE), (SNAPSHOTS, WORKERS_NAMESPACE), (SNAPSHOT_CONTENTS, ""))


async def removed(stage: Stage, *, retire_local: bool = False) -> RemovePlan:
    """Remove exactly as it was shown."""
    clusters = stage.engine.clusters
    plan = await clusters.plan_remove(CLUSTER, retire_local=retire_local)
    assert plan.blockers == ()
    return await clusters.remove(CLUSTER, plan_hash=plan.hash, retire_local=retire_local)


async def prepared(stage: Stage) -> tuple[str, ...]:
    """Prepare again and drive; the points that were found."""
    clusters = stage.engine.clusters
    plan = await clusters.plan_prepare(CLUSTER)
    done = await clusters.prepare(CLUSTER, plan_hash=plan.hash)
    await clusters.watch(CLUSTER)
    return done.recovered


async def uids(stage: Stage, kind: Kind, namespace: str = "") -> set[str]:
    """Of all objects of a kind."""
    async with stage.client() as client:
        return {raw["metadata"]["uid"] for raw in await client.list(kind, namespace)}


async def ours_left(stage: Stage) -> list[str]:
    """What of ours is there but what holds data."""
    async with stage.client() as client:
        found = [raw for kind in (CRDS, ROLES) for raw in await client.list(kind)]
        found += await client.list(SERVICE_ACCOUNTS, WORKERS_NAMESPACE)
        found += await client.list(LEASES, NAMESPACE)
        names = [raw["metadata"]["name"] for raw in found]
        return [name for name in names if "kubehaven" in name]


async def test_remove_keeps_the_data_and_prepare_brings_the_points_back(stage: Stage) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up(export=True)).outcome == "Complete"
    before = await stage.point("local")
    data = [await uids(stage, kind, namespace) for kind, namespace in DATA]
    applications = await uids(stage, NAMESPACES)

    plan = await stage.engine.clusters.plan_remove(CLUSTER)
    kept = {(one.resource, one.name) for one in plan.objects if one.verb == "keep"}
    assert {one.count for one in plan.records if one.resource.startswith("backupactions")} == {1}
    assert [(one.name, one.folder) for one in plan.locations] == [(LOCATION, str(stage.store))]
    await removed(stage)
    assert await ours_left(stage) == []
    assert [await uids(stage, kind, namespace) for kind, namespace in DATA] == data
    assert await uids(stage, NAMESPACES) == applications
    async with stage.client() as client:
        for kind, namespace in DATA[:2]:
            names = {raw["metadata"]["name"] for raw in await client.list(kind, namespace)}
            assert {(kind.resource, name) for name in names} <= kept
    (row,) = await stage.engine.clusters.list()
    assert (row.engine, row.holder) == ("unprepared", "")

    assert await prepared(stage) == (before.name,)
    (point,) = await stage.points()
    assert point == before
    assert (await stage.restore(point.name, target="again")).outcome == "Complete"
    assert await stage.views("again") == 1
    assert [await uids(stage, kind, namespace) for kind, namespace in DATA] == data


async def test_local_points_are_freed_first_where_that_was_asked_for(stage: Stage) -> None:
    for _ in range(2):
        assert (await stage.back_up()).outcome == "Complete"
    points = {point.name for point in await stage.points()}
    done = await removed(stage, retire_local=True)
    assert set(done.retires) == points
    assert not {one.resource for one in done.objects if one.verb == "keep"} & {SNAPSHOTS.resource}
    assert await ours_left(stage) == []
    assert await uids(stage, SNAPSHOTS) == await uids(stage, SNAPSHOT_CONTENTS) == set()
    async with stage.client() as client:
        roles = {
            raw["metadata"]["labels"][LABEL_ROLE] for raw in await client.list(SECRETS, NAMESPACE)
        }
    assert not roles & {"manifest", "pack"}
    assert {"location-key", "objects-key"} <= roles
    assert await prepared(stage) == ()


async def test_a_removal_that_broke_off_goes_on(stage: Stage) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    before = await stage.point("local")
    async with stage.client() as client:
        for name in ("restorepointcontents.kubehaven.io", "settings.kubehaven.io"):
            assert await client.delete(CRDS, name)
    await removed(stage)
    assert await ours_left(stage) == []
    again = await stage.engine.clusters.plan_remove(CLUSTER)
    assert {one.verb for one in again.objects} == {"keep"}
    assert await prepared(stage) == (before.name,)


async def test_an_action_that_has_not_ended_is_in_the_way(stage: Stage) -> None:
    shown = await stage.engine.clusters.plan_remove(CLUSTER)
    async with stage.client() as client:
        body = {
            "apiVersion": "kubehaven.io/v1alpha1",
            "kind": "BackupAction",
            "metadata": {"name": "another", "namespace": NAMESPACE},
            "spec": {
                "subject": {"name": "visits"},
                "paused": True,
                "requestedBy": {"username": (await client.whoami()).username},
            },
        }
        await client.create(BACKUP_ACTIONS, body)
        plan = await stage.engine.clusters.plan_remove(CLUSTER)
        assert [(one.code, one.object) for one in plan.blockers] == [
            ("remove.busy", "BackupAction kubehaven/another")
        ]
        with pytest.raises(EngineError) as caught:
            await stage.engine.clusters.remove(CLUSTER, plan_hash=shown.hash)
        assert caught.value.code == "remove.busy"
        assert await client.find(CRDS, BACKUP_ACTIONS.resource) is not None


async def test_another_engine_is_in_the_way(stage: Stage) -> None:
    shown = await stage.engine.clusters.plan_remove(CLUSTER)
    async with stage.client() as client:
        taken = {"holderIdentity": "desktop:anna@laptop/1", "leaseDurationSeconds": 600}
        await client.patch(LEASES, LEASE, NAMESPACE, merge={"spec": taken})
        plan = await stage.engine.clusters.plan_remove(CLUSTER)
        assert [one.code for one in plan.blockers] == ["remove.driven"]
        assert "anna@laptop" in plan.blockers[0].message
        with pytest.raises(EngineError) as caught:
            await stage.engine.clusters.remove(CLUSTER, plan_hash=shown.hash)
        assert caught.value.code == "remove.driven"
        assert await client.find(CRDS, BACKUP_ACTIONS.resource) is not None
