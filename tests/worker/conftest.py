"""Fixtures of the worker's tests."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.worker.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _restic() -> None:
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed; `make setup` installs it")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Workers on a repository in a folder; the volume holds a few files."""
    made = Rig(tmp_path, str(tmp_path / "repository"))
    fill(made.volume)
    return made


def fill(volume: Path) -> None:
    (volume / "sub").mkdir(parents=True)
    (volume / "a").write_bytes(b"a" * 100_000)
    (volume / "sub" / "b").write_bytes(os.urandom(300_000))
    os.symlink("a", volume / "link")
    volume.chmod(0o750)
