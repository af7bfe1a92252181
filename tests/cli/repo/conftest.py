"""Fixtures of the tests of `kubehaven repo`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from console.cli import main
from tests.cli.repo.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Shell:
    return Shell(tmp_path, capsysbinary)


@pytest.fixture(scope="package")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a repository that `repo init` made."""
    folder = tmp_path_factory.mktemp("initialised")
    password_file = folder / "password"
    password_file.write_text("correct horse\n")
    access = ["-r", str(folder / "repository"), "--password-file", str(password_file)]
    assert main.run(["repo", *access, "init"]) == 0
    return folder / "repository"


@pytest.fixture(scope="package")
def holding(initialised: Path) -> Path:
    """The same with a snapshot of a few files."""
    folder = initialised.parent
    shutil.copytree(initialised, folder / "holding")
    source = folder / "source"
    source.mkdir()
    (source / "a").write_bytes(b"content of a")
    access = ["-r", str(folder / "holding"), "--password-file", str(folder / "password")]
    assert main.run(["repo", *access, "backup", str(source)]) == 0
    return folder / "holding"


@pytest.fixture
def made(shell: Shell, initialised: Path) -> Shell:
    shutil.copytree(initialised, shell.repository)
    return shell
