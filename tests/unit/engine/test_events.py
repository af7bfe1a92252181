"""The bus: first the whole, then the changes; whoever applies them sees what was published."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from console.engine.events import (
    Event,
    EventBus,
    Notice,
    PointsChanged,
    PointsListed,
)
from console.engine.model.views import PointView

if TYPE_CHECKING:
    from collections.abc import Mapping


def point(name: str, size: int) -> PointView:
    return PointView(
        cluster="lab",
        name=name,
        id=name,
        kind="local",
        state="Ready",
        application="shop",
        taken_at="",
        logical_size=size,
    )


def apply(rows: dict[str, PointView], event: Event) -> None:
    """What a window does with an event."""
    if isinstance(event, PointsListed):
        rows.clear()
        rows.update({row.key: row for row in event.rows})
    elif isinstance(event, PointsChanged):
        for key in event.removed:
            rows.pop(key, None)
        rows.update({row.key: row for row in event.upserts})


STATES = st.lists(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 3), max_size=5), max_size=8
)


@given(STATES, st.sets(st.integers(0, 8)))
def test_a_reader_of_any_speed_ends_with_what_was_published(
    states: list[Mapping[str, int]], pauses: set[int]
) -> None:
    async def run() -> None:
        bus = EventBus()
        rows: dict[str, PointView] = {}
        revisions: list[int] = []
        bus.publish("points", "lab", [point("first", 1)])
        reader = bus.read()
        apply(rows, await anext(reader))
        for number, state in enumerate(states):
            bus.publish("points", "lab", [point(name, size) for name, size in state.items()])
            if number in pauses:
                await drain()
        bus.notify(Notice(level="info", code="end", message=""))
        while True:
            event = await anext(reader)
            if isinstance(event, Notice):
                # a notice may be read before the rows of the same moment
                break
            revisions.append(getattr(event, "revision", 0))
            apply(rows, event)
        bus.publish("points", "lab", [point("last", 9)])
        while "lab/last" not in rows or len(rows) > 1:
            apply(rows, await anext(reader))
        assert revisions == sorted(revisions)
        await reader.aclose()

    async def drain() -> None:
        await asyncio.sleep(0)

    asyncio.run(run())


def test_events_cross_a_pipe() -> None:
    """Every event is a value: encoded, decoded, equal."""
    event = PointsListed(cluster="lab", revision=1, rows=(point("a", 1),))
    kinds = PointsListed | PointsChanged | Notice
    assert msgspec.json.decode(msgspec.json.encode(event), type=kinds) == event


async def test_nothing_is_sent_when_nothing_changed() -> None:
    bus = EventBus()
    reader = bus.read()
    bus.publish("points", "lab", [point("a", 1)])
    bus.publish("points", "lab", [point("a", 1)])
    assert isinstance(await anext(reader), PointsListed)
    waiting = asyncio.get_running_loop().create_task(anext(reader))
    bus.publish("points", "lab", [point("a", 1)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await reader.aclose()
