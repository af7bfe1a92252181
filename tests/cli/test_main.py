"""The command as a process: bad words, a reader that goes away, a terminal without UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from console.cli import main

if TYPE_CHECKING:
    import pytest

COMMAND = [sys.executable, "-m", "console"]


def test_a_word_that_is_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: kubehaven")


def test_every_noun_configures_its_parser(capsys: pytest.CaptureFixture[str]) -> None:
    for noun in main.NOUNS:
        assert main.run([noun.word, "--help"]) == 0, noun
        assert noun.word in capsys.readouterr().out


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run([*COMMAND, "--help"], stdout=pipe, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b""
