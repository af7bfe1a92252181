"""`kubehaven demo`: an application is backed up, lost and restored, on a sandbox of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.desktop import can_be_seen
from console.cli.exits import DONE, FAILED, INTERRUPTED, USAGE
from console.cli.stage import SandboxStage
from console.cli.story import Story, StoryFailed
from console.sandbox.background import SandboxError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument("--headless", action="store_true", help="in the terminal, with no window")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave everything in this folder")
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        with _folder(arguments.keep) as folder, _home(folder / "home"), _ended_by_sigterm():
            if not arguments.headless and can_be_seen():
                return _show(folder)
            return _play(folder, keep=arguments.keep is not None)
    except _NotEmpty as error:
        output.print_error("usage", str(error), hint="name a folder that is empty, or a new one")
        return USAGE
    except (StoryFailed, SandboxError, OSError) as error:
        output.print_error("demo", str(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _play(folder: Path, *, keep: bool) -> int:
    start = time.monotonic()
    story = Story(folder, _tell)
    with _stage(folder) as stage:
        before, after = story.play(stage)
    if keep:
        _show_kept(folder, story)
    print(f"the story took {time.monotonic() - start:.1f} s")
    print(f"views: {before} -> restored: {after}", flush=True)
    return DONE if (before, after) == (4, 2) else FAILED


def _show(folder: Path) -> int:
    """Open the desktop on a sandbox that is prepared, and stay until it is closed."""
    with _stage(folder) as stage:
        stage.open_page()
        stage.open_page()
        Story(folder, _tell).set_up(stage)
        _tell(f"the page: {stage.page}  (opening it counts a view; there are 2)")
        _tell("the desktop opens: back visits up, delete its namespace, restore it")
        code = subprocess.call([sys.executable, "-m", "console"])
    if code != 0:
        raise StoryFailed(f"the desktop ended with {code}; without a window: demo --headless")
    return DONE


@contextlib.contextmanager
def _stage(folder: Path) -> Iterator[SandboxStage]:
    start = time.monotonic()
    stage = SandboxStage(folder / "sandbox")
    try:
        stage.open()
        _tell(f"✓  a small Kubernetes runs visits  ({output.duration(time.monotonic() - start)})")
        yield stage
    finally:
        stage.close()


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl+C does: with the sandbox and its processes."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_kept(folder: Path, story: Story) -> None:
    print(f"everything is kept in {folder}; the repositories, for restic:")
    for repository, password in story.passwords.items():
        words = ("restic", "-r", str(repository), "--password-file", str(password))
        print(f"  {shlex.join(words)} snapshots")


def _tell(line: str) -> None:
    print(line, flush=True)


class _NotEmpty(Exception):
    """The folder to keep things in holds something already."""


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="kubehaven-demo-") as made:
            yield Path(made)
        return
    folder = keep.expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise _NotEmpty(f"{folder} is not empty")
    yield folder


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Let the commands of the demo know their own clusters only."""
    before = os.environ.get("KUBEHAVEN_HOME")
    os.environ["KUBEHAVEN_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["KUBEHAVEN_HOME"]
        else:
            os.environ["KUBEHAVEN_HOME"] = before
