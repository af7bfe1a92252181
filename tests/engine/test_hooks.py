"""Hooks of a backup: frozen while it cuts, thawed on every way out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.engine import ExecHook
from console.engine.kube.executing import Command
from console.engine.model.kinds import (
    PODS,
    SNAPSHOT_CLASSES,
    SNAPSHOTS,
)
from tests.engine.story import CLUSTER, Stage

if TYPE_CHECKING:
    from pathlib import Path

FROZEN = "/one/frozen"
HOOK = ExecHook(podSelector="app=stamps", pre=("touch", FROZEN), post=("rm", FROZEN))


@pytest.fixture
async def stage(bare_stage: Stage) -> Stage:
    """A prepared cluster with the stamping application."""
    await bare_stage.prepare()
    await bare_stage.deploy_stamps()
    async with bare_stage.client() as client:
        labels = {"metadata": {"labels": {"app": "stamps"}}}
        await client.patch(PODS, "stamps", "stamps", merge=labels)
    return bare_stage


def snapshots(stage: Stage) -> list[Path]:
    """The folders of all snapshots."""
    return sorted((stage.folder / "sandbox" / "snapshots").iterdir())


async def is_frozen(stage: Stage) -> bool:
    command = Command("stamps", "stamps", ("cat", FROZEN))
    async with stage.client() as client:
        return (await client.exec(command)).exit_code == 0


async def thawed(stage: Stage) -> None:
    """Wait until it is frozen no more, which nothing tells."""
    for _ in range(600):
        if not await is_frozen(stage):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it is still frozen")


async def failing_snapshots(stage: Stage) -> None:
    """Let every snapshot fail."""
    async with stage.client() as client:
        classes = await client.list(SNAPSHOT_CLASSES)
        name = classes[0]["metadata"]["name"]
        broken = {"parameters": {"fail": "the storage is on strike"}}
        await client.patch(SNAPSHOT_CLASSES, name, merge=broken)


async def test_the_application_is_frozen_in_the_cut_and_thawed_after_it(stage: Stage) -> None:
    ref = await stage.engine.actions.back_up(CLUSTER, "stamps", hooks=(HOOK,))
    row = await stage.finished(ref)
    assert row.outcome == "Complete", row
    assert [(hook.pod, hook.pre, hook.post, hook.woke) for hook in row.hooks] == [
        ("stamps", 0, 0, "go")
    ]
    assert [folder for folder in snapshots(stage) if (folder / "frozen").exists()]
    assert not await is_frozen(stage)


async def test_a_cut_that_fails_thaws(stage: Stage) -> None:
    await failing_snapshots(stage)
    row = await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps", hooks=(HOOK,)))
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "cut.failed"
    assert [hook.post for hook in row.hooks] == [0]
    assert not await is_frozen(stage)


async def test_a_pre_command_that_fails_fails_the_backup_before_the_cut(stage: Stage) -> None:
    hook = ExecHook(podSelector="app=stamps", pre=("false",), post=("echo", "thawed"))
    row = await stage.finished(
        await stage.engine.actions.back_up(CLUSTER, "stamps", hooks=(HOOK, hook))
    )
    assert row.error is not None
    assert row.error.code == "hook.failed"
    assert [(one.pre, one.post) for one in row.hooks] == [(0, 0), (1, 0)]
    assert row.hooks[1].output == "thawed"
    assert not await is_frozen(stage)
    async with stage.client() as client:
        assert not await client.list(SNAPSHOTS)


async def test_a_post_command_that_fails_is_told_and_the_point_is_good(stage: Stage) -> None:
    hook = ExecHook(podSelector="app=stamps", pre=("true",), post=("false",))
    row = await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps", hooks=(hook,)))
    assert row.outcome == "Partial"
    assert [failure.code for failure in row.failures] == ["hook.post_failed"]
    assert (await stage.points())[0].state == "Ready"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"podSelector": "app=none"}, "hook.no_pod"),
        ({"container": "none"}, "hook.no_container"),
        ({"namespace": "default"}, "action.hook_elsewhere"),
    ],
)
async def test_a_hook_that_can_not_run_is_refused(
    stage: Stage, change: dict[str, str], code: str
) -> None:
    hook = msgspec.structs.replace(HOOK, **change)
    row = await stage.finished(await stage.engine.actions.back_up(CLUSTER, "stamps", hooks=(hook,)))
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == code


async def test_a_cancelled_backup_thaws(stage: Stage) -> None:
    slow = ExecHook(podSelector="app=stamps", pre=("sleep", "600"), timeoutSeconds=600)
    ref = await stage.engine.actions.back_up(CLUSTER, "stamps", hooks=(HOOK, slow))
    for _ in range(600):
        if await is_frozen(stage):
            break
        await asyncio.sleep(0.05)
    assert await is_frozen(stage)
    await stage.engine.actions.cancel(CLUSTER, "BackupAction", ref.namespace, ref.name)
    row = await stage.finished(ref)
    assert row.outcome == "Cancelled"
    await thawed(stage)
