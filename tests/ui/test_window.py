"""The whole window, offscreen: pages, ways to a backup and a restore, faults, keys, the end."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget

from console.engine import EngineError
from console.ui import theme
from console.ui.actions import PAGES
from console.ui.dialogs.clusters import AddClusterDialog, PrepareDialog
from console.ui.dialogs.questions import BackUpDialog, ConfirmDialog, ExportDialog
from console.ui.dialogs.restore import RestoreDialog
from console.ui.pages.activity import ActivityPage
from console.ui.pages.points import PointsPage
from tests.fakes.data import GZ, HK
from tests.fakes.engine import DemoEngine
from tests.fakes.pipe import PipeEngine
from tests.ui.stage import Stage, remembered, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from console.ui.main_window import MainWindow

    Run = Callable[[Awaitable[None]], None]

W = TypeVar("W", bound=QWidget)


def button(inside: QWidget, text: str) -> QPushButton:
    """A visible button by its text."""
    for one in inside.findChildren(QPushButton):
        if one.text().strip() == text and one.isVisible():
            return one
    raise AssertionError(f"no button {text!r}")


def _shows(window: MainWindow, page: str) -> bool:
    return window.current == page


async def opened(stage: Stage, kind: type[W]) -> W:
    """The dialog of a kind, as soon as it is open."""
    dialog = await stage.dialog()
    assert isinstance(dialog, kind), dialog
    return dialog


async def closed() -> None:
    """No dialog is open any more."""
    await until(lambda: QApplication.activeModalWidget() is None)


def test_each_page_opens_and_answers_its_question(run_on_qt: Run) -> None:
    async def scene() -> None:
        async with Stage(DemoEngine(speed=0)) as stage:
            sentences = {}
            for entry in PAGES:
                stage.window.go(entry.id)
                page = stage.window.pages[entry.id]
                assert page.isVisible()
                sentences[entry.id] = page.sentence.text()
                assert page.table.rows.rowCount() > 1, entry.id
                assert stage.window.top.title.text() == entry.title
            assert len(set(sentences.values())) == len(PAGES)
            for shown in stage.window.findChildren(QLabel):
                assert shown.textFormat() in (
                    Qt.TextFormat.PlainText,
                    Qt.TextFormat.AutoText,
                )
                if shown.text():
                    assert shown.textFormat() == Qt.TextFormat.PlainText, shown.text()
            assert not stage.problems

    run_on_qt(scene())


def test_from_the_table_to_a_running_backup(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = DemoEngine(speed=0)
        async with Stage(engine) as stage:
            stage.select("applications", f"{HK}/wiki")
            button(stage.window.pages["applications"].drawer, "Back up…").click()
            dialog = await opened(stage, BackUpDialog)
            assert dialog.yes.text().strip() == f"Back up wiki on {HK}"
            dialog.yes.click()
            await until(lambda: engine.calls)
            assert engine.calls == [f"actions.back_up {HK} wiki hk-s3"]
            await until(lambda: stage.window.current == "activity")
            await until(lambda: stage.window.top.running.text() == "3 running · 1 queued")
            await closed()

    run_on_qt(scene())


def test_running_actions_have_room_from_the_first_look(run_on_qt: Run) -> None:
    async def scene() -> None:
        async with Stage(DemoEngine(speed=0), remembered(page="activity")) as stage:
            stage.select("activity", f"{HK}/uid-4")
            page = stage.window.pages["activity"]
            assert isinstance(page, ActivityPage)
            await until(lambda: page.runs.height() > 300)
            assert page.table.height() > 150
            cards = list(page.runs.cards.values())
            assert [card.isVisible() for card in cards] == [True, True, True]

    run_on_qt(scene())


def test_a_refused_backup_is_shown_above_the_page(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = DemoEngine(speed=0)
        engine.fail["actions.back_up"] = EngineError(
            "backupactions.kubehaven.io is forbidden", subject="wiki", code="cluster.forbidden"
        )
        async with Stage(engine) as stage:
            stage.select("applications", f"{HK}/wiki")
            page = stage.window.pages["applications"]
            button(page.drawer, "Back up…").click()
            (await opened(stage, BackUpDialog)).yes.click()
            await until(lambda: stage.problems)
            assert page.slot.isVisible()
            button(page.slot, "Copy").click()
            copied = QApplication.clipboard().text()
            assert "This account may not do that" in copied
            assert "Object: wiki" in copied
            assert "Code: cluster.forbidden" in copied

    run_on_qt(scene())


def test_a_restore_names_cluster_and_target_before_it_starts(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = DemoEngine(speed=0)
        async with Stage(engine) as stage:
            stage.select("applications", f"{HK}/wiki")
            button(stage.window.pages["applications"].drawer, "Restore…").click()
            dialog = await opened(stage, RestoreDialog)
            await until(lambda: "blocks" in dialog.sentence.text())
            assert not dialog.yes.isEnabled()
            dialog.target.setText("wiki-test")
            await until(dialog.yes.isEnabled)
            assert dialog.yes.text().strip() == f"Restore wiki into wiki-test on {HK}"
            dialog.yes.click()
            await until(lambda: stage.window.current == "activity")
            assert engine.calls[0].startswith(f"actions.restore {HK} ")

    run_on_qt(scene())


def test_keys_lead_everywhere(run_on_qt: Run) -> None:
    async def scene() -> None:
        async with Stage(DemoEngine(speed=0)) as stage:
            window = stage.window
            window.activateWindow()
            await until(window.isActiveWindow)
            for keys, page in (("gr", "points"), ("gy", "activity"), ("ga", "applications")):
                QTest.keyClicks(window, keys)
                await until(partial(_shows, window, page))
            table = window.pages["applications"].table
            await until(table.hasFocus)
            QTest.keyClick(table, Qt.Key.Key_Down)
            drawer = window.pages["applications"].drawer
            await until(drawer.isVisible)
            QTest.keyClick(table, Qt.Key.Key_Return)
            await until(lambda: isinstance(window.focusWidget(), QPushButton))
            QTest.keyClick(window, Qt.Key.Key_Escape)
            await until(lambda: not drawer.isVisible())
            QTest.keyClick(window, Qt.Key.Key_Slash)
            field = window.pages["applications"].filter
            await until(field.hasFocus)
            QTest.keyClicks(field, "gr/wi")  # typed, not a command
            assert field.text() == "gr/wi"
            assert window.current == "applications"
            QTest.keyClick(field, Qt.Key.Key_Escape)
            assert field.text() == ""

    run_on_qt(scene())


def test_a_row_that_goes_takes_the_drawer_along(run_on_qt: Run) -> None:
    async def scene() -> None:
        async with Stage(DemoEngine(speed=0)) as stage:
            stage.select("applications", f"{HK}/wiki")
            page = stage.window.pages["applications"]
            assert page.drawer.isVisible()
            page.filter.setText("shop")
            await until(lambda: not page.drawer.isVisible())
            assert page.table.selected() == ""

    run_on_qt(scene())


def test_a_point_is_browsed_folder_by_folder(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = DemoEngine(speed=0)
        async with Stage(engine) as stage:
            await browse_exported_point(stage)
            engine.fail["restore_points.browse"] = EngineError("pack 4f is gone", code="storage")
            page = stage.window.pages["points"]
            assert isinstance(page, PointsPage)
            media = page.browser.model.index(0, 0, page.browser.model.index(1, 0))
            page.browser.tree.expand(media)
            await until(page.browser.slot.isVisible)

    run_on_qt(scene())


async def browse_exported_point(stage: Stage) -> None:
    """Open an exported point and two folders in it."""
    points = stage.window.live.points_of(HK, "pageviews")
    stage.select("points", next(p.key for p in points if p.kind == "exported"))
    page = stage.window.pages["points"]
    assert isinstance(page, PointsPage)
    page.drawer.show_page(1)
    model = page.browser.model
    await until(lambda: model.rowCount() == 2)
    page.browser.tree.expand(model.index(1, 0))
    await until(lambda: model.rowCount(model.index(1, 0)) == 2)
    page.browser.tree.setCurrentIndex(model.index(0, 0, model.index(1, 0)))
    assert page.browser.path() == "volumes/pgdata"


def test_language_and_appearance_change_at_once(run_on_qt: Run) -> None:
    async def scene() -> None:
        async with Stage(DemoEngine(speed=0)) as stage:
            stage.window.choose(language="zh_CN", mode="dark")
            await until(lambda: stage.window.top.title.text() == "应用")
            await until(lambda: stage.window.pages)
            assert theme.active().dark
            assert "受保护" in stage.window.pages["applications"].sentence.text()
            stage.window.live.look_at("")
            assert theme.active().cluster == ""
            stage.window.live.look_at(GZ)
            assert theme.active().cluster == "#8E5AA8"

    run_on_qt(scene())


def test_the_first_cluster_is_added_only_after_its_programs_are_trusted(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = DemoEngine(speed=0, empty=True)
        stage = Stage(engine, remembered(cluster=""))
        async with stage:
            button(stage.window.pages["applications"], "Add cluster…").click()
            await add_lab(stage)
            assert engine.calls[:2] == [
                "clusters.add lab /k/exec  False",
                "clusters.add lab /k/exec  True",
            ]

    run_on_qt(scene())


async def add_lab(stage: Stage) -> None:
    """Through the add dialog, with the trust question; then prepare and forget it."""
    dialog = await opened(stage, AddClusterDialog)
    assert not dialog.yes.isEnabled()
    dialog.name.setText("lab")
    dialog.path.setText("/k/exec")
    dialog.yes.click()
    await until(lambda: dialog.yes.text() == "Trust these and add")
    shown = [one.text() for one in dialog.findChildren(QLabel)]
    assert any("tke-login" in text and "ca.crt" in text for text in shown)
    dialog.yes.click()
    await until(lambda: stage.window.live.cluster("lab"))
    await closed()


def test_closing_asks_only_while_this_window_works(run_on_qt: Run) -> None:
    async def scene() -> None:
        async with Stage(DemoEngine(speed=0)) as stage:
            asking = asyncio.get_running_loop().create_task(stage.window.may_close())
            dialog = await opened(stage, ConfirmDialog)
            dialog.reject()
            assert await asking is False
            await closed()
        async with Stage(DemoEngine(speed=0, empty=True), remembered(cluster="")) as stage:
            assert await stage.window.may_close()

    run_on_qt(scene())


@pytest.mark.usefixtures("qapp")
def test_ten_thousand_rows_stay_quick(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = DemoEngine(speed=0, many=10_000)
        async with Stage(engine) as stage:
            stage.select("applications", f"{HK}/wiki")
            rows = await engine.applications.list(HK)
            loop = asyncio.get_running_loop()
            begun = loop.time()
            for row in rows[:50]:
                engine.put(row)
            await until(lambda: stage.window.live.known("applications"))
            stage.window.pages["applications"].presenter.render()
            assert loop.time() - begun < 1.0
            assert stage.window.pages["applications"].table.selected() == f"{HK}/wiki"

    run_on_qt(scene())


def _calls_in_source() -> set[str]:
    """Every `group.method` of the facade that the window's source uses."""
    found: set[str] = set()
    groups = "clusters|applications|locations|restore_points|actions"
    for path in [*Path("console/ui").rglob("*.py"), Path("console/app.py")]:
        text = re.sub(r"\s+", "", path.read_text("utf-8"))
        for group, method in re.findall(rf"engine\.({groups})\.(\w+)\(", text):
            found.add(f"{group}.{method}")
        for method in re.findall(r"points\.(get)\(row", text):
            found.add(f"restore_points.{method}")
    return found


def test_the_whole_window_works_with_the_engine_in_another_process(run_on_qt: Run) -> None:
    async def scene() -> None:
        engine = await PipeEngine.start()
        async with Stage(engine) as stage:
            for cluster in await engine.clusters.list():
                await engine.clusters.watch(cluster.name)
            await _back_up_and_cancel(stage)
            await _export_and_restore(stage)
            await browse_exported_point(stage)
            page = stage.window.pages["points"]
            assert isinstance(page, PointsPage)
            target = await engine.restore_points.get(HK, "pageviews", "volumes", "/nowhere")
            assert target > 0
            await _clusters_and_locations(stage)
            await _relist(stage, engine)
            assert not stage.problems
            assert _calls_in_source() - engine.used == set()

    run_on_qt(scene())


async def _back_up_and_cancel(stage: Stage) -> None:
    stage.select("applications", f"{HK}/wiki")
    button(stage.window.pages["applications"].drawer, "Back up…").click()
    (await opened(stage, BackUpDialog)).yes.click()
    await until(lambda: any(a.uid == "uid-new-1" for a in stage.window.live.actions()))
    await until(lambda: stage.window.current == "activity")
    page = stage.window.pages["activity"]
    assert isinstance(page, ActivityPage)
    await until(lambda: f"{HK}/uid-new-1" in page.runs.cards)
    page.presenter.cancel(f"{HK}/uid-1")
    (await opened(stage, ConfirmDialog)).yes.click()
    await until(
        lambda: any(
            a.uid == "uid-1" and a.outcome == "Cancelled" for a in stage.window.live.actions()
        )
    )
    await closed()


async def _export_and_restore(stage: Stage) -> None:
    points = stage.window.live.points_of(HK, "shop")
    stage.select("points", next(p.key for p in points if p.kind == "local"))
    drawer = stage.window.pages["points"].drawer
    button(drawer, "Export…").click()
    (await opened(stage, ExportDialog)).yes.click()
    await until(lambda: any(a.uid == "uid-new-2" for a in stage.window.live.actions()))
    await closed()
    stage.window.go("points")
    button(drawer, "Restore…").click()
    dialog = await opened(stage, RestoreDialog)
    dialog.target.setText("shop-test")
    await until(dialog.yes.isEnabled)
    dialog.yes.click()
    await until(lambda: any(a.target == "shop-test" for a in stage.window.live.actions()))
    await closed()


async def _clusters_and_locations(stage: Stage) -> None:
    stage.window.go("clusters")
    button(stage.window.pages["clusters"], "Add cluster…").click()
    await add_lab(stage)
    stage.select("clusters", "lab")
    drawer = stage.window.pages["clusters"].drawer
    button(drawer, "Prepare…").click()
    dialog = await opened(stage, PrepareDialog)
    await until(dialog.yes.isEnabled)
    dialog.yes.click()
    await closed()
    await until(lambda: (c := stage.window.live.cluster("lab")) and c.engine == "driving")
    button(drawer, "Forget…").click()
    (await opened(stage, ConfirmDialog)).yes.click()
    await until(lambda: stage.window.live.cluster("lab") is None)
    stage.select("locations", f"{HK}/nfs-lab")
    button(stage.window.pages["locations"].drawer, "Check now").click()
    await until(lambda: all(one.state == "usable" for one in stage.window.live.locations()))


async def _relist(stage: Stage, engine: PipeEngine) -> None:
    for stream, rows in (
        ("applications", await engine.applications.list(HK)),
        ("points", await engine.restore_points.list(HK)),
        ("actions", await engine.actions.list(HK)),
    ):
        stage.window.live.relist(stream, HK, rows)
