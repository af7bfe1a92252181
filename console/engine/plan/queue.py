"""Who may start now: slots, fair between applications. No clock, no sleeping task.

An entry is one unit of work that asks for slots: a whole action, one snapshot,
one worker Job. The order is priority, then the application that holds least of
the same work, then age; the first that must wait for a cluster-wide slot keeps
what comes free from those behind it, so that small ones never starve a big one.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.intent import Slots

Work = Literal["snapshot", "export", "restore", "job"]
Pool = Literal["jobs", "snapshots", "exports", "restores"]
Reason = Literal["NoSlot", "ActionLimit", "Paused"]

# what each work takes; every export and restore of a volume is a worker Job too
POOLS: dict[Work, tuple[Pool, ...]] = {
    "snapshot": ("snapshots",),
    "export": ("jobs", "exports"),
    "restore": ("jobs", "restores"),
    "job": ("jobs",),
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that holds slots, or waits for them."""

    key: str  # unique
    work: Work
    action: str  # uid: per-action limits count by it
    label: str  # the action in words, shown to those who wait
    application: str
    priority: int = 0  # the higher, the sooner
    queued_at: str = ""  # RFC 3339 UTC
    units: int = 1  # slots of each pool; no more than the limits count
    paused: bool = False
    running: bool = False


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that may not start yet."""

    key: str
    position: int  # 1 = next; 0 = paused
    reason: Reason
    message: str
    held_by: tuple[str, ...] = ()  # labels of those who hold what it waits for


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Who may start, in order, and who waits, the next first."""

    start: tuple[str, ...]
    waiting: tuple[Waiting, ...]


def schedule(entries: Iterable[Entry], slots: Slots) -> Schedule:
    """Decide over all entries of one cluster; independent of their order."""
    everything = sorted(entries, key=lambda entry: entry.key)
    table = _Table(slots)
    for entry in everything:
        if entry.running:
            table.take(entry)
    paused = [entry for entry in everything if entry.paused and not entry.running]
    rest = _Line(entry for entry in everything if not entry.paused and not entry.running)
    start: list[str] = []
    waiting: list[Waiting] = []
    while one := rest.pop_first(table):
        stop = table.obstacle(one)
        if stop is None:
            table.take(one)
            start.append(one.key)
        else:
            waiting.append(table.waits(one, stop, position=len(waiting) + 1))
            table.reserve(one, stop)
    waiting += [
        Waiting(key=entry.key, position=0, reason="Paused", message="paused by a person")
        for entry in sorted(paused, key=table.order)
    ]
    return Schedule(start=tuple(start), waiting=tuple(waiting))


Obstacle = Pool | Literal["own"]


class _Line:
    """Those who wait, in a queue per work and application: within one, order never changes."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._queues: dict[tuple[Work, str], deque[Entry]] = {}
        for entry in sorted(entries, key=lambda e: (-e.priority, e.queued_at, e.key)):
            self._queues.setdefault((entry.work, entry.application), deque()).append(entry)

    def pop_first(self, table: _Table) -> Entry | None:
        """The next in line, as things stand at the table."""
        if not self._queues:
            return None
        first = min((queue[0] for queue in self._queues.values()), key=table.order)
        key = (first.work, first.application)
        self._queues[key].popleft()
        if not self._queues[key]:
            del self._queues[key]
        return first


class _Table:
    """The slots that are taken, and by whom."""

    def __init__(self, slots: Slots) -> None:
        self._limits: dict[Pool, int] = {
            "jobs": slots.jobs,
            "snapshots": slots.snapshots,
            "exports": slots.exports,
            "restores": slots.restores,
        }
        self._own: dict[Work, int] = {
            "export": slots.exportsPerAction,
            "restore": slots.restoresPerAction,
        }
        self._taken: Counter[Pool] = Counter()
        self._reserved: set[Pool] = set()
        self._reserved_own: set[tuple[Work, str]] = set()
        self._by_action: Counter[tuple[Work, str]] = Counter()
        self._by_application: Counter[tuple[Work, str]] = Counter()
        self._holders: list[Entry] = []

    def order(self, entry: Entry) -> tuple[int, int, str, str]:
        held = self._by_application[entry.work, entry.application]
        return (-entry.priority, held, entry.queued_at, entry.key)

    def take(self, entry: Entry) -> None:
        units = self._units(entry)
        for pool in POOLS[entry.work]:
            self._taken[pool] += units
        self._by_action[entry.work, entry.action] += units
        self._by_application[entry.work, entry.application] += units
        self._holders.append(entry)

    def reserve(self, entry: Entry, stop: Obstacle) -> None:
        """What comes free of what an entry lacks is this entry's."""
        if stop == "own":
            self._reserved_own.add((entry.work, entry.action))
        else:
            self._reserved.update(pool for pool in POOLS[entry.work] if self._lacks(entry, pool))

    def obstacle(self, entry: Entry) -> Obstacle | None:
        """What keeps an entry from starting; None when nothing does."""
        own = self._own.get(entry.work)
        mine = (entry.work, entry.action)
        full = own is not None and self._by_action[mine] + self._units(entry) > max(1, own)
        if full or mine in self._reserved_own:
            return "own"
        return next((pool for pool in POOLS[entry.work] if self._lacks(entry, pool)), None)

    def _lacks(self, entry: Entry, pool: Pool) -> bool:
        wanted = self._taken[pool] + self._units(entry)
        return pool in self._reserved or wanted > max(1, self._limits[pool])

    def waits(self, entry: Entry, stop: Obstacle, *, position: int) -> Waiting:
        if stop == "own":
            holders = {held.label for held in self._holders if held.action == entry.action}
            limit = self._own[entry.work]
            message = f"its action has {limit} {entry.work}s under way, as many as it may"
        else:
            holders = {held.label for held in self._holders if stop in POOLS[held.work]}
            message = f"{self._taken[stop]} of {self._limits[stop]} slots for {stop} are taken"
        return Waiting(
            key=entry.key,
            position=position,
            reason="ActionLimit" if stop == "own" else "NoSlot",
            message=message,
            held_by=tuple(sorted(holders)),
        )

    def _units(self, entry: Entry) -> int:
        # more than a limit could ever give would wait for ever
        caps = [max(1, self._limits[pool]) for pool in POOLS[entry.work]]
        own = self._own.get(entry.work)
        if own is not None:
            caps.append(max(1, own))
        return max(1, min(entry.units, *caps))
