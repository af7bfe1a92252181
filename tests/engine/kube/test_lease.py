"""Two engines and one Lease: take, refuse, take over, expire, lose, give back."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from console.engine import errors
from console.engine.kube.lease import Lease, holder_id, may_take
from tests.engine.kube.leases import LeaseStore
from tests.engine.kube.scripted import Script, access_to, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ANN, BOB, POD = "desktop:ann@a/1", "desktop:bob@b/2", "cluster:engine@pod/3"
DURATION_S = 2.0  # long enough for a machine with much else to do
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec(holder: str, *, age_s: float) -> dict[str, Any]:
    renewed = (NOW - timedelta(seconds=age_s)).isoformat()
    return {"holderIdentity": holder, "leaseDurationSeconds": 30, "renewTime": renewed}


@pytest.mark.parametrize(
    ("lease", "who", "take_over", "may"),
    [
        ({}, ANN, False, True),
        (spec("", age_s=1), ANN, False, True),
        (spec(ANN, age_s=1), ANN, False, True),
        (spec(BOB, age_s=1), ANN, False, False),
        (spec(BOB, age_s=1), ANN, True, True),
        (spec(BOB, age_s=1), POD, False, False),
        (spec(BOB, age_s=31), ANN, False, True),
        (spec(BOB, age_s=31), POD, False, True),
        (spec(POD, age_s=1), ANN, True, False),
        (spec(POD, age_s=31), ANN, False, False),
        (spec(POD, age_s=31), ANN, True, True),
        (spec(POD, age_s=31), "cluster:engine@pod/4", False, True),
        ({"holderIdentity": BOB, "renewTime": "rubbish"}, ANN, False, True),
    ],
)
def test_who_may_take(lease: dict[str, Any], who: str, take_over: bool, may: bool) -> None:
    assert may_take(lease, holder=who, now=NOW, take_over=take_over) is may


def test_a_holder_says_who_and_is_never_the_same() -> None:
    one, other = holder_id("cli"), holder_id("cli")
    assert one.startswith("cli:")
    assert "@" in one
    assert one != other


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with serving() as one:
        yield one


@pytest.fixture
def store(script: Script) -> LeaseStore:
    one = LeaseStore()
    one.install(script)
    return one


@pytest.fixture
async def make(script: Script) -> AsyncIterator[Callable[[str], Lease]]:
    made: list[Lease] = []

    def build(holder: str) -> Lease:
        lease = Lease(access_to(script), holder=holder, duration_s=DURATION_S, renew_s=0.1)
        made.append(lease)
        return lease

    yield build
    for lease in made:
        await lease.release()
    assert not [one for one in threading.enumerate() if one.name == "kubehaven-lease"]


async def test_take_renew_and_give_back(store: LeaseStore, make: Callable[[str], Lease]) -> None:
    ann = make(ANN)
    assert await ann.acquire() == 1
    ann.check()
    await store.until(lambda: len(store.holders) >= 3)
    assert store.lease is not None
    assert store.lease["spec"]["leaseDurationSeconds"] == 2
    await ann.release()
    assert store.holders[-1] == ""
    assert not ann.valid
    assert not ann.lost.is_set()
    assert await make(BOB).acquire() == 2


async def test_a_second_engine_is_told_who_drives(
    store: LeaseStore, make: Callable[[str], Lease]
) -> None:
    await make(ANN).acquire()
    with pytest.raises(errors.DrivenElsewhere) as caught:
        await make(BOB).acquire()
    assert caught.value.holder == ANN
    assert set(store.holders) == {ANN}


async def test_a_take_over_is_noticed_by_the_loser(
    store: LeaseStore, make: Callable[[str], Lease]
) -> None:
    ann, bob = make(ANN), make(BOB)
    await ann.acquire()
    assert await bob.acquire(take_over=True) == 2
    async with asyncio.timeout(5):
        await ann.lost.wait()
    with pytest.raises(errors.LostLease):
        ann.check()
    assert bob.valid
    await ann.release()
    assert store.lease is not None
    assert store.lease["spec"]["holderIdentity"] == BOB


async def test_a_busy_loop_does_not_lose_it(
    store: LeaseStore, make: Callable[[str], Lease], script: Script
) -> None:
    del script
    ann = make(ANN)
    ready, over = threading.Event(), threading.Event()
    answered = len(store.holders)

    def serve_elsewhere() -> None:  # the server of this test must not stand still with the loop
        async def serve() -> None:
            async with serving() as other:
                store.install(other)
                bases.append(other)
                ready.set()
                await asyncio.to_thread(over.wait)

        asyncio.run(serve())

    bases: list[Script] = []
    thread = threading.Thread(target=serve_elsewhere)
    thread.start()
    await asyncio.to_thread(ready.wait)
    ann = Lease(access_to(bases[0]), holder=ANN, duration_s=DURATION_S, renew_s=0.1)
    await ann.acquire()
    until = time.monotonic() + DURATION_S + 0.5
    while time.monotonic() < until:
        pass
    assert ann.valid
    assert len(store.holders) > answered + 3
    await ann.release()
    over.set()
    await asyncio.to_thread(thread.join)


async def test_what_cannot_be_renewed_runs_out(
    store: LeaseStore, make: Callable[[str], Lease]
) -> None:
    ann = make(ANN)
    await ann.acquire()
    store.down = True
    async with asyncio.timeout(8):
        await ann.lost.wait()
    assert not ann.valid


async def test_a_short_failure_is_survived(store: LeaseStore, make: Callable[[str], Lease]) -> None:
    ann = make(ANN)
    await ann.acquire()
    store.down = True
    await store.until(lambda: store.refused >= 2)
    store.down = False
    seen = len(store.holders)
    await store.until(lambda: len(store.holders) >= seen + 2)
    assert ann.valid


async def test_sleep_of_the_machine_counts(script: Script, store: LeaseStore) -> None:
    class Suspended:
        ahead_s = 0.0

        def now(self) -> datetime:
            return datetime.now(UTC)

        def elapsed_s(self) -> float:
            return time.monotonic() + self.ahead_s

    clock = Suspended()
    ann = Lease(access_to(script), holder=ANN, duration_s=30, renew_s=10, clock=clock)
    await ann.acquire()
    assert ann.valid
    clock.ahead_s = 3600
    assert not ann.valid
    await ann.release()
    assert store.holders[-1] == ""


async def test_without_the_namespace_it_says_so(
    script: Script, make: Callable[[str], Lease]
) -> None:
    del script
    with pytest.raises(errors.NotFound):
        await make(ANN).acquire()


async def test_cancelled_while_taking_gives_back(
    store: LeaseStore, make: Callable[[str], Lease]
) -> None:
    ann = make(ANN)
    task = asyncio.ensure_future(ann.acquire())  # noqa: TID251 - the test is its owner
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ann.release()
    assert store.lease is None or store.lease["spec"]["holderIdentity"] == ""
