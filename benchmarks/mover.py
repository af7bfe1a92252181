"""`make bench`: the mover's figures beside restic's, on this machine and on generated data.

Each figure is the median of interleaved runs; a ratio is the median of the
ratios of neighbouring runs. How to read it: docs/performance.md.

    BENCH_SCALE=0.1   less data (or more)
    BENCH_RUNS=5      more runs
    BENCH_DIR=/data   where the data lies; it is removed afterwards
    RESTIC=/path      another restic than the one on PATH
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import Failed, Ours, Restic
from benchmarks.workloads import (
    Sizes,
    change_files,
    change_pages,
    make_random,
    make_small,
    make_text,
    weigh,
)
from console.cli.output import size, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.peers import Cost, Peer

SHARE = 0.01  # of the data that an incremental backup finds changed
SEED = 20261101


class Board:
    """What was measured: per workload and tool the costs, run by run."""

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._names = [peer.name for peer in peers]
        self._costs: dict[str, dict[str, list[Cost]]] = defaultdict(lambda: defaultdict(list))
        self._stored: dict[str, dict[str, int]] = defaultdict(dict)

    def note(self, workload: str, peer: Peer, cost: Cost, stored: int = -1) -> None:
        """Take a run down and say so."""
        self._costs[workload][peer.name].append(cost)
        self._stored[workload][peer.name] = stored
        print(
            f"  {workload:28} {peer.name:10} {cost.wall_s:7.2f} s  {cost.cpu_s:7.2f} CPU s"
            f"  {cost.peak_mib:6.0f} MiB",
            file=sys.stderr,
            flush=True,
        )

    def table(self) -> str:
        """Medians, and how many times a peer's figure is ours."""
        heads = ["WORKLOAD", "TOOL", "WALL s", "RANGE", "CPU s", "PEAK MiB", "REPOSITORY"]
        rows = []
        for workload, costs in self._costs.items():
            ours = costs[self._names[0]]
            for name in self._names:
                walls = [cost.wall_s for cost in costs[name]]
                rows.append(
                    [
                        workload,
                        name,
                        f"{statistics.median(walls):.2f}",
                        f"{min(walls):.2f}-{max(walls):.2f}",
                        f"{statistics.median(cost.cpu_s for cost in costs[name]):.2f}",
                        f"{statistics.median(cost.peak_mib for cost in costs[name]):.0f}",
                        size(self._stored[workload][name]),
                        *_ratios(costs[name], ours),
                    ]
                )
        return table([*heads, "WALL ÷ OURS", "CPU ÷ OURS", "PEAK ÷ OURS"], rows)


def _ratios(costs: Sequence[Cost], ours: Sequence[Cost]) -> list[str]:
    pairs = [
        [mine / base for mine, base in zip(one, other, strict=True)]
        for one, other in zip(costs, ours, strict=True)
    ]
    return [f"{statistics.median(column):.2f}" for column in zip(*pairs, strict=True)]


class Bench:
    """One series of measurements in one folder."""

    def __init__(self, folder: Path, peers: Sequence[Peer], runs: int) -> None:
        self._folder = folder
        self._peers = peers
        self._runs = runs
        self.board = Board(peers)

    def full(self, workload: str, source: Path) -> None:
        """A first backup into an empty repository."""
        for run in range(self._runs):
            for peer in self._in_turn(run):
                repository = self._fresh(peer)
                cost = peer.back_up(repository, source)
                self.board.note(f"backup, {workload}", peer, cost, weigh(repository)[1])

    def restores(self, workload: str, source: Path) -> None:
        """The newest snapshot of what `full` left into an empty folder."""
        for run in range(self._runs):
            for peer in self._in_turn(run):
                target = self._folder / "target"
                cost = peer.restore(self._repository(peer), target)
                if weigh(target) != weigh(source):
                    raise Failed(f"{peer.name} restored something else than it backed up")
                shutil.rmtree(target)
                self.board.note(f"restore, {workload}", peer, cost)

    def incremental(self, workload: str, source: Path, change: Callable[[int], None]) -> None:
        """A backup after a change, into the repository that `full` left."""
        for run in range(self._runs):
            change(SEED + run)
            for peer in self._in_turn(run):
                repository = self._repository(peer)
                cost = peer.back_up(repository, source)
                self.board.note(f"1 % changed, {workload}", peer, cost, weigh(repository)[1])

    def _in_turn(self, run: int) -> Sequence[Peer]:
        """Who goes first changes from run to run."""
        return self._peers if run % 2 == 0 else self._peers[::-1]

    def _repository(self, peer: Peer) -> Path:
        return self._folder / f"repository-{peer.name}"

    def _fresh(self, peer: Peer) -> Path:
        repository = self._repository(peer)
        shutil.rmtree(repository, ignore_errors=True)
        peer.init(repository)
        return repository


def measure_all(folder: Path, peers: Sequence[Peer], sizes: Sizes, runs: int) -> Board:
    """Every workload, one after the other, each with data of its own."""
    bench = Bench(folder, peers, runs)
    text, packed, small = folder / "text", folder / "packed", folder / "small"

    make_text(text, sizes.text_mib, SEED)
    bench.full("compressible", text)
    bench.restores("compressible", text)
    bench.incremental("compressible", text, partial(change_pages, text, SHARE))
    shutil.rmtree(text)

    make_random(packed, sizes.random_mib, SEED)
    bench.full("incompressible", packed)
    shutil.rmtree(packed)

    make_small(small, sizes.small_files, SEED)
    bench.full("small files", small)
    bench.restores("small files", small)
    bench.incremental("small files", small, partial(change_files, small, SHARE))
    return bench.board


def main() -> int:
    """Measure, and print the table; the exit code."""
    sizes = Sizes().scaled(float(os.environ.get("BENCH_SCALE", "1")))
    runs = int(os.environ.get("BENCH_RUNS", "3"))
    folder = Path(tempfile.mkdtemp(prefix="kubehaven-bench-", dir=os.environ.get("BENCH_DIR")))
    try:
        password_file = folder / "password"
        password_file.write_text("not a secret\n")
        peers: list[Peer] = [Ours(password_file)]
        restic = Restic.find(password_file, folder / "cache")
        if restic is None:
            print("restic is neither on PATH nor at RESTIC=: left out", file=sys.stderr)
        else:
            peers.append(restic)
        print(_machine(peers, sizes, runs), flush=True)
        print(measure_all(folder, peers, sizes, runs).table())
    except Failed as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _machine(peers: Sequence[Peer], sizes: Sizes, runs: int) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return "\n".join(
        (
            f"{os.cpu_count()} cores, {size(memory)} memory, load {os.getloadavg()[0]:.1f},"
            f" Python {platform.python_version()}; {', '.join(peer.version for peer in peers)}",
            f"{sizes.text_mib} MiB compressible, {sizes.random_mib} MiB incompressible,"
            f" {sizes.small_files} small files; {runs} runs",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
