"""Tasks with owners, bounded threads, clocks, pauses."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.aiokit import (
    Backoff,
    BoundedExecutor,
    SystemClock,
    TaskOwner,
    side_by_side,
)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_result_and_a_name() -> None:
    async def work() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    async with TaskOwner("page") as owner:
        assert await owner.start(work(), name="load") == "page:load"
        await asyncio.sleep(0)
        assert owner.running == ()


async def test_a_failure_is_reported_once() -> None:
    seen: list[tuple[str, BaseException]] = []
    done = asyncio.Event()

    def sink(name: str, error: BaseException) -> None:
        seen.append((name, error))
        done.set()

    async def fail() -> None:
        raise ValueError("no")

    async with TaskOwner("page", sink=sink) as owner:
        owner.start(fail(), name="load")
        await done.wait()
    assert [(name, str(error)) for name, error in seen] == [("page:load", "no")]


async def test_without_a_sink_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("no")

    async with TaskOwner("page") as owner:
        task = owner.start(fail(), name="load")
        await asyncio.wait({task})
        await asyncio.sleep(0)
    assert "task page:load failed: ValueError" in caplog.text


async def test_a_new_run_replaces_the_old_one_silently() -> None:
    seen: list[str] = []
    async with TaskOwner("page", sink=lambda name, _: seen.append(name)) as owner:
        old = owner.start(forever(), name="search", replaces=True)
        other = owner.start(forever(), name="other")
        new = owner.start(forever(), name="search", replaces=True)
        await asyncio.wait({old})
        assert old.cancelled()
        assert not new.done()
        assert not other.done()
    assert new.cancelled()
    assert seen == []


async def test_closing_names_what_is_stuck(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    owner = TaskOwner("page")
    task = owner.start(stubborn(), name="bad")
    owner.start(forever(), name="good")
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING):
        assert await owner.aclose(timeout_s=0.05) == ("bad",)
    assert "bad" in caplog.text
    release.set()
    await task
    with pytest.raises(RuntimeError, match="page is closed: late"):
        owner.start(forever(), name="late")


async def test_a_task_may_close_its_own_owner() -> None:
    owner = TaskOwner("page")

    async def close() -> tuple[str, ...]:
        return await owner.aclose(timeout_s=1)

    assert await owner.start(close(), name="close") == ()


async def test_threads_are_bounded_and_named() -> None:
    gate, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def work() -> str:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if most[0] == 2:
                gate.set()
        gate.wait(5)
        with lock:
            running[0] -= 1
        return threading.current_thread().name

    async with BoundedExecutor("mover", threads=2) as executor:
        names = await asyncio.gather(*(executor.run(work) for _ in range(6)))
    assert most[0] == 2
    assert all(name.startswith("mover") for name in names)


async def test_a_cancelled_call_that_waits_never_starts() -> None:
    gate = threading.Event()
    started: list[int] = []
    async with BoundedExecutor("mover", threads=1) as executor, TaskOwner("t") as owner:
        first = owner.start(executor.run(gate.wait, 5), name="first")
        second = owner.start(executor.run(started.append, 1), name="second")
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        gate.set()
        await first
    assert started == []


async def test_a_cancelled_call_keeps_its_thread_until_it_ends() -> None:
    gate = threading.Event()
    async with BoundedExecutor("mover", threads=1) as executor, TaskOwner("t") as owner:
        first = owner.start(executor.run(gate.wait, 5), name="first")
        second = owner.start(executor.run(int, "7"), name="second")
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        assert not second.done()
        gate.set()
        assert await second == 7


async def test_an_error_in_a_thread_comes_back() -> None:
    async with BoundedExecutor("mover", threads=1) as executor:
        with pytest.raises(ValueError, match="invalid literal"):
            await executor.run(int, "x")


async def test_a_thread_that_hangs_is_counted() -> None:
    gate = threading.Event()
    executor = BoundedExecutor("mover", threads=1)
    async with TaskOwner("t") as owner:
        task = owner.start(executor.run(gate.wait, 5), name="hang")
        await asyncio.sleep(0)
        assert await executor.aclose(timeout_s=0.05) == 1
        gate.set()
        await task


def test_the_clock_is_aware_and_goes_on() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() is not None
    before = clock.elapsed_s()
    assert clock.elapsed_s() >= before


@given(st.floats(0.01, 10), st.floats(10, 100), st.integers(1, 30))
def test_pauses_grow_to_their_limit_and_begin_again(first: float, limit: float, n: int) -> None:
    backoff = Backoff(first_s=first, limit_s=limit)
    for step in range(n):
        base = min(limit, first * 2**step)
        assert base / 2 <= backoff.next_s() <= base * 1.000001
    backoff.reset()
    assert first / 2 <= backoff.next_s() <= first


async def test_side_by_side_keeps_the_order_and_the_limit() -> None:
    running, most = 0, 0

    async def call(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await side_by_side((partial(call, n) for n in range(20)), at_once=3) == [*range(20)]
    assert most == 3


async def test_side_by_side_raises_the_failure_itself_and_ends_the_others() -> None:
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await side_by_side((wait, fail), at_once=2)
    assert ended.is_set()
