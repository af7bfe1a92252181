"""The real `restic` as an independent reader and writer of repositories."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
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


@pytest.fixture
def restic(tmp_path: Path) -> Restic:
    """A restic whose repository is `tmp_path/repository`; not made yet."""
    program = shutil.which("restic")
    if program is None:
        pytest.skip("restic is not installed; `make setup` installs it")
    return Restic(tmp_path / "repository", program)
