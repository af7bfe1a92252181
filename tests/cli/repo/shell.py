"""Calls `kubehaven repo` on one repository, and restic on the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console.cli import main

TREE = Path(__file__).resolve().parents[3]


class Shell:
    """Calls `kubehaven repo` on one repository, in this process."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.folder = folder
        self.repository = str(folder / "repository")
        self.password_file = folder / "password"
        self.password_file.write_text("correct horse\n")
        self.source = folder / "source"
        (self.source / "sub").mkdir(parents=True)
        (self.source / "a").write_bytes(b"content of a")
        (self.source / "sub" / "b").write_bytes(os.urandom(200_000))
        os.symlink("a", self.source / "link")
        self._capture = capture
        self.errors = ""

    @property
    def access(self) -> list[str]:
        return ["-r", self.repository, "--password-file", str(self.password_file)]

    def run(self, *words: str, code: int = 0) -> str:
        return self.raw(*self.access, *words, code=code).decode()

    def raw(self, *words: str, code: int = 0) -> bytes:
        self._capture.readouterr()
        got = main.run(["repo", *words])
        said = self._capture.readouterr()
        self.errors = said.err.decode()
        assert got == code, self.errors
        assert "Traceback" not in self.errors
        return said.out

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--output", "json", code=code))

    def restic(self, *words: str, cwd: Path | None = None) -> str:
        program = shutil.which("restic")
        if program is None:
            pytest.skip("restic is not installed; `make setup` installs it")
        command = [program, "-r", self.repository, "--no-cache"]
        command += ["--password-file", str(self.password_file), *words]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout

    def process(self, *words: str, program: str = "console", **how: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", program, "repo", *self.access, *words]
        environment = {**os.environ, "PYTHONPATH": str(TREE)}
        return subprocess.Popen(command, env=environment, **how)
