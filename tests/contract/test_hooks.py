"""A frozen application thaws by itself, whatever becomes of the engine that froze it.

`make test-long` runs these.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from console.engine import Engine, ExecHook, open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from console.engine import ActionRef
    from tests.contract.kubernetes import Cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

CLUSTER = "one"
FROZEN = "/data/frozen"
FREEZE = ExecHook(podSelector="app=box", pre=("touch", FROZEN), post=("rm", FROZEN))
# as long as it lasts, what was frozen before it stays frozen
LONG = ExecHook(podSelector="app=box", pre=("sleep", "600"), timeoutSeconds=600)


@pytest.fixture
async def engine(cluster: Cluster, box_home: str, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine that asks and does not drive, on a prepared cluster."""
    assert box_home
    async with open_engine(tmp_path / "home") as one:
        await one.clusters.add(CLUSTER, str(cluster.kubeconfig))
        plan = await one.clusters.plan_prepare(CLUSTER)
        await one.clusters.prepare(CLUSTER, plan_hash=plan.hash)
        yield one


@asynccontextmanager
async def driver(folder: Path, ref: ActionRef) -> AsyncIterator[asyncio.subprocess.Process]:
    """An engine in a process of its own that drives the action."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.driven", str(folder / "home"), CLUSTER, ref.uid,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until_frozen(cluster: Cluster, box_home: str, *, wanted: bool) -> None:
    """Wait until the application is frozen, or is not; nothing tells it."""
    ask = ("exec", "-n", box_home, "box", "--", "cat", FROZEN)
    for _ in range(300):
        code, _, error = await asyncio.to_thread(cluster.attempt, *ask)
        if (code == 0) == wanted and (code == 0 or "exit code 1" in error):
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"frozen should be {wanted}")


async def cancelled(engine: Engine, ref: ActionRef) -> None:
    """Have the action cancelled, by whichever engine drives."""
    await engine.actions.cancel(CLUSTER, "BackupAction", ref.namespace, ref.name)
    for _ in range(300):
        row = await engine.actions.show(CLUSTER, "BackupAction", ref.namespace, ref.name)
        if row.phase == "Finished":
            assert row.outcome == "Cancelled", row
            return
        await asyncio.sleep(0.2)
    pytest.fail("the action was not cancelled")


async def test_an_engine_that_is_killed(
    cluster: Cluster, box_home: str, engine: Engine, tmp_path: Path
) -> None:
    ref = await engine.actions.back_up(CLUSTER, box_home, hooks=(FREEZE, LONG))
    async with driver(tmp_path, ref) as process:
        await until_frozen(cluster, box_home, wanted=True)
        process.kill()
        await process.wait()
        await until_frozen(cluster, box_home, wanted=False)
    async with driver(tmp_path, ref):
        await until_frozen(cluster, box_home, wanted=True)  # by the next attempt
        await cancelled(engine, ref)
    await until_frozen(cluster, box_home, wanted=False)


async def test_an_engine_that_hangs(
    cluster: Cluster, box_home: str, engine: Engine, tmp_path: Path
) -> None:
    short = ExecHook(podSelector="app=box", pre=FREEZE.pre, post=FREEZE.post, limitSeconds=5)
    ref = await engine.actions.back_up(CLUSTER, box_home, hooks=(short, LONG))
    async with driver(tmp_path, ref) as process:
        await until_frozen(cluster, box_home, wanted=True)
        process.send_signal(signal.SIGSTOP)
        await until_frozen(cluster, box_home, wanted=False)
