"""Add a cluster by its kubeconfig, with the trust question; prepare one, each object shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QLabel, QWidget

from console.engine import EngineError, UntrustedPrograms
from console.ui.bridge import TaskOwner, answered, problem_from
from console.ui.dialogs.base import Sheet
from console.ui.dialogs.restore import planned_table
from console.ui.messages import spans, tr, tr_count
from console.ui.widgets.banner import Banner, BannerSlot
from console.ui.widgets.basics import button, field, label, line
from console.ui.widgets.sentence import SentenceLabel

if TYPE_CHECKING:
    from console.engine import PreparePlan
    from console.ui.presenters.desk import Desk


def home_path(path: str) -> str:
    """A path with `~` as the home folder."""
    return os.path.expanduser(path)


class AddClusterDialog(Sheet):
    """Name, kubeconfig, context. What the file names is trusted only after it was shown."""

    def __init__(self, parent: QWidget | None, desk: Desk) -> None:
        super().__init__(parent, tr("Add cluster"))
        self.setFixedWidth(560)
        self._desk = desk
        self.tasks = TaskOwner("add-cluster", desk.faults)
        self.name = field(tr("for example production"))
        self.path = field("~/.kube/config")
        self.context = field(tr("the current one"))
        self._trust = BannerSlot()
        self._trusted_for: tuple[str, str] | None = None
        self.added = ""
        self.yes = button(tr("Add cluster"), self._add, kind="primary")
        self._arrange()
        for one in (self.name, self.path, self.context):
            one.textChanged.connect(lambda _: self._check())
        self._check()

    def _arrange(self) -> None:
        choose = button(tr("Choose…"), self._choose)
        rows = (
            (tr("Name"), self.name),
            (tr("Kubeconfig file"), line(self.path, choose)),
            (tr("Context"), self.context),
        )
        for title, control in rows:
            self.body.addWidget(label(title, role="label"))
            if isinstance(control, QWidget):
                self.body.addWidget(control)
            else:
                self.body.addLayout(control)
        text = tr("Only the path and the context are kept, never a copy of the credentials.")
        self.body.addWidget(label(text, tone="t3", role="small", wrap=True))
        self.body.addWidget(self._trust)
        self.add_buttons(self.yes)
        self.yes.setDefault(True)

    def _check(self) -> None:
        asked = (self.path.text().strip(), self.context.text().strip())
        if self._trusted_for not in (None, asked):  # another file: ask again
            self._trusted_for = None
            self._trust.show_banner(None)
            self.yes.setText(tr("Add cluster"))
        self.yes.setEnabled(bool(self.name.text().strip() and asked[0]))

    def _choose(self) -> None:
        self.tasks.start(self._choose_file(), name="choose", replaces=True)

    async def _choose_file(self) -> None:
        dialog = QFileDialog(self, tr("Choose a kubeconfig"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setDirectory(home_path("~/.kube"))
        if await answered(dialog):
            self.path.setText(dialog.selectedFiles()[0])

    def _add(self) -> None:
        self.tasks.start(self._try(), name="add", replaces=True)

    async def _try(self) -> None:
        self.show_problem(None)
        self.yes.setEnabled(False)
        name, path = self.name.text().strip(), self.path.text().strip()
        context = self.context.text().strip()
        try:
            added = await self._desk.engine.clusters.add(
                name,
                home_path(path),
                context=context,
                trust_programs=self._trusted_for == (path, context),
            )
        except UntrustedPrograms as error:
            self._ask_trust(error, (path, context))
        except EngineError as error:
            self.show_problem(problem_from(error))
        else:
            self.added = added.name
            self.accept()
        self._check()
        self.fit()

    def _ask_trust(self, error: UntrustedPrograms, asked: tuple[str, str]) -> None:
        banner = Banner(
            "warn",
            tr("This kubeconfig runs programs or reads other files"),
            tr("They run with your rights on this machine. Trust them only if you know each:"),
        )
        banner.add_lines(error.items)
        self._trusted_for = asked
        self._trust.show_banner(banner)
        self.yes.setText(tr("Trust these and add"))


class PrepareDialog(Sheet):
    """Every object that *prepare* would create or change, then the button."""

    def __init__(self, parent: QWidget | None, desk: Desk, cluster: str) -> None:
        super().__init__(parent, tr("Prepare"), badge=cluster)
        self.resize(860, 560)
        self._desk, self._cluster = desk, cluster
        self.tasks = TaskOwner("prepare", desk.faults)
        self._plan: PreparePlan | None = None
        self._sentence = SentenceLabel()
        self._model, self._table = planned_table()
        self._foot_text: QLabel = label(role="small")
        self.body.addWidget(self._sentence)
        self.body.addWidget(self._table, 1)
        self.yes = button(tr("Prepare {cluster}", cluster=cluster), self._carry_out, kind="primary")
        self.yes.setEnabled(False)
        self.foot.insertWidget(0, self._foot_text)
        self.add_buttons(self.yes)
        self.tasks.start(self._show_plan(), name="plan", replaces=True)

    async def _show_plan(self) -> None:
        self._sentence.show_sentence(spans(tr("Looking at what is there…")))
        try:
            self._plan = await self._desk.engine.clusters.plan_prepare(self._cluster)
        except EngineError as error:
            self.show_problem(problem_from(error))
            self._sentence.show_sentence(spans(tr("!!Nothing was changed.!!")))
            return
        objects = self._plan.objects
        self._model.show(objects)
        made = sum(one.verb == "create" for one in objects)
        changed = sum(one.verb == "update" for one in objects)
        head = tr_count("**{n} object** would be created", "**{n} objects** would be created", made)
        rest = tr_count("{n} changed", "{n} changed", changed)
        self._sentence.show_sentence(spans(tr("{head}, {rest}.", head=head, rest=rest)))
        self._foot_text.setText(tr("Nothing has been changed yet."))
        self.yes.setEnabled(True)

    def _carry_out(self) -> None:
        if self._plan is not None:
            self.tasks.start(self._prepare(self._plan), name="prepare", replaces=True)

    async def _prepare(self, plan: PreparePlan) -> None:
        self.show_problem(None)
        self.yes.setEnabled(False)
        try:
            await self._desk.engine.clusters.prepare(self._cluster, plan_hash=plan.hash)
        except EngineError as error:
            self.show_problem(problem_from(error))
            if error.code == "plan.stale":
                await self._show_plan()
            self.yes.setEnabled(True)
            return
        self.accept()
