"""The engine itself is refused: its actions end with the reason, or wait for another engine."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from console.engine import ExecHook, Notice, open_engine
from console.engine.errors import EngineError, LostLease
from console.engine.model.kinds import (
    CRDS,
    LEASES,
    NAMESPACES,
    RESTORE_POINT_CONTENTS,
    SECRETS,
    SNAPSHOTS,
)
from console.engine.model.names import LEASE, NAMESPACE
from console.sandbox.access import EVERYTHING, Rule
from tests.engine.story import CLUSTER, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from console.engine.kube import Write

BREAKS = ExecHook(podSelector="app=visits", pre=("false",))


@asynccontextmanager
async def engine_of(
    stage: Stage, *rules: Rule, on_write: Callable[[Write], Awaitable[None]] | None = None
) -> AsyncIterator[str]:
    """The stage's engine has an account of its own with these rights; its token."""
    token = stage.sandbox.access.add("eve", groups=["system:masters"], rules=rules)
    admin = stage.sandbox.kubeconfig.read_text()
    kubeconfig = stage.folder / "eve.kubeconfig"
    kubeconfig.write_text(admin.replace(stage.sandbox.token, token))
    kubeconfig.chmod(0o600)
    async with open_engine(stage.folder / "eve", on_write=on_write) as engine:
        await engine.clusters.add(CLUSTER, str(kubeconfig))
        await engine.clusters.watch(CLUSTER, take_over=True)
        stage.engine = engine
        yield token


@pytest.fixture
async def stage(bare_stage: Stage) -> Stage:
    """A prepared cluster with the sample application that nobody drives."""
    await bare_stage.prepare(watch=False)
    await bare_stage.sandbox.deploy_visits()
    return bare_stage


async def test_what_it_may_not_take_away_is_told_and_the_action_ends(stage: Stage) -> None:
    """Its rights are cut down after the action has begun."""
    verbs = ("get", "list", "watch", "create", "update", "patch")
    tokens: list[str] = []

    async def on_write(write: Write) -> None:
        if write.path.endswith("/restorepointcontents"):
            users = stage.sandbox.access._by_token
            users[tokens[0]] = replace(users[tokens[0]], rules=(Rule(verbs, ("*",), ("*",)),))

    async with engine_of(stage, EVERYTHING, on_write=on_write) as token:
        tokens.append(token)
        ref = await stage.engine.actions.back_up(CLUSTER, "visits", hooks=(BREAKS,))
        row = await stage.finished(ref)
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code.startswith("hook.")
    assert [failure.code for failure in row.failures] == ["cluster.forbidden"]
    assert "leftovers" in row.failures[0].hint


async def test_an_account_that_is_taken_away_is_told_and_another_engine_ends_its_action(
    stage: Stage,
) -> None:
    tokens: list[str] = []

    async def on_write(write: Write) -> None:
        if "/volumesnapshots" in write.path:
            stage.sandbox.access._by_token.pop(tokens[0], None)

    async with engine_of(stage, EVERYTHING, on_write=on_write) as token:
        tokens.append(token)
        ref = await stage.engine.actions.back_up(CLUSTER, "visits")
        async with asyncio.timeout(30):
            async for event in stage.engine.events():
                if isinstance(event, Notice) and event.code == "cluster.sign_in":
                    break
        rows = await stage.engine.clusters.list()
        assert [(row.engine, row.health) for row in rows] == [("idle", "refused")]
    async with open_engine(stage.folder / "home", host_kind="cluster") as engine:
        await engine.clusters.watch(CLUSTER, take_over=True)
        stage.engine = engine
        row = await stage.finished(ref)
    assert (row.outcome, row.error) == ("Complete", None)


async def test_a_namespace_that_is_deleted_during_its_backup_is_no_point(stage: Stage) -> None:
    async def on_write(write: Write) -> None:
        if "visits/volumesnapshots" in write.path and write.method == "POST":
            async with stage.client() as client:
                await client.delete(NAMESPACES, "visits")

    async with engine_of(stage, EVERYTHING, on_write=on_write):
        ref = await stage.engine.actions.back_up(CLUSTER, "visits")
        row = await stage.finished(ref)
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "backup.terminating"
    async with stage.client() as client:
        assert await client.list(RESTORE_POINT_CONTENTS) == []
        assert await client.list(SNAPSHOTS) == []


async def test_a_client_that_is_fenced_off_reads_and_does_not_write(stage: Stage) -> None:
    def check() -> None:
        raise LostLease("over")

    async with stage.client() as client:
        fenced = client.fenced(check)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "one", "namespace": "visits"},
        }
        with pytest.raises(LostLease):
            await fenced.create(SECRETS, body)
        with pytest.raises(LostLease):
            await fenced.delete(NAMESPACES, "visits")
        assert await fenced.find(SECRETS, "one", "visits") is None
        assert await fenced.get(NAMESPACES, "visits")


async def test_an_older_crd_is_told_and_nothing_is_driven(stage: Stage) -> None:
    """A field that the schema lacks would be dropped without a word."""
    async with stage.client() as client:
        crd = await client.get(CRDS, "backupactions.kubehaven.io")
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["status"]["properties"]["attempt"]
        del schema["properties"]["spec"]["properties"]["hooks"]
        await client.replace(CRDS, crd)
        with pytest.raises(EngineError, match=r"BackupAction\.spec\.hooks and 1 more") as caught:
            await stage.engine.clusters.watch(CLUSTER)
        assert caught.value.code == "cluster.outdated"
        lease = await client.find(LEASES, LEASE, NAMESPACE)
        assert not (lease or {}).get("spec", {}).get("holderIdentity")
    plan = await stage.engine.clusters.plan_prepare(CLUSTER)
    changed = {one.name: one.changes for one in plan.objects if one.verb == "update"}
    assert set(changed) == {"backupactions.kubehaven.io"}
    assert any("hooks is added" in change for change in changed["backupactions.kubehaven.io"])
    await stage.engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
    await stage.engine.clusters.watch(CLUSTER)
    assert (await stage.back_up()).outcome == "Complete"
