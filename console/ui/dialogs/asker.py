"""Asks the person: opens the right dialog over the window and waits for its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QWidget

from console.ui.bridge import answered
from console.ui.dialogs.clusters import AddClusterDialog, PrepareDialog
from console.ui.dialogs.questions import BackUpDialog, ConfirmDialog, ExportDialog
from console.ui.dialogs.restore import RestoreDialog
from console.ui.presenters.desk import BackUpAnswer

if TYPE_CHECKING:
    from console.engine import LocationView, PointView
    from console.ui.presenters.desk import BackUpQuestion, Confirmation, Desk


class Dialogs:
    """`Asks` by dialogs. `desk` is set once the engine is open."""

    def __init__(self, window: QWidget) -> None:
        self._window = window
        self.desk: Desk | None = None

    async def back_up(self, question: BackUpQuestion) -> BackUpAnswer | None:
        """Local only, or exported too?"""
        dialog = BackUpDialog(self._window, question)
        if await answered(dialog):
            return BackUpAnswer(export_to=dialog.export_to)
        return None

    async def export(self, point: PointView, locations: tuple[LocationView, ...]) -> str:
        """To which location?"""
        dialog = ExportDialog(self._window, point, locations)
        return dialog.location if await answered(dialog) else ""

    async def restore(self, points: tuple[PointView, ...]) -> bool:
        """The whole way to a started restore."""
        if self.desk is None or not points:
            return False
        dialog = RestoreDialog(self._window, self.desk, points)
        try:
            return await answered(dialog)
        finally:
            await dialog.presenter.aclose()

    async def add_cluster(self) -> str:
        """The whole way to an added cluster."""
        if self.desk is None:
            return ""
        dialog = AddClusterDialog(self._window, self.desk)
        try:
            return dialog.added if await answered(dialog) else ""
        finally:
            await dialog.tasks.aclose()

    async def prepare(self, cluster: str) -> bool:
        """Show the plan of *prepare* and carry it out."""
        if self.desk is None:
            return False
        dialog = PrepareDialog(self._window, self.desk, cluster)
        try:
            return await answered(dialog)
        finally:
            await dialog.tasks.aclose()

    async def confirm(self, question: Confirmation) -> bool:
        """Yes or no."""
        return await answered(ConfirmDialog(self._window, question))

    async def folder(self, title: str) -> str:
        """A folder on this machine."""
        dialog = QFileDialog(self._window, title)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        return dialog.selectedFiles()[0] if await answered(dialog) else ""
