"""Counters on stdout while the work goes on: one JSON line per interval, no file names."""

from __future__ import annotations

import os
import resource
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.repository import Counts, Progress

_STATUS = Path("/proc/self/status")


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """One line of counters."""

    bytes_total: int
    bytes_done: int
    bytes_new: int
    bytes_stored: int
    files_total: int
    files_done: int
    failed: int


def encode_line(counts: Counts) -> bytes:
    """The line of the counters at one moment."""
    values = (getattr(counts, name) for name in Line.__struct_fields__)
    return msgspec.json.encode(Line(*values)) + b"\n"


@contextmanager
def reporting(progress: Progress, interval_s: float, *, fd: int = 1) -> Iterator[None]:
    """Write a line at once, one per interval, and a last one."""
    done = threading.Event()
    thread = threading.Thread(
        target=_report, args=(progress, interval_s, done, fd), name="worker:report", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _report(progress: Progress, interval_s: float, done: threading.Event, fd: int) -> None:
    try:
        os.write(fd, encode_line(progress.snapshot()))
        while not done.wait(interval_s):
            os.write(fd, encode_line(progress.snapshot()))
        os.write(fd, encode_line(progress.snapshot()))
    except OSError:  # nobody reads any more: progress unknown, no failure of the work
        return


def peak_memory_bytes() -> int:
    """The most memory this process ever had in RAM.

    Not `ru_maxrss`: it also counts what the process was before it became this program.
    """
    try:
        status = _STATUS.read_text()
    except OSError:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0")
    return int(line.split()[1]) * 1024
