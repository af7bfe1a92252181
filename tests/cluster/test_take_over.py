"""An engine is held up in the midst of a step, another takes over and ends the action.

When the first one goes on, it destroys and changes nothing: the API server's audit log says so.
Within a few steps of each kind of action; with `KUBEHAVEN_EVERY_WRITE=1` after every write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.box import CLUSTER, EVERY, PATIENCE_S, Box, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from console.engine import ActionRef
    from tests.cluster.bed.places import Cluster

pytestmark = pytest.mark.timeout(3600 if EVERY else 600)
LEASE_S = 10.0
FORMER = "former"


@contextlib.asynccontextmanager
async def held_up(desk: Desk, ref: ActionRef, number: int) -> AsyncIterator[bool]:
    """An engine stops itself after so many writes; whether it came so far. Goes on at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.engine.driven", str(desk.box.home), CLUSTER, ref.uid),
        *(f"--stop-after={number}", f"--lease={LEASE_S}", f"--agent=-{FORMER}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        stopped = await _stopped(process)
        since = time.monotonic()
        yield stopped
        # it must have been away for longer than its Lease, which is what makes it stop
        await asyncio.sleep(max(0.0, since + LEASE_S + 1 - time.monotonic()))
        if stopped:
            process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_S):
            _, err = await process.communicate()
        assert process.returncode == 0, err.decode()[-3000:]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _stopped(process: asyncio.subprocess.Process) -> bool:
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


def written_by_the_former(cluster: Cluster, offset: int) -> list[str]:
    """What it has asked the server to change since that place in the audit log."""
    with cluster.audit_log.open("rb") as log:
        log.seek(offset)
        lines = log.read().splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith(b"}")]
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in events
        if event.get("userAgent", "").endswith(FORMER)
        and event["objectRef"]["resource"] not in {"leases", "selfsubjectreviews"}
    ]


async def taken_over_at(
    desk: Desk, bed: Cluster, numbers: Iterable[int], ask: Callable[[], Awaitable[ActionRef]]
) -> None:
    """Stop an engine after each of these writes while another one ends its action."""
    for number in numbers:
        ref = await ask()
        async with held_up(desk, ref, number) as stopped:
            offset = bed.audit_log.stat().st_size
            if stopped:
                await desk.driven(ref)
        assert written_by_the_former(bed, offset) == [], number
        row = await desk.shown(ref)
        assert (row.outcome, row.error) == ("Complete", None), (number, row)
        await desk.nothing_is_left(ref)
        if row.swap is not None:
            await desk.free_old(row)
        if not stopped:
            return


async def test_backup(desk: Desk, bed_one: Cluster) -> None:
    """In its cut, and in the midst of adopting."""
    numbers = range(1, 100) if EVERY else (5, 9)
    await taken_over_at(desk, bed_one, numbers, desk.back_up)


async def test_restore_in_place(desk: Desk, bed_one: Cluster) -> None:
    """While it keeps the old volume, and while it stands still."""
    box: Box = desk.box
    box.data("then")
    point = await desk.backed_up()

    async def ask() -> ActionRef:
        return await desk.restore(point.point, in_place=True)

    await taken_over_at(desk, bed_one, range(1, 100) if EVERY else (8, 14), ask)
    assert await asyncio.to_thread(box.data) == "then"
