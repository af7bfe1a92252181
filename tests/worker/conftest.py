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


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a repository that `worker init` made."""
    folder = tmp_path_factory.mktemp("initialised")
    rig = Rig(folder, str(folder / "repository"))
    rig.run("init")
    return folder / "repository"


@pytest.fixture
def bare_rig(tmp_path: Path) -> Rig:
    """Workers on a folder without a repository; the volume holds a few files."""
    made = Rig(tmp_path, str(tmp_path / "repository"))
    fill(made.volume)
    return made


@pytest.fixture
def rig(bare_rig: Rig, initialised: Path) -> Rig:
    """Workers on an empty repository in a folder; the volume holds a few files."""
    shutil.copytree(initialised, bare_rig.repository)
    return bare_rig


def fill(volume: Path) -> None:
    (volume / "sub").mkdir(parents=True)
    (volume / "a").write_bytes(b"a" * 100_000)
    (volume / "sub" / "b").write_bytes(os.urandom(300_000))
    os.symlink("a", volume / "link")
    volume.chmod(0o750)
