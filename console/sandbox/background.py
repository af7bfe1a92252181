"""Sandboxes that run on their own: started, found and ended by name.

Each writes `<state>/<name>.json` while it serves: pid, when that process
started (pids come again), folder and kubeconfig.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import platformdirs

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
READY = "ready"
_START_S, _END_S = 20.0, 15.0


class SandboxError(Exception):
    """What cannot be done, and what to do about it."""


class Running(msgspec.Struct, frozen=True):
    """One sandbox in the background."""

    name: str
    pid: int
    started: str
    folder: str
    kubeconfig: str
    url: str

    def is_alive(self) -> bool:
        """Whether it still serves."""
        return _started(self.pid) == self.started


def state_folder() -> Path:
    """Where running sandboxes are noted."""
    return platformdirs.user_state_path("kubehaven") / "sandboxes"


def check_name(name: str) -> None:
    """SandboxError unless `name` can be a sandbox's and a context's name."""
    if not _NAME.fullmatch(name):
        raise SandboxError(
            f"{name!r} is no name for a sandbox: use up to 40 of a-z, 0-9 and -, not at its ends"
        )


def default_folder(name: str) -> Path:
    """Where a sandbox keeps its volumes when no folder was given."""
    return state_folder() / name


def find(name: str) -> Running | None:
    """The sandbox of this name, alive or not."""
    try:
        return msgspec.json.decode(_note(name).read_bytes(), type=Running)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise SandboxError(f"{_note(name)} is damaged ({error}): remove it") from error


def every() -> list[Running]:
    """All sandboxes noted, by name."""
    notes = sorted(state_folder().glob("*.json"))
    found = [find(note.stem) for note in notes]
    return [one for one in found if one is not None]


def start(name: str, folder: Path) -> Running:
    """Start a sandbox in the background; returns once it serves."""
    check_name(name)
    if (found := find(name)) is not None and found.is_alive():
        raise SandboxError(
            f"sandbox {name} is running (pid {found.pid}): use {found.kubeconfig},"
            f" or end it: kubehaven sandbox down --name {name}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "sandbox.log"
    command = [sys.executable, "-m", "console", "sandbox", "up", "--foreground"]
    with log.open("ab") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [*command, "--name", name, "--folder", os.fspath(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.fspath(Path(__file__).resolve().parents[2])},
        )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    line = process.stdout.readline().decode().strip()
    found = find(name)
    if line != READY or found is None:
        process.kill()
        process.wait()
        raise SandboxError(f"sandbox {name} did not start; why stands in {log}")
    process.stdout.close()
    process.returncode = 0  # it goes on without us
    return found


def end(name: str) -> None:
    """End a sandbox in the background; returns once it is gone, with its volumes."""
    found = find(name)
    if found is None:
        raise SandboxError(
            f"there is no sandbox {name}: kubehaven sandbox list shows those there are"
        )
    if found.is_alive():
        os.kill(found.pid, signal.SIGTERM)
        deadline = time.monotonic() + _END_S
        while found.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)  # not our child: nobody tells of its end
        if found.is_alive():
            os.kill(found.pid, signal.SIGKILL)
    _note(name).unlink(missing_ok=True)


async def serve(name: str, folder: Path, ready: Callable[[Running], None]) -> None:
    """Run a sandbox until SIGTERM or SIGINT; `ready` is called once it serves."""
    from console.sandbox.sandbox import Sandbox
    from console.sandbox.tls import write_private

    check_name(name)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Sandbox(folder, name=name) as sandbox:
        pid = os.getpid()
        note = Running(
            name=name,
            pid=pid,
            started=_started(pid),
            folder=os.fspath(sandbox.folder),
            kubeconfig=os.fspath(sandbox.kubeconfig),
            url=sandbox.url,
        )
        state_folder().mkdir(parents=True, exist_ok=True)
        write_private(_note(name), msgspec.json.encode(note))
        try:
            ready(note)
            await ended.wait()
        finally:
            _note(name).unlink(missing_ok=True)


def as_json(found: Running) -> dict[str, Any]:
    """For programs."""
    return {**msgspec.to_builtins(found), "alive": found.is_alive()}


def _note(name: str) -> Path:
    return state_folder() / f"{name}.json"


def _started(pid: int) -> str:
    """When a process started, in ticks; '' when there is none."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    return ""
