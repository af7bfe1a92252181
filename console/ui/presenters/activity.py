"""Activity: what runs and waits, what is done, and why something failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from console.engine import ActionView
from console.ui import format as fmt
from console.ui.messages import Problem, Sentence, problem_of, spans, tr, tr_count, word
from console.ui.models.columns import action_title, now
from console.ui.models.progress import Rates, RunText, StepText, VolumeText
from console.ui.presenters.desk import Confirmation, Desk, Empty, Presenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from console.engine import Step, VolumeProgress


class ActionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One finished action as the drawer shows it."""

    row: ActionView
    title: str
    problems: tuple[Problem, ...]
    steps: tuple[StepText, ...]


class ActivityPage(Protocol):
    """What the page can show."""

    def show_sentence(self, sentence: Sentence) -> None:
        """The answer at the top."""

    def show_runs(self, runs: Sequence[RunText]) -> None:
        """What runs, then what waits."""

    def show_rows(self, rows: Sequence[ActionView], *, clusters: bool) -> None:
        """What is finished."""

    def show_filter(self, accept: Callable[[ActionView], bool]) -> None:
        """Which of the finished ones to show."""

    def show_empty(self, empty: Empty | None) -> None:
        """Say what to do next instead of everything else."""

    def show_detail(self, detail: ActionDetail | None) -> None:
        """The drawer; None closes it."""


class ActivityPresenter(Presenter):
    """What is being done, and what came of it."""

    def __init__(
        self, desk: Desk, view: ActivityPage, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(desk, "activity")
        self._view = view
        self._clock = clock
        self._rates = Rates()
        self._text = ""
        self._key = ""
        self._detail: ActionDetail | None = None

    def render(self) -> None:
        """Everything, from the live rows."""
        live = self.desk.live
        rows = live.actions()
        busy = [row for row in rows if row.phase != "Finished"]
        self._observe(busy)
        self._view.show_empty(self._empty(rows))
        self._view.show_sentence(sentence_of(rows))
        busy.sort(key=lambda a: (a.phase in ("Pending", "Queued"), a.queue_position, a.created_at))
        self._view.show_runs([self._run(row) for row in busy])
        finished = [row for row in rows if row.phase == "Finished"]
        self._view.show_rows(finished, clusters=len(live.in_scope) > 1)
        self._show_detail()

    def filter(self, text: str) -> None:
        """Show the finished actions whose title or result holds `text`."""
        self._text = text.strip().lower()
        self._view.show_filter(self._accepts)

    def select(self, key: str | None) -> None:
        """Show one finished action in the drawer, or none."""
        self._key = key or ""
        self._show_detail()

    def cancel(self, key: str) -> None:
        """Ask, then cancel a running action."""
        row = next((one for one in self.desk.live.actions() if one.key == key), None)
        if row is not None:
            self.tasks.start(self._cancel(row), name=f"cancel {key}", replaces=True)

    async def _cancel(self, row: ActionView) -> None:
        question = Confirmation(
            title=tr("Cancel {action} on {cluster}", action=action_title(row), cluster=row.cluster),
            text=tr(
                "The step under way cleans up after itself, then the action ends as Cancelled. "
                "Restore points that are complete are kept."
            ),
            yes=tr("Cancel the action"),
            danger=True,
        )
        if await self.desk.asks.confirm(question):
            await self.desk.engine.actions.cancel(row.cluster, row.kind, row.namespace, row.name)

    def _observe(self, busy: Sequence[ActionView]) -> None:
        self._rates.keep({row.key for row in busy})
        for row in busy:
            self._rates.observe(row, self._clock())

    def _run(self, row: ActionView) -> RunText:
        waiting = row.phase in ("Pending", "Queued")
        cancelling = row.phase == "Cancelling"
        progress = self._rates.progress(row)
        steps = () if waiting else steps_of(row.steps)
        blocked = self.desk.why_not(row.cluster)
        return RunText(
            key=row.key,
            title=action_title(row),
            aside=row.cluster if len(self.desk.live.in_scope) > 1 else "",
            detail=waiting_text(row) if waiting else self._detail_text(row),
            percent="" if waiting else fmt.percent(progress / 100),
            steps=steps,
            volumes=() if waiting else tuple(self._volume(row, v) for v in row.volumes),
            can_cancel=tr("It is being cancelled.") if cancelling else blocked,
            waiting=waiting,
        )

    def _detail_text(self, row: ActionView) -> str:
        if row.phase == "Cancelling":
            return tr("Cancelling: the step under way cleans up.")
        begun = tr("Started {time}.", time=fmt.moment(row.started_at, now()))
        detail = next((s.detail for s in row.steps if s.state == "running" and s.detail), "")
        left = max((self._rates.seconds_left(row, v) for v in row.volumes), default=-1.0)
        rest = tr("About {time} left.", time=fmt.duration(left)) if left >= 0 else ""
        return tr(" ").join(part for part in (fmt.visible(detail), begun, rest) if part)

    def _volume(self, row: ActionView, volume: VolumeProgress) -> VolumeText:
        share = volume.bytesDone / volume.bytesTotal if volume.bytesTotal > 0 else -1.0
        done, running = volume.state == "done", volume.state == "running"
        left = self._rates.seconds_left(row, volume)
        amount = fmt.size(volume.bytesDone if done else volume.bytesTotal)
        return VolumeText(
            name=fmt.visible(volume.pvc),
            state=volume.state,
            share=1.0 if done else share,
            amount=fmt.size_of(volume.bytesDone, volume.bytesTotal) if running else amount,
            rate=fmt.rate(self._rates.rate(row, volume)),
            left=tr("done") if done else fmt.clock(left) if left >= 0 else "",
        )

    def _accepts(self, row: ActionView) -> bool:
        error = row.error.message if row.error else ""
        return not self._text or self._text in f"{action_title(row)} {row.outcome} {error}".lower()

    def _show_detail(self) -> None:
        rows = self.desk.live.actions()
        row = next((r for r in rows if r.key == self._key and r.phase == "Finished"), None)
        detail = None
        if row is not None:
            detail = ActionDetail(
                row=row,
                title=action_title(row),
                problems=problems_of(row),
                steps=steps_of(row.steps),
            )
        if detail != self._detail:
            self._detail = detail
            self._view.show_detail(detail)

    def _empty(self, rows: Sequence[ActionView]) -> Empty | None:
        if rows:
            return None
        return self.desk.not_yet("actions") or Empty(
            icon="activity",
            title=tr("Nothing has been done yet"),
            text=tr("Backups, exports and restores show up here while they run, and afterwards."),
            action=tr("Go to Applications"),
        )


def steps_of(steps: Sequence[Step]) -> tuple[StepText, ...]:
    """Steps with the time each took, or takes."""
    made = []
    for step in steps:
        begun = fmt.when(step.startTime)
        ended = fmt.when(step.endTime) or (now() if step.state == "running" else None)
        took = fmt.clock((ended - begun).total_seconds()) if begun and ended else ""
        made.append(StepText(word(step.name), step.state, took))
    return tuple(made)


def waiting_text(row: ActionView) -> str:
    """Why an action waits, and who holds what it waits for."""
    since = fmt.when(row.queued_at or row.created_at)
    passed = fmt.duration((now() - since).total_seconds()) if since else ""
    if row.held_by:
        holders = tr(", ").join(fmt.visible(name) for name in row.held_by)
        return tr("Waiting {time} for a slot, held by {holders}.", time=passed, holders=holders)
    if row.reason:
        return tr("Waiting {time}: {reason}.", time=passed, reason=word(row.reason))
    return tr("Waiting {time}.", time=passed)


def problems_of(row: ActionView) -> tuple[Problem, ...]:
    """The action's fault, then each thing that went wrong."""
    found = []
    if row.error is not None:
        text = row.error.message
        if row.error.cause:
            text = f"{text} ({row.error.cause})"
        found.append(problem_of(row.error.code, text, subject=row.application, hint=row.error.hint))
    for one in row.failures:
        problem = problem_of(one.code, one.message, subject=one.object, hint=one.hint)
        found.append(msgspec.structs.replace(problem, level="bad" if row.error else "warn"))
    return tuple(found)


def sentence_of(rows: Sequence[ActionView]) -> Sentence:
    """How much runs and waits; else how the last one ended."""
    running = sum(row.phase in ("Running", "Cancelling") for row in rows)
    waiting = sum(row.phase in ("Pending", "Queued") for row in rows)
    if running or waiting:
        head = tr_count("**{n} action** is running", "**{n} actions** are running", running)
        if not waiting:
            return spans(head + tr("."))
        rest = tr_count("**{n}** waits", "**{n}** wait", waiting)
        return spans(tr("{head} and {rest}.", head=head, rest=rest))
    finished = [row for row in rows if row.phase == "Finished"]
    if not finished:
        return spans(tr("Nothing is running."))
    last = max(finished, key=lambda row: row.ended_at)
    mark = "!!" if last.outcome == "Failed" else "**"
    return spans(
        tr(
            "Nothing is running. The last action, {action}, ended {time}: {mark}{outcome}{mark}.",
            action=action_title(last),
            time=fmt.age(last.ended_at, now()),
            outcome=word(last.outcome),
            mark=mark,
        )
    )
