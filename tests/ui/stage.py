"""A window on an engine, as `console.app` sets it up, for tests and pictures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import msgspec
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication

from console.ui.bridge import EventPump, FaultSink, TaskOwner
from console.ui.main_window import MainWindow
from console.ui.state import Remembered
from tests.fakes.data import HK

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QDialog

    from console.engine import EngineFacade
    from console.ui.messages import Problem

WAIT_S = 8.0


def remembered(**more: object) -> Remembered:
    """What the window starts with."""
    return msgspec.convert({"cluster": HK, "language": "en", "mode": "light", **more}, Remembered)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def look() -> None:
        if done.done():
            return
        if condition():
            done.set_result(None)
        else:
            loop.call_later(0.01, look)

    look()
    async with asyncio.timeout(WAIT_S):
        await done


class Stage:
    """Opens and closes in a `with` block; `problems` holds every fault that was shown."""

    def __init__(self, engine: EngineFacade, start: Remembered | None = None) -> None:
        self.engine = engine
        self.faults = FaultSink()
        self.tasks = TaskOwner("stage", self.faults)
        self.window = MainWindow(start or remembered(), self.faults)
        self.problems: list[Problem] = []
        show = self.window.say

        def noted(problem: Problem | None) -> None:
            if problem is not None:
                self.problems.append(problem)
            show(problem)

        self.faults.show = noted

    async def __aenter__(self) -> Self:
        self.window.show()
        self.window.attach(self.engine)
        pump = EventPump(self.engine, self.window.live, self.tasks)
        self.tasks.start(pump.run(), name="events")
        await until(lambda: self.window.live.known("locations"))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.window.aclose()
        await self.tasks.aclose()
        await self.engine.aclose()
        self.window.hide()
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    def select(self, page: str, key: str) -> None:
        """Go to a page and choose a row."""
        self.window.go(page)
        self.window.pages[page].table.select(key)

    async def dialog(self) -> QDialog:
        """The dialog that is open, as soon as it is."""
        await until(QApplication.activeModalWidget)
        found = QApplication.activeModalWidget()
        assert found is not None
        return found  # type: ignore[return-value]  # all our modal widgets are dialogs
