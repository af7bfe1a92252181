"""The short questions: yes or no, how to back up, where to export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QComboBox, QRadioButton, QWidget

from console.ui import format as fmt
from console.ui.dialogs.base import Sheet
from console.ui.messages import tr
from console.ui.widgets.banner import Banner
from console.ui.widgets.basics import button, column, label, line

if TYPE_CHECKING:
    from console.engine import LocationView, PointView
    from console.ui.presenters.desk import BackUpQuestion, Confirmation

WIDTH = 500


class ConfirmDialog(Sheet):
    """Yes or no; the button says what will be done."""

    def __init__(self, parent: QWidget | None, question: Confirmation) -> None:
        super().__init__(parent, question.title)
        self.setFixedWidth(WIDTH)
        self.body.addWidget(label(question.text, tone="t2", wrap=True))
        kind = "danger" if question.danger else "primary"
        self.yes = button(question.yes, self.accept, kind=kind)
        self.add_buttons(self.yes)


def _usable(locations: tuple[LocationView, ...]) -> list[LocationView]:
    return [one for one in locations if one.state in ("usable", "unchecked")]


def _choice(locations: tuple[LocationView, ...]) -> QComboBox:
    made = QComboBox()
    made.setAccessibleName(tr("Location"))
    for one in _usable(locations):
        made.addItem(fmt.visible(one.name), one.name)
    return made


class BackUpDialog(Sheet):
    """Local only, or exported too; says what happens before it does."""

    def __init__(self, parent: QWidget | None, question: BackUpQuestion) -> None:
        title = tr("Back up {name}", name=fmt.visible(question.application))
        super().__init__(parent, title, badge=question.cluster)
        self.setFixedWidth(WIDTH)
        self._question = question
        self._export = QRadioButton(tr("In the cluster, and exported to"))
        self._local = QRadioButton(tr("In the cluster only"))
        self._group = QButtonGroup(self)
        self._group.addButton(self._export)
        self._group.addButton(self._local)
        self._location = _choice(question.locations)
        self._location.setMinimumWidth(170)
        usable = bool(_usable(question.locations))
        self._export.setEnabled(usable)
        self._location.setEnabled(usable)
        (self._export if usable else self._local).setChecked(True)
        self._words = label(tone="t2", wrap=True)
        self._words.setMinimumHeight(54)
        self._words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._arrange(usable=usable)
        self._group.buttonClicked.connect(lambda _: self._explain())
        self._location.currentIndexChanged.connect(lambda _: self._explain())
        self._explain()

    def _arrange(self, *, usable: bool) -> None:
        self.body.addWidget(label(tr("Where the restore point is kept"), role="label"))
        self.body.addLayout(line(self._export, self._location, 0))
        self.body.addWidget(self._local)
        if not usable:
            text = tr("A point in the cluster is lost with the cluster.")
            missing = tr("There is no usable location to export to")
            self.body.addWidget(Banner("warn", missing, text))
        self.body.addSpacing(4)
        self.body.addWidget(label(tr("What will happen"), role="label"))
        self.body.addWidget(self._words)
        name = fmt.visible(self._question.application)
        yes = tr("Back up {name} on {cluster}", name=name, cluster=self._question.cluster)
        self.yes = button(yes, self.accept, kind="primary", icon="archive")
        self.add_buttons(self.yes)
        self.yes.setDefault(True)

    @property
    def export_to(self) -> str:
        """Name of the chosen location; empty for a local point."""
        return str(self._location.currentData()) if self._export.isChecked() else ""

    def _explain(self) -> None:
        question = self._question
        first = tr(
            "{volumes} are snapshotted at one moment, and {objects} are kept with them. "
            "The application goes on running.",
            volumes=fmt.volumes(question.volumes),
            objects=fmt.objects(question.objects) if question.objects >= 0 else tr("the objects"),
        )
        if not question.volumes:
            first = tr("{objects} are kept.", objects=fmt.objects(question.objects))
        if self.export_to:
            first += tr(" ") + tr(
                "Then worker pods copy everything to {location}; only what is new is sent.",
                location=fmt.visible(self.export_to),
            )
        self._words.setText(first)


class ExportDialog(Sheet):
    """Where to export a local point."""

    def __init__(
        self, parent: QWidget | None, point: PointView, locations: tuple[LocationView, ...]
    ) -> None:
        name = fmt.visible(point.application)
        super().__init__(parent, tr("Export {name}", name=name), badge=point.cluster)
        self.setFixedWidth(WIDTH)
        self._location = _choice(locations)
        text = tr(
            "Worker pods copy this restore point, {size}, into the location; only what is new is "
            "sent. The copy in the cluster stays.",
            size=fmt.size(point.logical_size),
        )
        self.body.addLayout(column(label(tr("Location"), role="label"), self._location, 4, gap=6))
        self.body.addWidget(label(text, tone="t2", wrap=True))
        self.yes = button(
            tr("Export from {cluster}", cluster=point.cluster),
            self.accept,
            kind="primary",
            icon="upload",
        )
        self.yes.setEnabled(self._location.count() > 0)
        self.add_buttons(self.yes)

    @property
    def location(self) -> str:
        """Name of the chosen location."""
        return str(self._location.currentData() or "")
