"""`make bench-application`: where the seconds of one application's backup and restores go.

The application runs already, in the namespace `APPLICATION`, on a prepared cluster that
`kubehaven` knows; the location too. It is backed up and exported, restored beside itself
from both points (into a namespace that is removed afterwards), restored in place, and the
restore in place is undone. How to read the table: docs/performance.md.

    APPLICATION=NAME   the namespace of the application
    LOCATION=NAME      where it is exported to
    CLUSTER=NAME       needed where more than one is known
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from typing import Any, NamedTuple

from benchmarks.peers import TREE, Failed
from console.cli.output import table


class Part(NamedTuple):
    """One action: what it took in all, and its steps."""

    work: str
    wall_s: float  # of the whole command
    action: dict[str, Any]

    def rows(self) -> list[list[str]]:
        """The table's rows: the whole, then each step that took a second."""
        began, ended = self.action["created_at"], self.action["ended_at"]
        rows = [[self.work, "", f"{_seconds(began, ended):.0f}", _note(self.action)]]
        for step in self.action["steps"]:
            took = _seconds(step.get("startTime", ""), step.get("endTime", ""))
            if took >= 1:
                rows.append(["", step["name"], f"{took:.0f}", step.get("detail", "")])
        return rows


def _seconds(began: str, ended: str) -> float:
    if not began or not ended:
        return 0.0
    return (_time(ended) - _time(began)).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _note(action: dict[str, Any]) -> str:
    swap = action.get("swap")
    return f"downtime {swap['downtimeSeconds']:.1f} s" if swap else ""


class Console:
    """The command line, with the engine inside."""

    def __init__(self, cluster: str) -> None:
        self._cluster = ["--cluster", cluster] if cluster else []

    def carry_out(self, work: str, *words: str) -> list[Part]:
        """One command that asks for actions and follows them.

        Raises:
            Failed: An action did not end Complete.
        """
        began = time.perf_counter()
        told = self.ask(*words)
        took = time.perf_counter() - began
        actions = told if isinstance(told, list) else [told]
        for action in actions:
            if action["outcome"] != "Complete":
                raise Failed(f"{work}: {action['outcome']}: {action.get('error')}")
        names = [work] if len(actions) == 1 else [action["kind"] for action in actions]
        return [Part(name, took, action) for name, action in zip(names, actions, strict=True)]

    def ask(self, *words: str) -> Any:
        """What a command prints as JSON."""
        command = [sys.executable, "-m", "console", *words, *self._cluster, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=TREE)
        if done.returncode:
            raise Failed(f"{' '.join(words)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout)


def measure(console: Console, application: str, location: str) -> list[Part]:
    """All of it, in the order in which it is done."""
    parts = console.carry_out("backup", "backup", application, "--export", location)
    points = {
        point["kind"]: point["name"]
        for point in reversed(console.ask("point", "list", "--application", application))
    }
    for kind in ("local", "exported"):
        beside = f"{application}-bench-{kind}"
        words = ("restore", points[kind], "--to", beside, "--yes")
        try:
            parts += console.carry_out(f"restore of the {kind} point", *words)
        finally:
            subprocess.run(["kubectl", "delete", "namespace", beside, "--ignore-not-found"])
    swapped = console.carry_out(
        "restore in place", "restore", points["local"], "--in-place", "--yes"
    )
    undone = console.carry_out("undo", "action", "undo", swapped[0].action["name"], "--yes")
    return [*parts, *swapped, *undone]


def main() -> int:
    """Measure, and print the table; the exit code."""
    wanted = {name: os.environ.get(name, "") for name in ("APPLICATION", "LOCATION")}
    for name, value in wanted.items():
        if not value:
            print(f"error: {name}=NAME make bench-application", file=sys.stderr)
            return 2
    try:
        parts = measure(Console(os.environ.get("CLUSTER", "")), *wanted.values())
    except Failed as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    rows = [row for part in parts for row in part.rows()]
    print(table(["WORK", "STEP", "SECONDS", "WHAT"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
