"""Running programs: to their end, or in the background with their process id in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class BedFault(Exception):
    """The test bed can't do what it was asked for; the message says why."""


def run(
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
    timeout_s: float = 300,
) -> str:
    """A program's output.

    Raises:
        BedFault: With the end of what it said.
    """
    command = [str(word) for word in words]
    done = subprocess.run(
        command,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    if done.returncode:
        raise BedFault(f"{' '.join(command)}: {(done.stderr or done.stdout)[-1500:]}")
    return done.stdout


def attempt(*words: str | Path) -> bool:
    """Whether a program ended well; what it says is of no interest."""
    command = [str(word) for word in words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return done.returncode == 0


def start(
    pid_file: Path, log: Path, *words: str | Path, env: Mapping[str, str] | None = None
) -> None:
    """A program in a session of its own, that outlives us."""
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
    process.returncode = 0  # nobody waits for it here; `stop` does, by its pid
    pid_file.write_text(f"{process.pid}\n")


def wait_until(what: str, holds: Callable[[], bool], *, limit_s: float = 120) -> None:
    """Return as soon as it holds.

    Raises:
        BedFault: It did not within the limit.
    """
    end = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end:
            raise BedFault(f"{what}: not within {limit_s:.0f} s")
        time.sleep(0.1)


def read_pid(pid_file: Path) -> int:
    """The process id in a file, 0 where there is none."""
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return 0


def is_alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and was not collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def stop(pid_files: Iterable[Path], *, limit_s: float = 8) -> None:
    """End what runs under these files: SIGTERM to all at once, SIGKILL to those that stay."""
    pids = []
    for pid_file in pid_files:
        pid = read_pid(pid_file)
        pid_file.unlink(missing_ok=True)
        if pid and _signal(pid, signal.SIGTERM):
            pids.append(pid)
    end = time.monotonic() + limit_s
    while any(is_alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in pids:
        if is_alive(pid):
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.killpg(pid, number)  # each was started as the leader of its own group
    except ProcessLookupError:
        return False
    return True


def supervised(words: Sequence[str | Path]) -> list[str]:
    """A command that is begun anew when it ends: the CSI sidecars exit without their driver."""
    loop = 'while :; do "$@"; sleep 0.5; done'
    return ["sh", "-c", loop, "supervised", *(str(word) for word in words)]
