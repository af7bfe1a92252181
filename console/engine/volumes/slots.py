"""The rights to run something: who holds them, who waits, in which order.

A slot is an entry in a table, not a sleeping lock: whoever looks can say who
holds what and who is next. The decisions are plan.queue's; this is the shell
that keeps the entries and wakes those that may start. Used on the engine's
loop only.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from console.engine.plan.queue import Entry, Schedule, schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from console.engine.model.intent import Slots
    from console.engine.plan.queue import Work


class SlotTable:
    """Slots of one cluster."""

    def __init__(self, limits: Slots, *, on_change: Callable[[], None] = lambda: None) -> None:
        self._limits = limits
        self._on_change = on_change
        self._entries: dict[str, Entry] = {}
        self._granted: dict[str, asyncio.Future[None]] = {}
        self._numbers = count()

    def schedule_with(self, others: Iterable[Entry]) -> Schedule:
        """What may start when others, which hold nothing yet, stand in the same queue."""
        return schedule([*self._entries.values(), *others], self._limits)

    @asynccontextmanager
    async def slot(
        self, work: Work, *, action: str, label: str, application: str
    ) -> AsyncIterator[None]:
        """Hold one slot for the length of the block; a cancelled wait gives its place up."""
        number = next(self._numbers)
        key = f"{number:012d}"
        self._entries[key] = Entry(
            key=key,
            work=work,
            action=action,
            label=label,
            application=application,
            queued_at=key,
        )
        self._granted[key] = asyncio.get_running_loop().create_future()
        try:
            self._grant()
            await self._granted[key]
            yield
        finally:
            del self._entries[key], self._granted[key]
            self._grant()

    def _grant(self) -> None:
        for key in schedule(self._entries.values(), self._limits).start:
            self._entries[key] = msgspec.structs.replace(self._entries[key], running=True)
            self._granted[key].set_result(None)
        self._on_change()
