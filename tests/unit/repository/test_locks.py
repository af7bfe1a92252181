"""Locks: who excludes whom, renewal, age by the store's clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.repository import LockLost, Repository, RepositoryLocked, init_repository
from console.repository.locks import HOSTNAME, HeldLock, Lock, list_locks
from console.repository.messages import save_message
from console.repository.trees import format_time
from console.storage import MemoryStore
from tests.fakes.hooked_store import HookedStore
from tests.unit.repository.conftest import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_NS = 3600 * 10**9
WAIT_S = 10.0


def _plant(repo: Repository, *, exclusive: bool, age_ns: int = 0) -> str:
    lock = Lock(
        time=format_time(int(repo.store.clock() * 1e9) - age_ns),
        exclusive=exclusive,
        hostname="backup-7",
        username="ann",
        pid=4711,
    )
    return save_message(repo.store, repo.key, "locks", msgspec.json.encode(lock))


def _until(condition: Callable[[], bool]) -> None:
    ended = threading.Event()
    for _ in range(int(WAIT_S / 0.005)):
        if condition():
            return
        ended.wait(0.005)
    pytest.fail("the condition was not met")


def test_shared_locks_go_together(repo: Repository) -> None:
    other = Repository.open(repo.store, PASSWORD)
    with repo.lock(), other.lock():
        locks = [lock for _, lock in list_locks(repo.store, repo.key)]
        assert [(lock.hostname, lock.exclusive) for lock in locks] == [(HOSTNAME, False)] * 2
    assert list(repo.store.list("locks/")) == []


@pytest.mark.parametrize(("mine", "theirs"), [(True, False), (False, True), (True, True)])
def test_an_exclusive_lock_goes_with_none(repo: Repository, *, mine: bool, theirs: bool) -> None:
    _plant(repo, exclusive=theirs)
    with pytest.raises(RepositoryLocked) as caught, repo.lock(exclusive=mine):
        pass
    assert all(part in str(caught.value) for part in ("ann", "backup-7", "4711", "since 20"))
    assert len(list(repo.store.list("locks/"))) == 1


def test_nested_locks_are_one(repo: Repository) -> None:
    with repo.lock():
        with repo.lock():
            assert len(list(repo.store.list("locks/"))) == 1
        assert len(list(repo.store.list("locks/"))) == 1
    assert list(repo.store.list("locks/")) == []


def test_a_lock_that_nobody_renews_ends(repo: Repository) -> None:
    _plant(repo, exclusive=True, age_ns=HOUR_NS // 2 + 2 * 10**9)
    with repo.lock(exclusive=True):
        assert len(list(repo.store.list("locks/"))) == 1


def test_age_is_measured_by_the_stores_clock() -> None:
    now = [1_000_000.0]
    store = MemoryStore(clock=lambda: now[0])
    init_repository(store, PASSWORD)
    repo = Repository.open(store, PASSWORD)
    _plant(repo, exclusive=True)
    with pytest.raises(RepositoryLocked), repo.lock():
        pass
    now[0] += 1801
    with repo.lock():
        now[0] += 1801
        with pytest.raises(LockLost):
            repo.check_lock()


def test_a_lock_is_renewed_by_a_new_file(repo: Repository) -> None:
    held = HeldLock(repo.store, repo.key, exclusive=False)
    held.acquire(refresh_s=0.01)
    (first,) = (info.name for info in repo.store.list("locks/"))
    _until(lambda: first not in {info.name for info in repo.store.list("locks/")})
    held.check()
    held.release()
    assert list(repo.store.list("locks/")) == []


def test_a_lock_that_cannot_be_read_stands(repo: Repository) -> None:
    repo.store.put("locks/" + "0" * 64, b"garbage")
    with pytest.raises(RepositoryLocked, match="can't be read"), repo.lock():
        pass


def test_a_lock_taken_at_the_same_moment_is_seen(repo: Repository) -> None:
    """Theirs appears after we looked and before ours is written: we step back."""

    def plant_once(number: int, name: str) -> None:
        if number == 1:
            _plant(repo, exclusive=True)

    racing = Repository(HookedStore(repo.store, plant_once), repo.key, repo.id)
    with pytest.raises(RepositoryLocked), racing.lock():
        pass
    assert len(list(repo.store.list("locks/"))) == 1
