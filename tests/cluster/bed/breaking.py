"""Breaks a running cluster for a while: each is a context that mends it at its end."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.bed.machine import spawn
from tests.cluster.bed.processes import is_alive, read_pid, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.bed.places import Cluster


@contextmanager
def paused(cluster: Cluster, program: str) -> Iterator[None]:
    """A program of the machine (etcd, kubelet, …) is stopped and goes on afterwards."""
    pid = _pid_of(cluster, program)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(cluster: Cluster, program: str) -> Iterator[None]:
    """A program of the machine is killed, and started again as it was."""
    pid = _pid_of(cluster, program)
    words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    os.kill(pid, signal.SIGKILL)
    wait_until(f"{program} has ended", lambda: not is_alive(pid))
    try:
        yield
    finally:
        spawn(cluster, program, *words)


@contextmanager
def unplugged(cluster: Cluster) -> Iterator[None]:
    """The machine's cable is out: its server can't be reached from here, nor we from its pods."""
    run("ip", "link", "set", cluster.veth, "down")
    try:
        yield
    finally:
        run("ip", "link", "set", cluster.veth, "up")


def _pid_of(cluster: Cluster, program: str) -> int:
    pid = read_pid(cluster.folder / "run" / f"{program}.pid")
    assert pid, f"{program} does not run on {cluster.name}"
    return pid
