"""The item models hold under Qt's own tester, whatever the order of changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QApplication

from console.engine import ActionView, BrowseEntry, VolumeProgress
from console.ui.models.cells import CELL, KEY, Cell
from console.ui.models.plans import entry_columns
from console.ui.models.progress import Rates
from console.ui.models.table import Column, SortedRows, TableModel
from console.ui.models.tree import TreeModel
from console.ui.widgets.table import TableView

if TYPE_CHECKING:
    import random


class Row(NamedTuple):
    """A row of the tests."""

    key: str
    size: int
    state: str


COLUMNS: tuple[Column[Row], ...] = (
    Column("key", "Key", lambda r: Cell(r.key), lambda r: r.key),
    Column("size", "Size", lambda r: Cell(str(r.size), right=True), lambda r: r.size, 80),
    Column("state", "State", lambda r: Cell(r.state), lambda r: r.state, 80),
)


def _table() -> TableModel[Row]:
    return TableModel(COLUMNS, lambda row: row.key)


def _tester(model: TableModel[Row] | SortedRows[Row] | TreeModel) -> QAbstractItemModelTester:
    return QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)


def _is_in(state: str, row: Row) -> bool:
    return row.state == state


def _row(rng: random.Random) -> Row:
    return Row(f"row-{rng.randrange(60)}", rng.randrange(1000), rng.choice(("a", "b", "c")))


@given(rng=st.randoms(use_true_random=True))
@settings(max_examples=10, deadline=None)
@pytest.mark.usefixtures("qapp")
def test_random_batches_agree_with_a_dict(rng: random.Random) -> None:
    model = _table()
    proxy = SortedRows(model)
    testers = _tester(model), _tester(proxy)
    proxy.sort(rng.randrange(3))
    oracle: dict[str, Row] = {}
    for _ in range(30):
        if rng.random() < 0.2:
            rows = [_row(rng) for _ in range(rng.randrange(40))]
            oracle = {row.key: row for row in rows}
            model.show(rows)
        else:
            gone = [key for key in oracle if rng.random() < 0.15]
            rows = [_row(rng) for _ in range(rng.randrange(12))]
            for key in gone:
                oracle.pop(key)
            oracle |= {row.key: row for row in rows}
            model.update(rows, gone)
        if rng.random() < 0.2:
            wanted = rng.choice(("a", "b", ""))
            proxy.accept(partial(_is_in, wanted) if wanted else None)
        assert {row.key: row for row in model.rows()} == oracle
        assert all(model.row(model.find(key)) == row for key, row in oracle.items())
        assert model.find("nowhere") == -1
    assert [tester.model() for tester in testers] == [model, proxy]


@pytest.mark.usefixtures("qapp")
def test_sorting_is_by_native_values_and_equal_rows_keep_their_order() -> None:
    model = _table()
    proxy = SortedRows(model)
    model.show([Row("b", 9, "x"), Row("c", 100, "x"), Row("a", 9, "x")])
    proxy.sort(1)
    assert [proxy.row(n).key for n in range(3)] == ["a", "b", "c"]
    proxy.sort(1, Qt.SortOrder.DescendingOrder)
    assert proxy.row(0).key == "c"


@pytest.mark.usefixtures("qapp")
def test_a_new_list_keeps_the_selection_and_changes_only_what_differs() -> None:
    model = _table()
    view = TableView(model)
    view.sort_by("key")
    model.show([Row(f"row-{n}", n, "a") for n in range(10)])
    view.select("row-4")
    changed: list[int] = []
    resets: list[bool] = []
    model.dataChanged.connect(lambda top, *_: changed.append(top.row()))
    model.modelReset.connect(lambda: resets.append(True))
    model.show([Row(f"row-{n}", n + (n == 7), "a") for n in range(1, 12)])
    assert view.selected() == "row-4"
    assert [model.row(at).key for at in changed] == ["row-7"]
    assert not resets
    model.update((), ["row-4"])
    assert view.selected() == ""
    view.deleteLater()


@pytest.mark.usefixtures("qapp")
def test_optional_columns_give_way_and_come_back() -> None:
    columns = (
        Column[Row]("key", "Key", lambda r: Cell(r.key), lambda r: r.key),
        Column[Row]("size", "Size", lambda r: Cell(""), lambda r: r.size, 200, optional=1),
        Column[Row]("state", "State", lambda r: Cell(""), lambda r: r.state, 200, optional=2),
    )
    view = TableView(TableModel(columns, lambda row: row.key))
    view.resize(900, 200)
    view.show()
    QApplication.processEvents()
    assert not view.isColumnHidden(1)
    view.resize(400, 200)
    QApplication.processEvents()
    assert (view.isColumnHidden(1), view.isColumnHidden(2)) == (False, True)
    view.resize(900, 200)
    QApplication.processEvents()
    assert not view.isColumnHidden(2)
    view.hide()
    view.deleteLater()


ENTRIES = (
    BrowseEntry(name="zeta", kind="folder"),
    BrowseEntry(name="a.txt", kind="file", size=3),
    BrowseEntry(name="alpha", kind="folder"),
)


@pytest.mark.usefixtures("qapp")
def test_the_tree_reads_a_folder_once_when_it_is_opened() -> None:
    model = TreeModel(entry_columns())
    asked: list[str] = []
    model.wanted.connect(asked.append)
    model.start()
    assert asked == [""]
    model.fill("", ENTRIES)
    names = [model.index(n, 0).data() for n in range(3)]
    assert names == ["alpha", "zeta", "a.txt"]
    alpha = model.index(0, 0)
    assert model.hasChildren(alpha)
    assert not model.hasChildren(model.index(2, 0))
    assert model.canFetchMore(alpha)
    model.fetchMore(alpha)
    model.fetchMore(alpha)
    assert asked == ["", "alpha"]
    model.fill("alpha", ENTRIES)
    model.fill("alpha", ENTRIES)  # a second answer changes nothing
    child = model.index(2, 0, alpha)
    assert (child.data(KEY), model.rowCount(alpha)) == ("alpha/a.txt", 3)
    assert model.parent(child) == alpha
    assert isinstance(child.data(CELL), Cell)
    model.fill("nowhere", ENTRIES)
    model.start()
    assert model.rowCount() == 0


@given(rng=st.randoms(use_true_random=True))
@settings(max_examples=10, deadline=None)
@pytest.mark.usefixtures("qapp")
def test_random_trees_agree_with_a_dict(rng: random.Random) -> None:
    model = TreeModel(entry_columns())
    tester = _tester(model)
    model.start()
    oracle: dict[str, list[str]] = {}
    waiting = [""]
    while waiting and len(oracle) < 40:
        path = waiting.pop(rng.randrange(len(waiting)))
        made = [
            BrowseEntry(name=f"n{n}", kind=rng.choice(("folder", "file")))
            for n in range(rng.randrange(6))
        ]
        model.fill(path, made)
        oracle[path] = sorted(entry.name for entry in made)
        inside = f"{path}/" if path else ""
        waiting += [f"{inside}{e.name}" for e in made if e.kind == "folder"]

    def walk(parent: QModelIndex) -> None:
        path = str(parent.data(KEY)) if parent.isValid() else ""
        children = [model.index(n, 0, parent) for n in range(model.rowCount(parent))]
        assert sorted(str(c.data()) for c in children) == oracle.get(path, [])
        for child in children:
            assert model.parent(child) == parent
            walk(child)

    walk(QModelIndex())
    assert tester.model() is model


def _action(progress: int, done: int) -> ActionView:
    volume = VolumeProgress(pvc="data", bytesTotal=1000, bytesDone=done, state="running")
    return ActionView(
        cluster="c",
        kind="BackupAction",
        namespace="wiki",
        name="a",
        uid="u",
        application="wiki",
        phase="Running",
        progress=progress,
        volumes=(volume,),
    )


def test_rates_come_from_the_bytes_and_percentages_never_go_back() -> None:
    rates = Rates()
    first, second, worse = _action(10, 100), _action(30, 300), _action(5, 300)
    rates.observe(first, 0.0)
    assert rates.seconds_left(first, first.volumes[0]) < 0
    rates.observe(second, 2.0)
    assert rates.rate(second, second.volumes[0]) == pytest.approx(100)
    assert rates.seconds_left(second, second.volumes[0]) == pytest.approx(7)
    rates.observe(worse, 4.0)
    assert rates.progress(worse) == 30
    rates.keep(set())
    assert rates.progress(worse) == 5
