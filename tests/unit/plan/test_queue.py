"""Slots: never more than a limit, fair between applications, and everybody's turn comes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from console.engine.model.intent import Slots
from console.engine.plan.queue import POOLS, Entry, schedule

if TYPE_CHECKING:
    import random
import time


def entry(key: str, *, application: str = "visits", **more: Any) -> Entry:
    given: dict[str, Any] = {
        "work": "job",
        "action": application,
        "label": f"action of {application}",
        "queued_at": "2026-11-24T10:00:00Z",
    }
    return Entry(key=key, application=application, **given | more)


def test_what_fits_starts_and_the_rest_is_told_who_holds_the_slots() -> None:
    found = schedule([entry(str(n)) for n in range(4)], Slots(jobs=3))
    assert found.start == ("0", "1", "2")
    (waits,) = found.waiting
    assert (waits.key, waits.position, waits.reason) == ("3", 1, "NoSlot")
    assert waits.held_by == ("action of visits",)
    assert waits.message == "3 of 3 slots for jobs are taken"


def test_applications_take_turns() -> None:
    many = [entry(f"a{n}", application="a") for n in range(6)]
    late = entry("b", application="b", queued_at="2026-11-24T11:00:00Z")
    assert schedule([*many, late], Slots(jobs=3)).start == ("a0", "b", "a1")


def test_priority_goes_first_and_age_decides_among_equals() -> None:
    entries = [
        entry("new", queued_at="2026-11-24T12:00:00Z"),
        entry("old", queued_at="2026-11-24T09:00:00Z"),
        entry("urgent", queued_at="2026-11-24T13:00:00Z", priority=5),
    ]
    found = schedule(entries, Slots(jobs=1))
    assert found.start == ("urgent",)
    assert [(waits.key, waits.position) for waits in found.waiting] == [("old", 1), ("new", 2)]


def test_an_action_has_a_limit_of_its_own_and_stops_nobody_else() -> None:
    mine = [entry(f"m{n}", work="export") for n in range(5)]
    other = entry("z", work="export", application="z")
    found = schedule([*mine, other], Slots(exportsPerAction=3))
    assert sorted(found.start) == ["m0", "m1", "m2", "z"]
    assert {waits.reason for waits in found.waiting} == {"ActionLimit"}


def test_a_full_pool_does_not_stop_other_work() -> None:
    exports = [entry(f"e{n}", work="export", action=str(n)) for n in range(3)]
    restore = entry("r", work="restore")
    found = schedule([*exports, restore], Slots(jobs=9, exports=2))
    assert set(found.start) == {"e0", "e1", "r"}


def test_paused_ones_wait_without_a_place() -> None:
    found = schedule([entry("a", paused=True), entry("b")], Slots())
    assert found.start == ("b",)
    assert [(w.key, w.position, w.reason) for w in found.waiting] == [("a", 0, "Paused")]


def test_more_than_a_limit_can_ever_give_is_cut_to_the_limit() -> None:
    found = schedule([entry("a", work="snapshot", units=50)], Slots(snapshots=10))
    assert found.start == ("a",)


def test_small_ones_do_not_slip_past_a_big_one() -> None:
    running = entry("run", units=2, running=True)
    big = entry("big", units=3, application="b")
    small = entry("small", application="c", queued_at="2026-11-24T11:00:00Z")
    found = schedule([running, big, small], Slots(jobs=3))
    assert found.start == ()
    assert [waits.key for waits in found.waiting] == ["big", "small"]
    assert schedule([big, small], Slots(jobs=3)).start == ("big",)


def test_nor_past_a_big_one_of_their_own_action() -> None:
    running = entry("run", work="export", units=1, running=True)
    big = entry("big", work="export", units=3)
    small = entry("small", work="export", queued_at="2026-11-24T11:00:00Z")
    found = schedule([running, big, small], Slots(exportsPerAction=3))
    assert found.start == ()


SLOTS = st.builds(
    Slots,
    jobs=st.integers(0, 4),
    snapshots=st.integers(0, 4),
    exports=st.integers(0, 4),
    exportsPerAction=st.integers(0, 3),
    restores=st.integers(0, 4),
    restoresPerAction=st.integers(0, 3),
)
ENTRY = st.builds(
    Entry,
    key=st.just(""),
    work=st.sampled_from(sorted(POOLS)),
    action=st.sampled_from(["1", "2", "3"]),
    label=st.just("an action"),
    application=st.sampled_from(["a", "b", "c"]),
    queued_at=st.sampled_from(["2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"]),
    units=st.integers(0, 6),
    paused=st.booleans(),
)
ENTRIES = st.lists(ENTRY, max_size=14).map(
    lambda found: [msgspec.structs.replace(e, key=f"{n:02}") for n, e in enumerate(found)]
)


def limit(slots: Slots, pool: str) -> int:
    return max(1, int(getattr(slots, pool)))


def own_limit(slots: Slots, work: str) -> int:
    return max(
        1, {"export": slots.exportsPerAction, "restore": slots.restoresPerAction}.get(work, 99)
    )


def units(entry: Entry, slots: Slots) -> int:
    caps = [limit(slots, pool) for pool in POOLS[entry.work]] + [own_limit(slots, entry.work)]
    return max(1, min(entry.units, *caps))


def within_limits(running: list[Entry], slots: Slots) -> bool:
    taken: Counter[str] = Counter()
    own: Counter[tuple[str, str]] = Counter()
    for one in running:
        own[one.work, one.action] += units(one, slots)
        for pool in POOLS[one.work]:
            taken[pool] += units(one, slots)
    return all(count <= limit(slots, pool) for pool, count in taken.items()) and all(
        count <= own_limit(slots, work) for (work, _), count in own.items()
    )


@given(ENTRIES, SLOTS, st.randoms(use_true_random=False))
def test_each_entry_is_answered_once_whatever_the_order(
    entries: list[Entry], slots: Slots, chance: random.Random
) -> None:
    shuffled = entries.copy()
    chance.shuffle(shuffled)
    found = schedule(entries, slots)
    assert found == schedule(shuffled, slots)
    answered = [*found.start, *(waits.key for waits in found.waiting)]
    assert sorted(answered) == [one.key for one in entries]
    places = [waits.position for waits in found.waiting if waits.position]
    assert places == list(range(1, len(places) + 1))


@given(ENTRIES, SLOTS, st.randoms(use_true_random=False))
def test_no_limit_is_ever_passed_and_nobody_starves(
    entries: list[Entry], slots: Slots, chance: random.Random
) -> None:
    """Small younger work of the same kinds keeps arriving and ending; the first get their turn."""
    open_ones = {one.key: one for one in entries}
    wanted = {one.key for one in entries if not one.paused}
    for turn in range(400):
        if not wanted & open_ones.keys():
            return
        found = schedule(open_ones.values(), slots)
        for key in found.start:
            assert not open_ones[key].paused
            open_ones[key] = msgspec.structs.replace(open_ones[key], running=True)
        running = [one for one in open_ones.values() if one.running]
        assert within_limits(running, slots)
        assert running, "nothing runs, and something waits"
        young = [one.key for one in running if one.key not in wanted]
        old = [one.key for one in running if one.key in wanted]
        for key in young[:1] + ([] if turn % 4 else old[:1]):
            del open_ones[key]
        waiting = sum(not one.running for one in open_ones.values())
        for number in range(max(0, 20 - waiting)):
            key = f"young-{turn:04}-{number}"
            like = chance.choice(entries)
            open_ones[key] = msgspec.structs.replace(
                like, key=key, queued_at="2026-11-24T12:00:00Z", paused=False, units=1
            )
    raise AssertionError(f"starved: {wanted & open_ones.keys()}")


def test_a_long_queue_is_decided_in_a_moment() -> None:
    many = [entry(f"{n:05}", application=str(n % 50), work="export") for n in range(5000)]
    began = time.perf_counter()
    assert len(schedule(many, Slots()).start) == 9
    assert time.perf_counter() - began < 2
