"""A prepared cluster with the sample application and a folder location; commands run on it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from console.cli import main
from console.cli.stage import SandboxStage

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "console"]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Lab:
    """Runs commands in this process, or as processes of their own where signals matter."""

    def __init__(self, folder: Path, stage: SandboxStage) -> None:
        self.folder = folder
        self.stage = stage
        self.location = folder / "location"
        self.kit = folder / "kit"
        self._home = folder / "home"

    def run(self, *words: str, code: int | None = 0) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBEHAVEN_HOME", str(self._home))
            patch.setattr("sys.stdin", io.StringIO())
            with redirect_stdout(out), redirect_stderr(err):
                ended = main.run(list(words))
        done = Done(ended, out.getvalue(), err.getvalue())
        assert code is None or done.code == code, f"{words}: {done}"
        return done

    def ask(self, *words: str) -> Any:
        """The JSON answer of a command."""
        return json.loads(self.run(*words, "--output", "json").out)

    def start(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return subprocess.Popen(
            [*COMMAND, *words],
            env={**os.environ, "KUBEHAVEN_HOME": str(self._home)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def set_up(self) -> None:
        """Prepare the cluster, add the location `nas`, and count two views."""
        self.stage.open_page()
        self.stage.open_page()
        self.run("cluster", "add", "lab", "--kubeconfig", str(self.stage.kubeconfig))
        self.run("cluster", "prepare", "lab", "--yes")
        where = ("--folder", str(self.location), "--recovery-kit", str(self.kit))
        self.run("location", "add", "nas", *where)

    @contextmanager
    def driven_by(self, holder: str) -> Iterator[None]:
        """Meanwhile another engine holds the cluster's Lease."""
        self._patch_lease(holder, datetime.now(UTC).isoformat(timespec="microseconds"))
        try:
            yield
        finally:
            self._patch_lease("", "2020-01-01T00:00:00.000000Z")

    def _patch_lease(self, holder: str, renewed: str) -> None:
        spec = {"holderIdentity": holder, "renewTime": renewed.replace("+00:00", "Z")}
        words = ["patch", "lease", "kubehaven-engine", "-n", "kubehaven", "--type", "merge", "-p"]
        kubectl = Path(sys.executable).with_name("kubectl")
        config = f"--kubeconfig={self.stage.kubeconfig}"
        patch = [*words, json.dumps({"spec": spec})]
        subprocess.run([kubectl, config, *patch], check=True, capture_output=True)

    @property
    def key(self) -> tuple[str, str]:
        return ("--location-key-file", str(self.kit))


@contextmanager
def open_lab(folder: Path, *, prepared: bool = True) -> Iterator[Lab]:
    """A lab that lives until the end of the block."""
    stage = SandboxStage(folder / "sandbox")
    try:
        stage.open()
        lab = Lab(folder, stage)
        if prepared:
            lab.set_up()
        yield lab
    finally:
        stage.close()


def said(process: subprocess.Popen[str], words: str) -> str:
    """Read a process's stderr until it has said some words; all it has said."""
    assert process.stderr is not None
    heard = ""
    for line in process.stderr:
        heard += line
        if words in line:
            return heard
    raise AssertionError(f"it ended with {process.wait()} and never said {words!r}: {heard}")


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> Done:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    return Done(process.returncode, out, err)
