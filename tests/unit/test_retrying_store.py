"""Patience: what is repeated, how long, and that nothing is listed or created twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.storage import (
    AccessDenied,
    MemoryStore,
    NoSuchObject,
    ObjectInfo,
    RetryingStore,
    StoreError,
    Unavailable,
)
from console.storage.retrying import LONGEST_PAUSE_S
from console.storage.s3_claims import TRIES, create_by_claim

if TYPE_CHECKING:
    from collections.abc import Iterator


class Timer:
    """A clock that moves only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Flaky(MemoryStore):
    """Fails as it is told, once for each error in the list, before or after doing the work."""

    def __init__(self, *errors: StoreError, after: bool = False, page: int = 2) -> None:
        super().__init__()
        self.errors = list(errors)
        self.after = after
        self.page = page

    def fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    def get(self, name: str) -> bytes:
        self.fail()
        return super().get(name)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        if not self.after:
            self.fail()
        created = super().create(name, data)
        self.fail()
        return created

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix), 1):
            yield info
            if number % self.page == 0:
                self.fail()


def patient(
    inner: MemoryStore, timer: Timer, patience_s: float = 60, *, jitter: float = 1.0
) -> RetryingStore:
    return RetryingStore(
        inner,
        patience_s=patience_s,
        now=lambda: timer.now,
        sleep=timer.sleep,
        jitter=lambda: jitter,
    )


def test_busy_servers_are_asked_again_with_growing_pauses() -> None:
    inner, timer = Flaky(*[Unavailable("busy")] * 4), Timer()
    inner.put("a", b"1")
    assert patient(inner, timer).get("a") == b"1"
    assert timer.pauses == [0.2, 0.4, 0.8, 1.6]


def test_pauses_are_jittered() -> None:
    pauses = []
    for jitter in (0.0, 0.5, 1.0):
        inner, timer = Flaky(Unavailable("busy")), Timer()
        inner.put("a", b"")
        patient(inner, timer, jitter=jitter).get("a")
        pauses += timer.pauses
    assert pauses == pytest.approx([0.1, 0.15, 0.2])


@given(st.floats(0, 1000))
def test_patience_ends(patience_s: float) -> None:
    inner, timer = Flaky(*[Unavailable(str(n)) for n in range(500)]), Timer()
    with pytest.raises(Unavailable):
        patient(inner, timer, patience_s).get("a")
    # summed as the deadline is: 1000.2 - 1000 is more than 0.2
    assert timer.now <= 1000 + patience_s
    assert timer.now >= 1000 + patience_s - LONGEST_PAUSE_S
    assert max(timer.pauses, default=0) <= LONGEST_PAUSE_S


@pytest.mark.parametrize("error", [AccessDenied("no"), NoSuchObject("no"), StoreError("no")])
def test_what_cannot_succeed_is_not_repeated(error: StoreError) -> None:
    timer = Timer()
    with pytest.raises(type(error)) as caught:
        patient(Flaky(error), timer).get("a")
    assert caught.value is error
    assert timer.pauses == []


def test_a_lists_page_that_failed_gives_nothing_twice_and_nothing_less() -> None:
    inner, timer = Flaky(*[Unavailable("cut")] * 5), Timer()
    names = [f"n{n}" for n in range(20)]
    for name in names:
        inner.put(name, b"")
    assert [info.name for info in patient(inner, timer).list()] == names
    assert len(timer.pauses) == 5


def test_a_list_that_gets_on_is_not_given_up() -> None:
    """Each new name shows progress: patience begins anew."""
    inner, timer = Flaky(*[Unavailable("cut")] * 30, page=1), Timer()
    names = [f"n{n}" for n in range(3)]
    for name in names:
        inner.put(name, b"")
    with pytest.raises(Unavailable):
        list(patient(inner, timer, 1).list())
    inner.errors = [Unavailable("cut")] * 2
    inner.page = 2
    assert len(list(patient(inner, timer, 1).list())) == 3


def test_an_own_object_whose_answer_was_lost_counts_as_created() -> None:
    inner, timer = Flaky(Unavailable("cut"), after=True), Timer()
    assert patient(inner, timer).create("config", b"mine") is True


def test_somebody_elses_object_does_not() -> None:
    inner, timer = Flaky(Unavailable("cut")), Timer()
    inner.put("config", b"theirs")
    assert patient(inner, timer).create("config", b"mine") is False
    assert patient(inner, timer).create("config", b"theirs") is False


class Rivals:
    """Claims on a name that others claim too, for a while."""

    def __init__(self, rivals: list[int], *, taken_after: int = 10**9) -> None:
        self.left = rivals
        self.taken_after = taken_after
        self.log: list[str] = []

    def is_taken(self) -> bool:
        return len(self.log) >= self.taken_after

    def write(self) -> None:
        self.log.append("claim")

    def rivals(self) -> int:
        return self.left.pop(0) if self.left else 0

    def withdraw(self) -> None:
        self.log.append("withdraw")
        raise AccessDenied("an append-only key")


def test_who_is_not_alone_steps_back_and_tries_again() -> None:
    claims, timer = Rivals([1, 2, 0]), Timer()
    assert create_by_claim(claims, lambda: claims.log.append("write"), sleep=timer.sleep) is True
    assert claims.log == ["claim", "withdraw"] * 2 + ["claim", "write", "withdraw"]
    assert len(timer.pauses) == 2


def test_who_comes_after_a_write_finds_the_name_taken() -> None:
    claims = Rivals([1, 0], taken_after=2)
    assert create_by_claim(claims, lambda: None, sleep=Timer().sleep) is False
    late = Rivals([], taken_after=1)  # taken between the claim and the write
    assert create_by_claim(late, lambda: late.log.append("write")) is False
    assert late.log == ["claim", "withdraw"]


def test_a_write_that_failed_keeps_its_claim() -> None:
    claims = Rivals([])

    def fail() -> None:
        raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        create_by_claim(claims, fail)
    assert claims.log == ["claim"]


def test_claims_without_end_are_told() -> None:
    claims = Rivals([1] * TRIES)
    with pytest.raises(Unavailable, match="claiming"):
        create_by_claim(claims, lambda: None, sleep=Timer().sleep)
