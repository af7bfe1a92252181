"""Draws every page into a folder: `python -m tests.ui.screenshots OUT`.

Light, dark, 简体中文, 1024 × 600, ten thousand rows, empty, a cluster that does not answer.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from console.ui import theme
from console.ui.presenters.desk import BackUpQuestion
from tests.fakes.data import GZ, HK, stamp
from tests.fakes.engine import DemoEngine
from tests.ui.stage import Stage, remembered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from PySide6.QtWidgets import QWidget

    from console.ui.state import Remembered

PAGES = ("applications", "points", "activity", "locations", "clusters")


class Studio(Stage):
    """A window on the demo engine, and a camera."""

    def __init__(self, out: Path, engine: DemoEngine, start: Remembered) -> None:
        super().__init__(engine, start)
        self.out = out
        self.demo = engine

    async def settle(self) -> None:
        """Let events arrive and everything be painted."""
        for _ in range(4):
            await asyncio.sleep(0.06)

    async def shoot(self, name: str, widget: QWidget | None = None) -> None:
        """One picture."""
        await self.settle()
        (widget or self.window).grab().save(str(self.out / f"{name}.png"))


async def _pages(studio: Studio, prefix: str) -> None:
    chosen = {"applications": f"{HK}/registry", "activity": f"{HK}/uid-4", "clusters": HK}
    for page in PAGES:
        studio.select(page, chosen.get(page, ""))
        if page == "points":
            points = studio.window.live.points_of(HK, "pageviews")
            studio.select(page, next(p.key for p in points if p.kind == "exported"))
        if page == "locations":
            studio.select(page, f"{HK}/nfs-lab")
        await studio.shoot(f"{prefix}-{page}")


async def _running(studio: Studio, prefix: str) -> None:
    studio.select("activity", "")
    for _ in range(3):
        for row in await studio.demo.actions.list(HK):
            if row.phase == "Running":
                studio.demo.actions.advance(row, 0.35)
        await asyncio.sleep(0.3)
    await studio.shoot(f"{prefix}-activity-running")


async def _browser(studio: Studio, prefix: str) -> None:
    points = studio.window.live.points_of(HK, "pageviews")
    studio.select("points", next(p.key for p in points if p.kind == "exported"))
    page = studio.window.pages["points"]
    page.drawer.show_page(1)
    await studio.settle()
    browser = page.browser  # type: ignore[attr-defined]  # only this page has one
    browser.tree.expand(browser.model.index(1, 0))
    await studio.settle()
    browser.tree.expand(browser.model.index(0, 0, browser.model.index(1, 0)))
    browser.tree.setCurrentIndex(browser.model.index(0, 0, browser.model.index(1, 0)))
    await studio.shoot(f"{prefix}-points-contents")
    page.drawer.show_page(0)


async def _dialog(
    studio: Studio, name: str, ask: Awaitable[object], then: Callable[[QWidget], None] | None = None
) -> None:
    async def run() -> None:
        await ask

    task = studio.tasks.start(run(), name=name)
    await studio.settle()
    dialog = QApplication.activeModalWidget()
    assert dialog is not None, name
    if then is not None:
        then(dialog)
        await asyncio.sleep(0.4)
    await studio.shoot(name, dialog)
    dialog.close()
    await asyncio.wait([task])


async def _dialogs(studio: Studio, prefix: str) -> None:
    asks = studio.window._dialogs
    live = studio.window.live
    points = live.points_of(HK, "pageviews")

    def elsewhere(dialog: QWidget) -> None:
        dialog.target.setText("pageviews-test")  # type: ignore[attr-defined]  # the restore dialog

    def trust(dialog: QWidget) -> None:
        dialog.name.setText("lab")  # type: ignore[attr-defined]  # the add dialog
        dialog.path.setText("/home/anna/.kube/exec")  # type: ignore[attr-defined]
        dialog._add()  # type: ignore[attr-defined]

    await _dialog(studio, f"{prefix}-dialog-restore-blocked", asks.restore(points))
    await _dialog(studio, f"{prefix}-dialog-restore", asks.restore(points), elsewhere)
    question = BackUpQuestion(
        cluster=HK, application="wiki", objects=24, volumes=2, locations=live.locations(HK)
    )
    await _dialog(studio, f"{prefix}-dialog-backup", asks.back_up(question))
    await _dialog(studio, f"{prefix}-dialog-add-cluster", asks.add_cluster(), trust)
    await _dialog(studio, f"{prefix}-dialog-prepare", asks.prepare(GZ))


async def _stale(studio: Studio) -> None:
    row = studio.demo.cluster(HK)
    long_ago = stamp(datetime.now(UTC) - timedelta(minutes=30))
    studio.demo.put_cluster(
        msgspec.structs.replace(
            row, health="stale", as_of=long_ago, problem="dial tcp 203.0.113.7:6443: i/o timeout"
        )
    )
    studio.select("applications", f"{HK}/wiki")
    await studio.shoot("stale-applications")


async def draw(out: Path) -> None:
    """All pictures."""
    async with Studio(out, DemoEngine(speed=0), remembered()) as studio:
        await _running(studio, "light")
        await _pages(studio, "light")
        await _browser(studio, "light")
        await _dialogs(studio, "light")
        studio.window.live.look_at("")
        studio.select("applications", "")
        await studio.shoot("light-all-clusters")
        studio.window.live.look_at(HK)
        await _stale(studio)
    async with Studio(out, DemoEngine(speed=0), remembered(mode="dark")) as studio:
        await _pages(studio, "dark")
        await _dialogs(studio, "dark")
    chinese = remembered(mode="dark", language="zh_CN")
    async with Studio(out, DemoEngine(speed=0), chinese) as studio:
        await _pages(studio, "zh")
        await _dialogs(studio, "zh")
    async with Studio(out, DemoEngine(speed=0), remembered(width=1024, height=600)) as studio:
        await _running(studio, "small")
        await _pages(studio, "small")
    async with Studio(out, DemoEngine(speed=0, many=10_000), remembered()) as studio:
        studio.select("applications", f"{HK}/tenant-00003")
        await studio.shoot("many-applications")
    async with Studio(out, DemoEngine(speed=0, empty=True), remembered(cluster="")) as studio:
        for page in PAGES:
            studio.window.go(page)
            await studio.shoot(f"empty-{page}")


def main(out: Path) -> None:
    """Draw into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    app = QApplication(sys.argv[:1])
    app.setQuitOnLastWindowClosed(False)
    theme.load_fonts()
    with asyncio.Runner(loop_factory=lambda: QEventLoop(app)) as runner:
        runner.run(draw(out))
    theme.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()))
