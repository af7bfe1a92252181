"""What commands print: tables, JSON, errors, sizes, ages, and progress on a terminal.

Results go to stdout, everything else to stderr. Texts that come from a
cluster, a store or a file system pass through `visible` before they are shown.
"""

from __future__ import annotations

import itertools
import json as json_module
import shutil
import sys
import unicodedata
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = "-"

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # would act on a terminal, or not be seen


def visible(text: str) -> str:
    r"""The text with characters that a terminal would act on, or hide, written as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        _escaped(char) if unicodedata.category(char) in _HIDDEN else char for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def size(n_bytes: int) -> str:
    """`310 MiB`, `1.2 GiB`; a dash when it is not known (negative)."""
    if n_bytes < 0:
        return UNKNOWN
    value, unit = float(n_bytes), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.{int(unit > 0 and value < 99.95)}f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    for big, small, factor, unit in (
        ("d", "h", 86400, 3600),
        ("h", "min", 3600, 60),
        ("min", "s", 60, 1),
    ):
        if whole >= factor:
            rest = whole % factor // unit
            return f"{whole // factor} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def age(timestamp: str, now: datetime | None = None) -> str:
    """`12 s ago` of an RFC 3339 time; a dash when it is not known (empty)."""
    if not timestamp:
        return UNKNOWN
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds()
    if seconds < 1:
        return "now"
    number, unit, *_ = duration(round(seconds)).replace(".0 ", " ").split()
    return f"{number} {unit} ago"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns under their heads, as wide as they need; texts are made visible."""
    lines = [list(columns), *([visible(cell) or UNKNOWN for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "   ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout."""
    print(table(columns, rows))


def print_json(value: object) -> None:
    """Print one JSON document on stdout, of builtins, msgspec structs or dataclasses."""
    print(_json(value))


def _json(value: object) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    except UnicodeEncodeError:  # a file name that isn't UTF-8; Python reads the escape back as is
        return json_module.dumps(msgspec.to_builtins(value), indent=2)


def print_error(
    code: str, message: str, *, subject: str = "", hint: str = "", json: bool = False
) -> None:
    """Print an error on stderr: what is wrong, where, and what to do."""
    if json:
        fault = {"code": code, "message": message, "subject": subject, "hint": hint}
        print(_json({"error": fault}), file=sys.stderr)
        return
    # our own messages may have several lines; what is in between is made visible
    first, *more = message.split("\n")
    where = f"{visible(subject)}: " if subject and subject not in message else ""
    print(f"error: {where}{visible(first)} [{code}]", file=sys.stderr)
    for line in more:
        print(f"  {visible(line).strip()}", file=sys.stderr)
    if hint:
        print(f"  → {visible(hint)}", file=sys.stderr)


class Meter:
    """Bytes per second over the last ten seconds, and the time left at that rate."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, done: int, at: float) -> None:
        """Take note of the bytes done at a time of the monotonic clock; may go back to 0."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((at, done))
        while len(self._seen) > 2 and at - self._seen[0][0] > 10:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Bytes per second; 0 while nothing is known."""
        if len(self._seen) < 2:
            return 0.0
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end > start else 0.0

    def words(self, total: int) -> str:
        """`1.2 of 3.0 GiB  210 MiB/s  9 s left`, as far as it is known."""
        done = self._seen[-1][1] if self._seen else 0
        parts = [f"{size(done)} of {size(total)}" if total > 0 else size(done)]
        if self.rate > 0:
            parts.append(f"{size(round(self.rate))}/s")
            if total > done:
                parts.append(f"{duration(round((total - done) / self.rate + 0.5))} left")
        return "  ".join(parts)


class Display:
    """Lines that stay, and on a terminal one line with a spinner that changes; on stderr."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._spinner = itertools.cycle(_SPINNER)
        self._shown = False

    def line(self, text: str) -> None:
        """Print a line that stays."""
        self._erase()
        print(visible(text), file=self._stream, flush=True)

    def status(self, text: str) -> None:
        """Change the last line; without a terminal nothing is printed."""
        if not self._terminal:
            return
        self._erase()
        width = shutil.get_terminal_size().columns - 3
        shown = visible(text)
        while _width(shown) > width:
            shown = shown[:-1]
        self._stream.write(f"{next(self._spinner)} {shown}")
        self._stream.flush()
        self._shown = True

    def close(self) -> None:
        """Take the changing line away."""
        self._erase()
        self._stream.flush()

    def _erase(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._shown = False
