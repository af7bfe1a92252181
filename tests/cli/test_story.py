"""The demo, as a person starts it; and what it leaves, read by restic."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.lab import COMMAND

if TYPE_CHECKING:
    from pathlib import Path


def demo(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "demo", *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_loses_an_application_and_brings_it_back(tmp_path: Path) -> None:
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed; `make setup` installs it")
    keep = tmp_path / "keep"
    start = time.monotonic()
    done = demo("--headless", "--keep", str(keep))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 60
    *before, took, last = done.stdout.splitlines()
    assert last == "views: 4 -> restored: 2"
    assert took.startswith("the story took ")
    views = [line.strip() for line in before if line.startswith("   views: ")]
    assert views == ["views: 2", "views: 4", "views: 2", "views: 4", "views: 2"]

    (line,) = [line.strip() for line in before if line.startswith("  restic ")]
    restic = [word for word in shlex.split(line) if word != "snapshots"]
    subprocess.run([*restic, "--no-cache", "check", "--read-data"], check=True, capture_output=True)
    for volume, name in (("data", "visits.db"), ("log", "views.log")):
        target = tmp_path / volume
        words = ["restore", "latest", "--tag", f"pvc={volume}", "--target", str(target)]
        subprocess.run([*restic, "--no-cache", *words], check=True, capture_output=True)
        fetched = keep / "fetched" / "volumes" / volume / name
        assert (target / "volume" / name).read_bytes() == fetched.read_bytes()
    with closing(sqlite3.connect(tmp_path / "data" / "volume" / "visits.db")) as database:
        assert database.execute("SELECT count(*) FROM views").fetchone() == (2,)
    password = next((keep / "passwords").iterdir())
    assert password.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_holds_something_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    done = demo("--headless", "--keep", str(tmp_path))
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_without_keep_nothing_is_left(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo", "--headless"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "cluster prepare" in line:
            process.terminate()
            break
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert not list(tmp_path.iterdir())
