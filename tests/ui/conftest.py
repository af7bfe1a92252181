"""One offscreen application, one qasync loop per test, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from qasync import QEventLoop

from console.ui import theme
from console.ui.messages import use_language

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from PySide6.QtWidgets import QApplication


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    use_language("en")
    yield
    use_language("en")


@pytest.fixture
def run_on_qt(qapp: QApplication) -> Iterator[Callable[[Awaitable[None]], None]]:
    """Run a coroutine on a qasync loop of its own; afterwards nothing may be left."""
    theme.load_fonts()
    qapp.setQuitOnLastWindowClosed(False)
    threads = set(threading.enumerate())

    def run(work: Awaitable[None]) -> None:
        async def watched() -> None:
            await asyncio.wait_for(_awaited(work), 30)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left: {left}"

        with asyncio.Runner(loop_factory=lambda: QEventLoop(qapp)) as runner:
            runner.run(watched())

    yield run
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    shown = [widget for widget in qapp.topLevelWidgets() if widget.isVisible()]
    assert not shown, f"widgets left: {shown}"
    assert set(threading.enumerate()) <= threads, "threads left"


async def _awaited(work: Awaitable[None]) -> None:
    await work
