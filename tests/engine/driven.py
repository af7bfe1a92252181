"""An engine in a process of its own that drives one cluster, and may be killed after any write.

`python -m tests.engine.driven HOME CLUSTER UID… [--kill-after N | --kill-at TEXT | --stop-after N]`
drives until the actions with these uids have ended. With `--kill-after` the process
ends at once, without any clean-up, right after its N-th write to the API; with
`--kill-at` after its first write to a path that holds the text. With `--stop-after` it stops
itself there, and goes on when it gets a SIGCONT. `--agent` makes it tell itself apart in the
API server's audit log; `--lease` is the duration of its Lease.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from console.engine import ActionsChanged, ActionsListed, open_engine
from console.engine.controller import session
from console.engine.kube import connection
from console.engine.kube.lease import DURATION_S, Lease

if TYPE_CHECKING:
    from console.engine.kube import Write

KILLED = 137


def main() -> None:
    """Drive until all is done, or until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("cluster")
    parser.add_argument("uids", nargs="+")
    parser.add_argument("--kill-after", type=int, default=0)
    parser.add_argument("--kill-at", default="")
    parser.add_argument("--stop-after", type=int, default=0)
    parser.add_argument("--agent", default="")
    parser.add_argument("--lease", type=float, default=DURATION_S)
    arguments = parser.parse_args()
    asyncio.run(drive(arguments))


class Counted(Lease):
    """A Lease that counts how often something was written under it."""

    sent = 0

    def check(self) -> None:
        """Before each write."""
        super().check()
        Counted.sent += 1


async def drive(arguments: argparse.Namespace) -> None:
    """Drive the cluster."""
    written, sent_before = 0, 0
    seconds: float = arguments.lease
    vars(session)["Lease"] = partial(Counted, duration_s=seconds, renew_s=seconds / 4)
    vars(connection)["__version__"] += arguments.agent

    async def on_write(write: Write) -> None:
        nonlocal written, sent_before
        written += 1
        here = bool(arguments.kill_at) and arguments.kill_at in write.path
        if written == arguments.kill_after or here:
            sys.stdout.write(f"killed after write {written}: {write}\n")
            sys.stdout.flush()
            os._exit(KILLED)
        if written == arguments.stop_after:
            sent_before = Counted.sent
            os.kill(os.getpid(), signal.SIGSTOP)

    async with open_engine(arguments.home, on_write=on_write) as engine:
        await engine.clusters.watch(arguments.cluster, take_over=True)
        missing = set(arguments.uids)
        async with contextlib.aclosing(engine.events()) as events:
            async for event in events:
                if isinstance(event, ActionsListed):
                    rows = event.rows
                elif isinstance(event, ActionsChanged):
                    rows = event.upserts
                else:
                    continue
                missing -= {row.uid for row in rows if row.phase == "Finished"}
                if not missing:
                    break
    sys.stdout.write(f"writes: {written}\n")
    sys.stdout.write(f"sent later: {Counted.sent - sent_before}\n")


if __name__ == "__main__":
    main()
