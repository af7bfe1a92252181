"""An engine is held up after a write until another one has ended its action; then it goes on.

It writes nothing any more: its Lease ran out while it stood still. `make test-long` runs these.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine.story import CLUSTER, Stage
from tests.engine.test_killed import a_point_with_one_view, driven, in_place, shown, swapped_well

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.engine import ActionRef, ActionView

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

LEASE_S = 10.0
PATIENCE_S = 240.0


@pytest.fixture
async def quiet_stage(bare_stage: Stage) -> Stage:
    """A stage whose own engine only asks and never drives."""
    await bare_stage.prepare(watch=False)
    await bare_stage.sandbox.deploy_visits()
    return bare_stage


async def stopped(process: asyncio.subprocess.Process) -> bool:
    """Whether it has stopped itself; false when it has ended."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        state = state_of(process.pid)
        if state in {"T", "Z", "X"}:
            return state == "T"
        await asyncio.sleep(0.05)
    raise AssertionError("it neither stops nor ends")


def state_of(pid: int) -> str:
    """What the kernel says a process does: T is stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


async def held_up(stage: Stage, ref: ActionRef, number: int) -> bool:
    """Whether an engine came so far as to stop after so many writes until another has ended it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.driven", str(stage.folder / "home"), CLUSTER),
        *(ref.uid, f"--stop-after={number}", f"--lease={LEASE_S}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        came_so_far = await stopped(process)
        if came_so_far:
            since = time.monotonic()
            await driven(stage, ref)
            # it must have been away for longer than its Lease
            await asyncio.sleep(max(0.0, since + LEASE_S + 0.5 - time.monotonic()))
            process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()[-3000:]
        assert not came_so_far or "sent later: 0\n" in out.decode(), (number, out.decode())
        return came_so_far
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def held_up_everywhere(
    stage: Stage,
    ask: Callable[[], Awaitable[ActionRef]],
    check: Callable[[ActionView], Awaitable[None]],
) -> None:
    """Stop after every fifth write until an engine gets through with fewer."""
    for number in range(2, 1000, 5):
        ref = await ask()
        came_so_far = await held_up(stage, ref, number)
        row = await shown(stage, ref)
        assert (row.phase, row.outcome) == ("Finished", "Complete"), (number, row)
        await check(row)
        if not came_so_far:
            assert number > 5, "the engine wrote hardly anything"
            return


async def test_backup(quiet_stage: Stage) -> None:
    async def ask() -> ActionRef:
        return await quiet_stage.engine.actions.back_up(CLUSTER, "visits")

    async def check(row: ActionView) -> None:
        assert [p.state for p in await quiet_stage.points() if p.id == row.point] == ["Ready"]

    await held_up_everywhere(quiet_stage, ask, check)


async def test_in_place(quiet_stage: Stage) -> None:
    point = await a_point_with_one_view(quiet_stage)

    async def ask() -> ActionRef:
        await quiet_stage.views(open_page=True)
        return await in_place(quiet_stage, point)

    async def check(row: ActionView) -> None:
        await swapped_well(quiet_stage, row, views=1)

    await held_up_everywhere(quiet_stage, ask, check)
