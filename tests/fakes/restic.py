"""The real `restic` as an independent reader and writer of repositories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSWORD = b"correct horse"


class Restic:
    """Debian's restic on one repository in a folder."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self._program = program

    def run(self, *words: str, cwd: Path | None = None, code: int | None = 0) -> str:
        done = subprocess.run(
            [self._program, "-r", str(self.folder), "--no-cache", *words],
            env={**os.environ, "RESTIC_PASSWORD": PASSWORD.decode(), "TZ": "UTC"},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert code is None or done.returncode == code, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr if code is None else done.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Run it without waiting; its input is a pipe."""
        return subprocess.Popen(
            [self._program, "-r", str(self.folder), "--no-cache", "-q", *words],
            env={**os.environ, "RESTIC_PASSWORD": PASSWORD.decode(), "TZ": "UTC"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def check(self) -> None:
        self.run("check", "--read-data")

    def snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("snapshots", "--json"))
        return found

    def back_up(self, folder: Path) -> str:
        """Store a folder's contents as the root tree; the snapshot's id."""
        self.run("backup", ".", cwd=folder)
        return str(self.snapshots()[-1]["id"])

    def restore(self, snapshot: str, target: Path, include: str | None = None) -> Path:
        words = ["restore", snapshot, "--target", str(target)]
        self.run(*words, *(["--include", include] if include else []))
        return target


def find_restic(folder: Path) -> Restic:
    """A restic on a repository in a folder; the repository is not made yet."""
    program = shutil.which("restic")
    if program is None:
        pytest.skip("restic is not installed; `make setup` installs it")
    return Restic(folder, program)


def wait_until(condition: Callable[[], bool], *, patience_s: float = 20.0) -> None:
    """Look again and again, briefly apart."""
    pause = threading.Event()
    for _ in range(int(patience_s / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("the condition was not met in time")


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    """A restic whose repository is `tmp_path/repository`; not made yet."""
    return find_restic(tmp_path / "repository")
