"""The desktop's composition root: joins the window and an engine on one qasync loop.

Start: the window is shown first, then the engine is opened, so that something
is painted within two seconds. Stop: close requested → ask if work would stop →
end the pages' tasks → close the engine, at most `CLOSE_S` → delete the window.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import platformdirs
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from console import __version__
from console.engine import ClustersListed, EngineError, EngineFacade
from console.ui import theme
from console.ui.bridge import EventPump, FaultSink, TaskOwner, Watching, problem_from
from console.ui.main_window import MainWindow
from console.ui.state import load_remembered, save_remembered

EngineFactory = Callable[[], AbstractAsyncContextManager[EngineFacade]]

CLOSE_S = 10.0


def run_desktop(engine_factory: EngineFactory, *, remembered: Path | None = None) -> int:
    """Open the window on an engine and stay until the user leaves; the exit code.

    Args:
        remembered: Where the window's size, page and language are kept.
    """
    known = QApplication.instance()
    app = known if isinstance(known, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("kubehaven")
    app.setApplicationDisplayName("Kubehaven")
    app.setApplicationVersion(__version__)
    app.setQuitOnLastWindowClosed(False)  # else the loop stops below the running tasks
    theme.load_fonts()
    path = remembered or Path(platformdirs.user_config_dir("kubehaven")) / "window.json"
    with asyncio.Runner(loop_factory=lambda: QEventLoop(app)) as runner:
        runner.run(Desktop(path).run(engine_factory))
    theme.release()
    return 0


class Desktop:
    """One run of the desktop, from the first paint to the last."""

    def __init__(self, remembered: Path) -> None:
        self._path = remembered
        self._faults = FaultSink()
        self._tasks = TaskOwner("desktop", self._faults)
        self._leave = asyncio.Event()
        self._engine = AsyncExitStack()
        self.window = MainWindow(load_remembered(remembered), self._faults)

    async def run(self, engine_factory: EngineFactory) -> None:
        """Show the window, open the engine, wait for the end, clean up."""
        loop = asyncio.get_running_loop()
        undo = self._faults.install(loop)
        restore = _catch_signals(self._leave.set)
        self.window.close_requested.connect(self._on_close_requested)
        self.window.show()
        try:
            await self._live(engine_factory)
        finally:
            restore()
            undo()

    async def _live(self, engine_factory: EngineFactory) -> None:
        opening = self._tasks.start(self._open(engine_factory), name="open")
        await self._leave.wait()
        opening.cancel()
        await self.window.aclose()
        await self._tasks.aclose()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._engine.aclose()
        except TimeoutError:
            sys.stderr.write("kubehaven: the engine did not stop in time\n")
        save_remembered(self._path, self.window.remembered)
        self.window.hide()
        self.window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)

    async def _open(self, engine_factory: EngineFactory) -> None:
        await asyncio.sleep(0)  # the window is painted first
        try:
            engine = await self._engine.enter_async_context(engine_factory())
            clusters = await engine.clusters.list()
        except EngineError as error:
            self.window.show_start_problem(problem_from(error))
            return
        self.window.attach(engine)
        live = self.window.live
        live.apply([ClustersListed(rows=clusters)])  # an engine that has nothing yet says nothing
        if len(clusters) == 1:
            live.look_at(clusters[0].name)
        self._tasks.start(EventPump(engine, live, self._tasks).run(), name="events")
        watching = Watching(engine, live, self._tasks)
        self._engine.callback(watching.close)

    def _on_close_requested(self) -> None:
        self._tasks.start(self._close(), name="close", replaces=True)

    async def _close(self) -> None:
        if await self.window.may_close():
            self._leave.set()


def _catch_signals(leave: Callable[[], None]) -> Callable[[], None]:
    """SIGINT and SIGTERM lead to the same clean end; the result undoes it."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [(one, signal.getsignal(one)) for one in signals]
    for one in signals:
        signal.signal(one, lambda *_: leave())

    def undo() -> None:
        for one, handler in before:
            signal.signal(one, handler)

    return undo
