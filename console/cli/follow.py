"""Follows an action to its end by the engine's events."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import DONE, exit_of_outcome, worst
from console.cli.explain import (
    VERBS,
    action_title,
    explain_faults,
    explain_freed,
    step_line,
    waiting,
)
from console.engine import (
    ActionRef,
    ActionsChanged,
    ActionsListed,
    ActionView,
    EngineError,
    Event,
    Notice,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Awaitable, Callable

    from console.cli.session import Session


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Add `--wait` (default) and `--no-wait`."""
    wait = parser.add_mutually_exclusive_group()
    wait.add_argument("--wait", action="store_true", default=True, help="follow it (default)")
    wait.add_argument(
        "--no-wait", dest="wait", action="store_false", help="only ask for it, print its name"
    )


class Follower:
    """Reads a stream of events and waits for actions of one cluster in them; one task uses it.

    Args:
        relist: All actions of the cluster, asked for where the stream has a gap.
    """

    def __init__(
        self,
        events: AsyncIterator[Event],
        cluster: str,
        *,
        relist: Callable[[], Awaitable[tuple[ActionView, ...]]],
        on_change: Callable[[ActionView], None],
        on_notice: Callable[[Notice], None],
    ) -> None:
        self._events = events
        self._cluster = cluster
        self._relist = relist
        self._on_change = on_change
        self._on_notice = on_notice
        self._rows: dict[str, ActionView] = {}
        self._revision = 0

    async def finished(self, wanted: Callable[[ActionView], bool]) -> ActionView:
        """The first finished action that is wanted; every change of a wanted one is shown.

        Raises:
            EngineError: The events ended first (`engine.closed`), or the action was deleted
                (`action.gone`).
        """
        rows = tuple(self._rows.values())
        while True:
            for row in filter(wanted, rows):
                self._on_change(row)
                if row.phase == "Finished":
                    return row
            rows = await self._next(wanted)

    async def _next(self, wanted: Callable[[ActionView], bool]) -> tuple[ActionView, ...]:
        async for event in self._events:
            if isinstance(event, Notice):
                self._on_notice(event)
            if not isinstance(event, ActionsListed | ActionsChanged):
                continue
            if event.cluster == self._cluster:
                return await self._taken(event, wanted)
        raise EngineError("the engine stopped before the action ended", code="engine.closed")

    async def _taken(
        self, event: ActionsListed | ActionsChanged, wanted: Callable[[ActionView], bool]
    ) -> tuple[ActionView, ...]:
        before = self._rows
        if isinstance(event, ActionsListed):
            rows = event.rows
            self._rows = {row.key: row for row in rows}
        elif event.revision == self._revision + 1:
            rows = event.upserts
            self._rows = before | {row.key: row for row in rows}
            for key in event.removed:
                self._rows.pop(key, None)
        else:  # a gap: changes were missed
            rows = await self._relist()
            self._rows = {row.key: row for row in rows}
        self._revision = event.revision
        gone = [row for key, row in before.items() if key not in self._rows and wanted(row)]
        if gone:
            raise EngineError(f"{gone[0].name} was deleted", code="action.gone")
        return rows


async def follow_or_name(session: Session, action: ActionRef, *, then_export: str = "") -> int:
    """Follow an action that was just asked for, or with `--no-wait` only name it."""
    if session.arguments.wait:
        return await follow(session, action, then_export=then_export)
    if session.json:
        output.print_json(action)
    else:
        print(f"{action.kind} {action.namespace}/{action.name}")
        print(f"see: {_command('show', action)}")
    return DONE


async def follow(session: Session, action: ActionRef, *, then_export: str = "") -> int:
    """Show an action until it ends, and then the export to the location `then_export`, if any.

    Returns the exit code. Cancelled (Ctrl+C), it says what happens to the action and how to
    cancel it, and ends; the action itself isn't touched.
    """
    track = Track()
    follower = Follower(
        session.engine.events(),
        action.cluster,
        relist=lambda: session.engine.actions.list(action.cluster),
        on_change=track.show,
        on_notice=track.notice,
    )
    try:
        await session.engine.clusters.watch(action.cluster)
        await _say_who_drives(session, action.cluster, track)
        ended = [await follower.finished(lambda row: _is(row, action))]
        if then_export:
            point = ended[0].point
            ended.append(await follower.finished(lambda row: _exports(row, point, then_export)))
    except asyncio.CancelledError:
        track.close()
        _say_stopped(action)
        raise
    track.close()
    return _finish(session, ended)


async def _say_who_drives(session: Session, cluster: str, track: Track) -> None:
    for row in await session.engine.clusters.list():
        if row.name == cluster and row.engine == "elsewhere":
            track.line(f"{cluster} is driven by {row.holder}; this command follows")


class Track:
    """Shows how an action goes on stderr: a line per finished step, and what is under way."""

    def __init__(self) -> None:
        self._display = output.Display()
        self._meter = output.Meter()
        self._told: set[tuple[str, str, int]] = set()
        self._waiting = ""

    def show(self, row: ActionView) -> None:
        """Show a new state of an action."""
        now = datetime.now(UTC)
        for step in row.steps:
            told = (row.key, step.name, step.attempt)
            if step.state in {"done", "failed"} and told not in self._told:
                self._told.add(told)
                self._display.line(f"{VERBS[row.kind]}: {step_line(step, now)}")
        if row.phase in {"Pending", "Queued"}:
            self._wait(row)
        elif row.phase != "Finished":
            self._display.status(self._under_way(row))

    def notice(self, notice: Notice) -> None:
        """Show what the engine has to say."""
        self.line(f"{notice.message} {notice.hint}".strip())

    def line(self, text: str) -> None:
        """Show a line that stays."""
        self._display.line(text)

    def close(self) -> None:
        """Leave only the lines that stay."""
        self._display.close()

    def _wait(self, row: ActionView) -> None:
        why = "; ".join(waiting(row))
        if why != self._waiting:
            self._waiting = why
            self._display.line(f"{VERBS[row.kind]}: {row.phase.lower()}; {why}")
        self._display.status(f"{VERBS[row.kind]}: {row.phase.lower()}")

    def _under_way(self, row: ActionView) -> str:
        steps = ", ".join(step.name for step in row.steps if step.state == "running")
        parts = [f"{VERBS[row.kind]}: {steps or row.phase.lower()}  {row.progress} %"]
        if row.volumes:
            self._meter.add(sum(v.bytesDone for v in row.volumes), time.monotonic())
            parts.append(self._meter.words(sum(v.bytesTotal for v in row.volumes)))
        return "  ".join(parts)


def _is(row: ActionView, action: ActionRef) -> bool:
    return (row.kind, row.namespace, row.name) == (action.kind, action.namespace, action.name)


def _exports(row: ActionView, point: str, location: str) -> bool:
    return (row.kind, row.point, row.location) == ("ExportAction", point, location)


def _finish(session: Session, ended: list[ActionView]) -> int:
    if session.json:
        output.print_json(ended if len(ended) > 1 else ended[0])
    for action in ended:
        if not session.json:
            print(action_title(action))
            if action.point:
                print(f"  restore point {output.visible(action.point)}")
            print(*(f"  {line}\n" for line in explain_freed(action.freed)), sep="", end="")
        for line in explain_faults(action):
            print(line, file=sys.stderr)
    return worst(exit_of_outcome(action.outcome) for action in ended)


def _say_stopped(action: ActionRef) -> None:
    print(
        "stopped following; the action isn't cancelled and goes on where an engine drives it",
        f"  look at it: {_command('show', action)}",
        f"  cancel it:  {_command('cancel', action)}",
        sep="\n",
        file=sys.stderr,
    )


def _command(verb: str, action: ActionRef) -> str:
    name = shlex.quote(action.name)
    return f"kubehaven action {verb} {name} --cluster {shlex.quote(action.cluster)}"
