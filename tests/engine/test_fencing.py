"""Two engines write to one action: the one that took the Lease over goes on, the other ends."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from console.engine.actions.run import ActionRun
from console.engine.aiokit import BoundedExecutor
from console.engine.errors import LostLease
from console.engine.model.intent import SettingsSpec, Slots
from console.engine.model.kinds import BACKUP_ACTIONS
from console.engine.model.record import BackupAction
from console.engine.volumes.drive import Drive
from console.engine.volumes.slots import SlotTable
from tests.engine.story import CLUSTER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from console.engine.kube import KubeClient
    from tests.engine.story import Stage


@pytest.fixture
async def quiet_stage(bare_stage: Stage) -> Stage:
    """An application; nobody drives."""
    await bare_stage.prepare(watch=False)
    await bare_stage.deploy_stamps()
    return bare_stage


@asynccontextmanager
async def runs_of(
    stage: Stage, *epochs: int
) -> AsyncIterator[tuple[KubeClient, list[ActionRun[BackupAction]]]]:
    """One action as engines with these epochs have read it before any of them wrote."""
    ref = await stage.engine.actions.back_up(CLUSTER, "stamps")
    async with stage.client() as client, BoundedExecutor("test", threads=1) as threads:
        raw = await client.get(BACKUP_ACTIONS, ref.name, ref.namespace)
        drives = [
            Drive(
                client=client,
                cluster_uid="",
                holder=f"cli:engine-{number}@host/{number}",
                epoch=epoch,
                settings=SettingsSpec(),
                slots=SlotTable(Slots()),
                threads=threads,
            )
            for number, epoch in enumerate(epochs)
        ]
        yield client, [ActionRun(drive, BACKUP_ACTIONS, raw, BackupAction) for drive in drives]


async def test_a_late_write_of_the_former_holder_stops_only_itself(quiet_stage: Stage) -> None:
    async with runs_of(quiet_stage, 1, 2) as (client, (former, current)):
        await former.write(phase="Running")
        await current.write(phase="Running")
        with pytest.raises(LostLease):
            await former.write(phase="Finished", outcome="Complete")
        await current.write(reason="still here")
        meta = current.action.metadata
        status = (await client.get(BACKUP_ACTIONS, meta.name, meta.namespace))["status"]
    assert status["driver"] == {"holder": "cli:engine-1@host/1", "epoch": 2}
    assert (status["phase"], status["reason"]) == ("Running", "still here")


async def test_of_two_with_the_same_epoch_the_first_that_writes_drives(
    quiet_stage: Stage,
) -> None:
    async with runs_of(quiet_stage, 3, 3) as (_, (first, second)):
        await first.write(phase="Running")
        with pytest.raises(LostLease):
            await second.write(phase="Running")
        await first.write(reason="still here")
