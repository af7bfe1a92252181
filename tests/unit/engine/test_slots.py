"""Slots: never more than allowed, in order, and a cancelled wait gives its place up."""

from __future__ import annotations

import asyncio

from console.engine.model.intent import Slots
from console.engine.volumes.slots import SlotTable


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(table: SlotTable, name: str, log: list[str], release: asyncio.Event) -> None:
    async with table.slot("job", action=name, label=name, application=name):
        log.append(name)
        await release.wait()


async def test_no_more_than_the_limit_run_and_the_next_in_line_follows() -> None:
    table = SlotTable(Slots(jobs=2))
    release, log = asyncio.Event(), list[str]()
    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(hold(table, name, log, release))
        await settle()
        assert log == ["a", "b"]
        release.set()
    assert log == ["a", "b", "c"]


async def test_a_cancelled_wait_gives_its_place_up() -> None:
    table = SlotTable(Slots(jobs=1))
    release, log = asyncio.Event(), list[str]()
    async with asyncio.TaskGroup() as group:
        group.create_task(hold(table, "a", log, release))
        await settle()
        impatient = group.create_task(hold(table, "b", log, release))
        group.create_task(hold(table, "c", log, release))
        await settle()
        impatient.cancel()
        await settle()
        release.set()
    assert log == ["a", "c"]


async def test_a_cancelled_holder_frees_its_slot() -> None:
    table = SlotTable(Slots(jobs=1))
    release, log = asyncio.Event(), list[str]()
    async with asyncio.TaskGroup() as group:
        holder = group.create_task(hold(table, "a", log, release))
        group.create_task(hold(table, "b", log, release))
        await settle()
        holder.cancel()
        await settle()
        assert log == ["a", "b"]
        release.set()
