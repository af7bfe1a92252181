"""`kubehaven engine run`: drive a cluster in the foreground."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import DONE
from console.cli.explain import action_title
from console.cli.session import Session, no_verb, on_engine
from console.engine import ActionsChanged, ActionsListed, DrivenElsewhere, Event, Notice

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `engine`."""
    no_verb(parser)
    verbs = parser.add_subparsers(metavar="VERB")
    run = verbs.add_parser("run", help="drive a cluster until SIGTERM or Ctrl+C")
    run.add_argument("--take-over", action="store_true", help="also where another engine drives it")
    on_engine(run, _drive)


async def _drive(session: Session) -> int:
    cluster = await session.cluster()
    events = session.engine.events()
    await session.engine.clusters.watch(cluster, take_over=session.arguments.take_over)
    await _refuse_elsewhere(session, cluster)
    print(f"driving {cluster}; SIGTERM or Ctrl+C ends it", file=sys.stderr, flush=True)
    told: dict[str, str] = {}
    try:
        async for event in events:
            for line in _news(event, told):
                print(line, file=sys.stderr, flush=True)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()  # asked to end, and does, in order
    return DONE


async def _refuse_elsewhere(session: Session, cluster: str) -> None:
    row = next(row for row in await session.engine.clusters.list() if row.name == cluster)
    if row.engine == "elsewhere":
        raise DrivenElsewhere(f"{row.holder} drives {cluster}", holder=row.holder)


def _news(event: Event, told: dict[str, str]) -> list[str]:
    """A line per action whose phase has changed; `told` remembers them."""
    if isinstance(event, Notice):
        return [output.visible(f"{event.level}: {event.message} {event.hint}".strip())]
    if not isinstance(event, ActionsListed | ActionsChanged):
        return []
    rows = event.rows if isinstance(event, ActionsListed) else event.upserts
    lines = []
    for row in rows:
        new = row.key not in told and row.phase == "Finished"  # ended before we came
        if not new and told.get(row.key) != row.phase:
            lines.append(f"{row.namespace}/{row.name}  {action_title(row)}")
        told[row.key] = row.phase
    return [output.visible(line) for line in lines]
