"""Signals to process groups, and whether they stand still."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from console.sandbox.folders import CopyError

if TYPE_CHECKING:
    import signal


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal the process group of one container."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def stand_still(pid: int) -> None:
    """Wait until every thread of a process is stopped or gone."""
    for _ in range(2000):  # milliseconds; /proc tells nobody, and a sleeping disk may take long
        if _thread_states(pid) <= {"T", "t", "Z", "X"}:
            return
        await asyncio.sleep(0.001)
    raise CopyError(f"process {pid} does not stop")


def _thread_states(pid: int) -> set[str]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return {(t / "stat").read_text().rpartition(")")[2].split()[0] for t in threads}
    except OSError:
        return set()  # it ended
