"""`kubehaven repo` as a process: signals, terminals, pipes, files that can't be read."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.repo.shell import TREE

if TYPE_CHECKING:
    from tests.cli.repo.shell import Shell


def test_files_that_can_not_be_read_make_it_partial(made: Shell) -> None:
    for number in range(30):
        (made.source / f"secret{number:02}").touch(mode=0)
    command = [sys.executable, "-m", "console", "repo", *made.access, "backup", str(made.source)]
    if os.geteuid() == 0:
        program = shutil.which("setpriv")
        if program is None:
            pytest.skip("setpriv (util-linux) is not installed; run `make test` as another user")
        command = [program, "--bounding-set", "-dac_override,-dac_read_search", *command]
    environment = {**os.environ, "PYTHONPATH": str(TREE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout.startswith("snapshot ")
    assert done.stderr.count("[item.denied]") == 20
    assert done.stderr.endswith("… and 10 more\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 4)])
def test_stopping_leaves_the_repository_valid(
    made: Shell, number: signal.Signals, code: int
) -> None:
    _many_slow_files(made)
    seen, code_seen = _on_a_terminal(made, number, "backup", str(made.source))
    assert code_seen == code
    assert b"backup  " in seen
    assert b"the repository is valid" in seen
    assert made.json("snapshots") == []
    made.restic("check", "--read-data")


def test_a_restore_that_was_stopped_says_what_it_left(made: Shell, tmp_path: Path) -> None:
    _many_slow_files(made)
    made.run("backup", str(made.source))
    target = tmp_path / "target"
    words = ["restore", "latest", "--target", str(target)]
    seen, code = _on_a_terminal(made, signal.SIGINT, *words)
    assert code == 130
    assert b"target holds a part of the snapshot" in seen
    made.run(*words, code=1)
    assert "is not empty" in made.errors


def test_a_pipe_gets_no_progress(made: Shell) -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with made.process("backup", str(made.source), **pipes) as process:
        out, errors = process.communicate(timeout=60)
    assert out.count(b"\n") == 1
    assert errors == b""


def test_a_disk_that_is_full_behind_the_output(made: Shell) -> None:
    made.run("backup", str(made.source))
    with Path("/dev/full").open("wb") as full:
        process = made.process(
            "cat", "file", "latest", "volume/sub/b", stdout=full, stderr=subprocess.PIPE
        )
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == b"error: No space left on device [output]\n"


def _many_slow_files(shell: Shell) -> None:
    """Enough that no braked command is through before a signal comes."""
    for number in range(600):
        (shell.source / f"slow{number:03}").write_bytes(os.urandom(1000))


def _on_a_terminal(shell: Shell, number: int, *words: str) -> tuple[bytes, int]:
    """All it showed on a terminal; it is braked, and gets a signal once it shows progress."""
    ours, theirs = pty.openpty()
    process = shell.process(
        *words, program="tests.cli.repo.braked", stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    with suppress(OSError):  # the terminal's end
        while part := os.read(ours, 1024):
            if b"files" in part and b"files" not in seen:
                os.kill(process.pid, number)
            seen += part
    os.close(ours)
    return seen, process.wait(timeout=60)
