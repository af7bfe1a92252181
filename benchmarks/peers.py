"""The programs that are measured: our `repo` command, and restic where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, Protocol

TREE = Path(__file__).resolve().parent.parent


class Cost(NamedTuple):
    """What one run of a program took."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class Failed(Exception):
    """A program did not do what it was to be measured at."""


class Peer(Protocol):
    """A program that backs up and restores."""

    name: str
    version: str

    def init(self, repository: Path) -> None:
        """Make an empty repository."""

    def back_up(self, repository: Path, source: Path) -> Cost:
        """Back a folder up."""

    def restore(self, repository: Path, target: Path) -> Cost:
        """Restore the newest snapshot."""


class Ours:
    """`kubehaven repo`."""

    name = "kubehaven"

    def __init__(self, password_file: Path) -> None:
        self._password_file = password_file
        words = [sys.executable, "-m", "console", "--version"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=TREE)
        self.version = done.stdout.strip()

    def init(self, repository: Path) -> None:
        """Make an empty repository."""
        self._run(repository, "init")

    def back_up(self, repository: Path, source: Path) -> Cost:
        """Back a folder up."""
        return self._run(repository, "backup", str(source))

    def restore(self, repository: Path, target: Path) -> Cost:
        """Restore the newest snapshot."""
        return self._run(repository, "restore", "latest", "--target", str(target))

    def _run(self, repository: Path, *words: str) -> Cost:
        access = ["-r", str(repository), "--password-file", str(self._password_file)]
        return measure([sys.executable, "-m", "console", "repo", *access, *words], cwd=TREE)


class Restic:
    """The `restic` at `RESTIC=`, else the one on PATH."""

    name = "restic"

    def __init__(self, program: str, password_file: Path, cache: Path) -> None:
        self._command = [program, "--password-file", str(password_file), "--cache-dir", str(cache)]
        done = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
        self.version = " ".join(done.stdout.split()[:2])

    @classmethod
    def find(cls, password_file: Path, cache: Path) -> Restic | None:
        """The program that is there, if any."""
        program = os.environ.get("RESTIC") or shutil.which("restic")
        return cls(program, password_file, cache) if program else None

    def init(self, repository: Path) -> None:
        """Make an empty repository."""
        self._run(repository, "init", "--repository-version", "2")

    def back_up(self, repository: Path, source: Path) -> Cost:
        """Back a folder up."""
        return self._run(repository, "backup", "-q", ".", cwd=source)

    def restore(self, repository: Path, target: Path) -> Cost:
        """Restore the newest snapshot."""
        return self._run(repository, "restore", "-q", "latest", "--target", str(target))

    def _run(self, repository: Path, *words: str, cwd: Path = TREE) -> Cost:
        return measure([*self._command, "-r", str(repository), *words], cwd=cwd)


def measure(command: list[str], *, cwd: Path) -> Cost:
    """Run a command to its end; the peak of its memory is the kernel's own figure.

    Raises:
        Failed: With the end of what it said.
    """
    os.sync()
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        said = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}: {said[-800:].decode()}")
    return Cost(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
