"""Restore points: the table, one point in the drawer, and a browser for exported ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QComboBox, QHeaderView, QWidget

from console.ui import format as fmt
from console.ui.messages import tr, word
from console.ui.models.cells import KEY
from console.ui.models.columns import point_columns
from console.ui.models.plans import entry_columns
from console.ui.models.table import TableModel
from console.ui.models.tree import TreeModel
from console.ui.pages.base import Page
from console.ui.presenters.points import PointDetail, PointsPresenter
from console.ui.widgets.banner import Banner, BannerSlot, problem_banner
from console.ui.widgets.basics import button, column, enable, label, line
from console.ui.widgets.drawer import facts, group, item, section
from console.ui.widgets.table import TableView, TreeView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.engine import BrowseEntry, PointView, PointVolumeView
    from console.ui.messages import Problem
    from console.ui.presenters.desk import Desk

KINDS = ("", "local", "exported")


class Browser(QWidget):
    """What lies in an exported point: objects and volumes, read folder by folder."""

    def __init__(self, browse: Callable[[str], None], save: Callable[[str], None]) -> None:
        super().__init__()
        self.model = TreeModel(entry_columns(), self)
        self.model.wanted.connect(browse)
        self.tree = TreeView()
        self.tree.setModel(self.model)
        self.tree.setAccessibleName(tr("Contents"))
        head = self.tree.header()
        head.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        head.resizeSection(1, 76)
        head.resizeSection(2, 124)
        self.slot = BannerSlot()
        self._save = button(
            tr("Save to a folder…"), lambda: save(self.path()), icon="download", small=True
        )
        self._chosen = label(role="small")
        self._chosen.setMinimumWidth(40)
        below = line(self._chosen, 0, self._save)
        body = column(self.slot, self.tree, below, gap=6)
        body.setContentsMargins(12, 8, 12, 8)
        self.setLayout(body)
        self.tree.selectionModel().currentChanged.connect(lambda *_: self._show_chosen())
        self._show_chosen()

    def path(self) -> str:
        """The chosen entry's path; empty when there is none."""
        index = self.tree.currentIndex()
        return str(index.data(KEY)) if index.isValid() else ""

    def start(self) -> None:
        """Begin with another point."""
        self.slot.show_banner(None)
        self.model.start()
        self._show_chosen()

    def _show_chosen(self) -> None:
        path = self.path()
        self._chosen.setText(fmt.visible(path.rsplit("/", 1)[-1]))
        enable(self._save, "" if path else tr("Choose a file, folder or object first."))


class PointsPage(Page):
    """What can be restored."""

    def __init__(self, desk: Desk) -> None:
        self.presenter: PointsPresenter = PointsPresenter(desk, self)
        super().__init__(self.presenter.empty_action)
        self._model: TableModel[PointView] = TableModel(
            point_columns(desk.color_of), lambda p: p.key, self
        )
        self.table = TableView(self._model)
        self.table.setAccessibleName(tr("Restore points"))
        self.table.sort_by("taken", ascending=False)
        self._kinds = QComboBox()
        self._kinds.setAccessibleName(tr("Kept in"))
        for kind in KINDS:
            self._kinds.addItem(word(kind) if kind else tr("Local and exported"), kind)
        self.restore = button(tr("Restore…"), self.presenter.restore, icon="rotate-ccw")
        self.tools.addWidget(self._kinds)
        self.tools.addStretch(1)
        self.tools.addWidget(self.restore)
        self.show_table()
        self.browser = Browser(self.presenter.browse, self.presenter.save)
        self.drawer.add_page(self.browser)
        self._browsed = ""
        self._connect()

    def _connect(self) -> None:
        self.filter.textChanged.connect(lambda _: self._filter())
        self._kinds.currentIndexChanged.connect(lambda _: self._filter())
        self.table.chosen.connect(self.presenter.select)
        self.table.opened.connect(lambda _: self.drawer.take_focus())
        self.drawer.tab_chosen.connect(self._on_tab_chosen)
        enable(self.restore, tr("Choose a restore point first."))
        self._filter()

    def _filter(self) -> None:
        self.presenter.filter(self.filter.text(), str(self._kinds.currentData()))

    def _on_tab_chosen(self, tab: int) -> None:
        self.drawer.show_page(tab)
        if tab == 1 and self._browsed != self.table.selected():
            self._browsed = self.table.selected()
            self.browser.start()

    def show_rows(self, rows: Sequence[PointView], *, clusters: bool) -> None:
        """All rows."""
        self.table.show_column("cluster", shown=clusters)
        self._model.show(rows)

    def show_filter(self, accept: Callable[[PointView], bool]) -> None:
        """Which of the rows to show."""
        self.table.filter(accept)

    def show_detail(self, detail: PointDetail | None) -> None:
        """The drawer."""
        if detail is None:
            self.drawer.hide()
            enable(self.restore, tr("Choose a restore point first."))
            return
        enable(self.restore, detail.restore_blocked)
        row, drawer = detail.row, self.drawer
        other = row.key != self._browsed
        drawer.begin(row.application)
        drawer.show_tabs([tr("Summary"), tr("Contents")] if detail.can_browse else [])
        if other and drawer.tab == 1:
            drawer.show_page(0)
        if not detail.can_browse:
            drawer.show_page(0)
        if row.state == "Damaged":
            title = tr("This restore point is damaged")
            drawer.body.addWidget(Banner("bad", title, fmt.visible(row.reason)))
        drawer.body.addWidget(facts(_facts(detail)))
        if row.volumes:
            drawer.body.addWidget(section(tr("Volumes")))
            drawer.body.addWidget(group(*map(_volume, row.volumes)))
        self._add_foot(detail)
        drawer.end()

    def _add_foot(self, detail: PointDetail) -> None:
        restore = button(tr("Restore…"), self.presenter.restore, kind="primary", icon="rotate-ccw")
        enable(restore, detail.restore_blocked)
        if detail.row.kind == "local":
            export = button(tr("Export…"), self.presenter.export, icon="upload")
            enable(export, detail.export_blocked)
            self.drawer.foot.addWidget(export, 1)
        self.drawer.foot.addWidget(restore, 1)

    def show_entries(self, path: str, entries: Sequence[BrowseEntry]) -> None:
        """A folder of the point was read."""
        self.browser.slot.show_banner(None)
        self.browser.model.fill(path, entries)

    def show_browse_problem(self, path: str, problem: Problem) -> None:
        """A folder of the point could not be read; opening it again asks again."""
        self.browser.model.retry(path)
        self.browser.slot.show_banner(problem_banner(problem, narrow=True))

    def show_saved(self, text: str) -> None:
        """A download has ended."""
        self.browser.slot.show_banner(Banner("good", tr("Saved"), text))


def _volume(volume: PointVolumeView) -> QWidget:
    size = max(volume.logical_size, 0) or volume.size
    return item("hard-drive", fmt.visible(volume.pvc), _copied(volume), fmt.size(size))


def _copied(volume: PointVolumeView) -> str:
    if volume.crash_consistent:
        return ""
    if not volume.copied_at:
        return tr("no data here: nothing can snapshot it, an export copies it")
    return tr("not crash-consistent: copied {time}", time=fmt.exact(volume.copied_at))


def _facts(detail: PointDetail) -> list[tuple[str, str]]:
    row = detail.row
    kept = tr("in the cluster") if row.kind == "local" else fmt.visible(row.location)
    copies = [tr("in the cluster") if c.kind == "local" else c.location for c in detail.copies]
    return [
        (tr("Taken"), fmt.exact(row.taken_at)),
        (tr("Kept in"), kept),
        (tr("Also in"), tr(", ").join(map(fmt.visible, copies))),
        (tr("State"), word(row.state)),
        (tr("Objects"), str(row.objects)),
        (tr("Size"), fmt.size(row.logical_size)),
        (tr("Stored"), fmt.size(row.physical_size) if row.physical_size >= 0 else ""),
        (tr("Cluster"), row.cluster),
        (tr("Taken on cluster"), fmt.visible(row.origin)),
        (tr("Id"), fmt.visible(row.id)),
    ]
