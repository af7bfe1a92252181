"""The way to a restore: a point, a target, the preview in words, then the confirmation."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Protocol

import msgspec

from console.engine import EngineError, PlannedObject, PointView, RestoreRequest
from console.ui import format as fmt
from console.ui.bridge import TaskOwner, problem_from
from console.ui.messages import Problem, Sentence, problem_of, spans, tr, tr_count
from console.ui.models.columns import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.engine import Blocker, RestorePreview
    from console.ui.presenters.desk import Desk

TYPING_PAUSE_S = 0.25

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class PreviewText(msgspec.Struct, frozen=True, kw_only=True):
    """A preview as the dialog shows it: blockers first."""

    sentence: Sentence
    blockers: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    objects: tuple[PlannedObject, ...]
    steps: tuple[str, ...]
    confirm: str
    blocked: str  # why it can't be confirmed; empty = it can


class RestoreView(Protocol):
    """What the dialog can show."""

    def show_points(self, titles: Sequence[str], target: str) -> None:
        """The points to choose from, the first chosen, and the target to begin with."""

    def show_working(self) -> None:
        """The preview is being computed; nothing can be confirmed."""

    def show_target_problem(self, text: str) -> None:
        """What is wrong with the target's name; empty = nothing."""

    def show_preview(self, preview: PreviewText) -> None:
        """What would happen."""

    def show_problem(self, problem: Problem) -> None:
        """The preview or the start failed."""

    def finish(self) -> None:
        """The restore was started: close."""


class RestorePresenter:
    """One restore from the question to its start.

    Attributes:
        points: To choose from; the first is chosen at the beginning.
    """

    def __init__(self, desk: Desk, view: RestoreView, points: Sequence[PointView]) -> None:
        self.points = tuple(points)
        self._desk = desk
        self._view = view
        self._tasks = TaskOwner("restore", desk.faults)
        self._point = self.points[0]
        self._target = self._point.application
        self._preview: RestorePreview | None = None
        self._number = 0  # of the newest question; older answers are dropped

    def start(self) -> None:
        """Show the points and the first preview."""
        self._view.show_points([point_title(p) for p in self.points], self._target)
        self._ask(pause_s=0)

    def choose_point(self, at: int) -> None:
        """Restore from another point."""
        self._point = self.points[at]
        self._ask(pause_s=0)

    def choose_target(self, text: str) -> None:
        """Restore into another namespace; waits until typing pauses."""
        self._target = text.strip()
        problem = (
            ""
            if _NAMESPACE.fullmatch(self._target)
            else tr("A namespace's name has small letters, digits and dashes, at most 63.")
        )
        self._view.show_target_problem(problem)
        self._preview = None
        self._number += 1
        if problem:
            self._tasks.stop("preview")
        else:
            self._ask(pause_s=TYPING_PAUSE_S)

    def confirm(self) -> None:
        """Start the restore that was shown."""
        if self._preview is not None and not self._preview.blockers:
            self._tasks.start(self._confirm(self._preview), name="confirm", replaces=True)

    async def aclose(self) -> None:
        """End what is under way."""
        await self._tasks.aclose()

    @property
    def _request(self) -> RestoreRequest:
        own = self._target == self._point.application
        return RestoreRequest(point=self._point.name, target="" if own else self._target)

    def _ask(self, *, pause_s: float) -> None:
        self._number += 1
        self._preview = None
        self._view.show_working()
        work = self._show_preview(self._number, pause_s)
        self._tasks.start(work, name="preview", replaces=True)

    async def _show_preview(self, number: int, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        try:
            preview = await self._desk.engine.restore_points.preview(
                self._point.cluster, self._request
            )
        except EngineError as error:
            if number == self._number:
                self._view.show_problem(problem_from(error))
            return
        if number == self._number:
            self._preview = preview
            blocked = self._desk.why_not(self._point.cluster)
            self._view.show_preview(preview_text(preview, self._point, blocked=blocked))

    async def _confirm(self, preview: RestorePreview) -> None:
        self._view.show_working()
        try:
            await self._desk.engine.actions.restore(
                self._point.cluster, self._request, plan_hash=preview.hash
            )
        except EngineError as error:
            self._view.show_problem(problem_from(error))
            return
        self._view.finish()


def point_title(point: PointView) -> str:
    """`today 13:30, exported to hk-s3, 212 MiB`."""
    kept = (
        tr("exported to {location}", location=fmt.visible(point.location))
        if point.kind == "exported"
        else tr("in the cluster")
    )
    return tr(", ").join((fmt.moment(point.taken_at, now()), kept, fmt.size(point.logical_size)))


def preview_text(preview: RestorePreview, point: PointView, *, blocked: str = "") -> PreviewText:
    """A preview in words; what blocks comes first."""
    target = fmt.visible(preview.target)
    blockers = _problems(preview.blockers, "bad")
    if blockers:
        left = tr_count(
            "{n} thing blocks this restore.",
            "{n} things block this restore.",
            len(preview.blockers),
        )
        blocked = blocked or left
    return PreviewText(
        sentence=_sentence(preview),
        blockers=blockers,
        warnings=_problems(preview.warnings, "warn"),
        objects=preview.objects,
        steps=_steps(preview, point),
        confirm=_confirm_text(fmt.visible(point.application), target, preview.cluster),
        blocked=blocked,
    )


def _confirm_text(name: str, target: str, cluster: str) -> str:
    if name == target:
        return tr("Restore {name} on {cluster}", name=name, cluster=cluster)
    return tr(
        "Restore {name} into {target} on {cluster}", name=name, target=target, cluster=cluster
    )


def _sentence(preview: RestorePreview) -> Sentence:
    taken = sum(one.verb in ("create", "update") for one in preview.objects)
    ready = tr(
        "{objects} and {volumes} go into **{target}**.",
        objects=fmt.objects(taken),
        volumes=fmt.volumes(len(preview.volumes)),
        target=fmt.visible(preview.target),
    )
    if preview.blockers:
        head = tr_count(
            "!!{n} thing blocks!! this restore.",
            "!!{n} things block!! this restore.",
            len(preview.blockers),
        )
        return spans(head)
    if preview.warnings:
        look = tr_count("~~{n} needs a look.~~", "~~{n} need a look.~~", len(preview.warnings))
        return spans(ready + tr(" ") + look)
    return spans(ready + tr(" ") + tr("Nothing blocks."))


def _steps(preview: RestorePreview, point: PointView) -> tuple[str, ...]:
    target = fmt.visible(preview.target)
    verbs = [one.verb for one in preview.objects]
    steps = []
    if any(
        one.resource in ("namespaces", "Namespace") and one.verb == "create"
        for one in preview.objects
    ):
        steps.append(tr("Make the namespace {target}", target=target))
    for volume in preview.volumes:
        size = max(volume.logical_size, 0) or volume.size
        steps.append(
            tr(
                "Fill a new volume {pvc} with the data of {time}, {size}",
                pvc=fmt.visible(volume.pvc),
                time=fmt.moment(point.taken_at, now()),
                size=fmt.size(size),
            )
        )
    created, updated = verbs.count("create"), verbs.count("update")
    if created:
        steps.append(tr("Create {objects}", objects=fmt.objects(created)))
    if updated:
        steps.append(tr("Update {objects}", objects=fmt.objects(updated)))
    kept = verbs.count("keep") + verbs.count("skip")
    if kept:
        steps.append(tr("Leave {objects} as they are", objects=fmt.objects(kept)))
    steps.append(tr("Wait until the workloads are ready"))
    return tuple(steps)


NAMED = 4  # objects that a note names before it counts the rest


def _problems(found: Sequence[Blocker], level: str) -> tuple[Problem, ...]:
    """One note for each kind of fault, however many objects have it."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for one in found:
        groups.setdefault((one.code, one.message, one.hint), []).append(one.object)
    return tuple(
        _problem(code, message, hint, objects=objects, level=level)
        for (code, message, hint), objects in groups.items()
    )


def _problem(code: str, message: str, hint: str, *, objects: list[str], level: str) -> Problem:
    known = problem_of(code, message, subject=tr(", ").join(objects), hint=hint)
    shown = [fmt.visible(name) for name in objects if name][:NAMED]
    rest = len(objects) - len(shown)
    if shown and rest:
        shown.append(tr_count("{n} more", "{n} more", rest))
    # a plan's own message says more than the general title of its code
    return msgspec.structs.replace(known, title=message, text=tr(", ").join(shown), level=level)
