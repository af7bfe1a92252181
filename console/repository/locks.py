"""Locks as restic's: a file per holder, renewed by a new file, stale after 30 minutes.

Shared locks go together; an exclusive one goes with none. Age is measured by the
store's clock. Our host name is `kubehaven-<random>`, so that restic's rule
about processes of its own host never fits.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from typing import TYPE_CHECKING

import msgspec

from console.repository.errors import Damage, LockLost, RepositoryLocked
from console.repository.listing import list_files
from console.repository.messages import load_message, save_message
from console.repository.trees import format_time, parse_time
from console.storage.errors import NoSuchObject, StoreError

if TYPE_CHECKING:
    from console.repository.keys import DataKey
    from console.storage.protocol import ObjectStore

log = logging.getLogger(__name__)

REFRESH_S = 300.0
RETRY_S = 30.0
STALE_S = 1800.0
HOSTNAME = f"kubehaven-{secrets.token_hex(6)}"


class Lock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lock as it is stored."""

    time: str
    exclusive: bool
    hostname: str = ""
    username: str = ""
    pid: int = 0
    uid: int = 0
    gid: int = 0


class HeldLock:
    """A lock of ours; a thread renews it until `release`."""

    def __init__(self, store: ObjectStore, key: DataKey, *, exclusive: bool) -> None:
        self._store = store
        self._key = key
        self.exclusive = exclusive
        self._id = ""
        self._renewed = 0.0
        self._done = threading.Event()
        self._refresher: threading.Thread | None = None

    def acquire(self, *, refresh_s: float = REFRESH_S) -> None:
        """Take the lock; `RepositoryLocked` when another one stands against it."""
        self._refuse_others()
        self._write()
        try:
            self._refuse_others()
        except BaseException:
            self._store.delete(f"locks/{self._id}")
            raise
        self._refresher = threading.Thread(
            target=self._refresh, args=(refresh_s,), name="repository:lock", daemon=True
        )
        self._refresher.start()

    def release(self) -> None:
        """Give the lock back; a store that fails leaves it to grow stale."""
        self._done.set()
        if self._refresher is not None:
            self._refresher.join()
        try:
            self._store.delete(f"locks/{self._id}")
        except StoreError as fault:
            log.warning("lock %s stays behind: %s", self._id[:8], fault)

    def check(self) -> None:
        """`LockLost` when the lock could not be renewed in time."""
        if self._store.clock() - self._renewed > STALE_S:
            raise LockLost(
                "the lock could not be renewed for 30 minutes; others may work here now",
                subject=f"locks/{self._id}",
            )

    def _refresh(self, refresh_s: float) -> None:
        pause = refresh_s
        while not self._done.wait(pause):
            old = self._id
            try:
                self._write()
                self._store.delete(f"locks/{old}")
                pause = refresh_s
            except StoreError as fault:
                log.warning("lock %s was not renewed: %s", old[:8], fault)
                pause = min(RETRY_S, refresh_s)

    def _write(self) -> None:
        now = self._store.clock()
        lock = Lock(
            time=format_time(int(now * 1_000_000_000)),
            exclusive=self.exclusive,
            hostname=HOSTNAME,
            username="kubehaven",
            pid=os.getpid(),
        )
        self._id = save_message(self._store, self._key, "locks", msgspec.json.encode(lock))
        self._renewed = now

    def _refuse_others(self) -> None:
        for name, lock in list_locks(self._store, self._key):
            if name == f"locks/{self._id}" or not (self.exclusive or lock.exclusive):
                continue
            if self._store.clock() - parse_time(lock.time) / 1e9 > STALE_S:
                self._store.delete(name)
                continue
            raise RepositoryLocked(
                f"{'exclusively ' if lock.exclusive else ''}locked by {lock.username or 'somebody'}"
                f" on {lock.hostname or 'an unknown host'}, process {lock.pid}, since {lock.time}",
                subject=name,
                hint="wait until it is done; a lock that nobody renews ends after 30 minutes",
            )


def list_locks(store: ObjectStore, key: DataKey) -> list[tuple[str, Lock]]:
    """Every lock with its name in the store; one that can't be read is `RepositoryLocked`."""
    found = []
    for name in list_files(store, "locks/"):
        try:
            raw = load_message(store, key, name, Damage)
            lock = msgspec.json.decode(raw, type=Lock)
            parse_time(lock.time)
        except NoSuchObject:
            continue  # given back meanwhile
        except (Damage, msgspec.DecodeError, ValueError) as fault:
            raise RepositoryLocked(
                f"{name} is a lock that can't be read: {fault}",
                subject=name,
                hint="when nobody works on the repository, delete this file",
            ) from fault
        found.append((name, lock))
    return found
