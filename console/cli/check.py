"""`kubehaven cluster check`: tries out what backups and restores need, and says what to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import DONE, FAILED
from console.engine import CheckChanged, CheckResult

if TYPE_CHECKING:
    from console.cli.session import Session
    from console.engine import ClusterCheck, EngineFacade


async def check_cluster(session: Session) -> int:
    """Check a cluster: the one that is named, or the only one."""
    asked = session.arguments
    asked.cluster = asked.name
    classes = tuple(asked.storage_classes)
    done = await run_check(session.engine, await session.cluster(), storage_classes=classes)
    if session.json:
        output.print_json(done)
    else:
        print_check(done)
    return FAILED if done.outcome == "failed" else DONE


async def run_check(
    engine: EngineFacade, cluster: str, *, storage_classes: tuple[str, ...] = ()
) -> ClusterCheck:
    """Carry a check out and show on a terminal what is tried now."""
    display = output.Display()
    progress = asyncio.get_running_loop().create_task(_show(engine, cluster, display))
    try:
        return await engine.clusters.check(cluster, storage_classes=storage_classes)
    finally:
        progress.cancel()
        await asyncio.gather(progress, return_exceptions=True)
        display.close()


async def _show(engine: EngineFacade, cluster: str, display: output.Display) -> None:
    running: dict[str, CheckResult] = {}
    async for event in engine.events():
        if not isinstance(event, CheckChanged) or event.cluster != cluster:
            continue
        running.pop(event.result.key, None)
        if event.result.status == "running":
            running[event.result.key] = event.result
        display.status(", ".join(map(_title, running.values())) or "…")


def print_check(done: ClusterCheck) -> None:
    """The table, and below it what to do."""
    output.print_table(
        ("STATUS", "CHECK", "OF", "TIME", "SEEN"),
        [
            (
                row.status,
                row.check,
                row.subject,
                "" if row.status == "skipped" else output.duration(row.seconds),
                row.seen,
            )
            for row in done.results
        ],
    )
    for row in done.results:
        if row.status in {"warning", "failed"} and (row.hint or row.code):
            print(output.visible(f"{row.status}: {_title(row)} [{row.code}]"))
            if row.hint:
                print(f"  → {output.visible(row.hint)}")
    words = {
        "ok": "all is as backups and restores need it",
        "warning": "backups and restores work, but for what is said above",
        "failed": "something that backups or restores need does not work",
    }
    print(output.visible(f"{done.cluster}: {words[done.outcome]}"))


def _title(row: CheckResult) -> str:
    return f"{row.check} {row.subject}".rstrip()
