"""What a worker hands back: one JSON document of at most 4096 bytes in the termination log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from console.repository import Counts, ItemFailure

Outcome = Literal["Complete", "Partial", "Failed", "Cancelled"]

LARGEST = 4096  # bytes; Kubernetes keeps no more
_MOST_FAILURES = 50
# bytes of UTF-8
_LONGEST_TEXT = 600
_LONGEST_PATH = 512
_LONGEST_REASON = 300


class Failure(msgspec.Struct, frozen=True):
    """One file or object that could not be handled; work went on."""

    path: str
    code: str
    message: str


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The result of a job; bytes are of file content unless said otherwise."""

    outcome: Outcome
    code: str = ""  # of the error that ended the work
    message: str = ""
    hint: str = ""
    snapshot: str = ""
    salt: bytes = b""  # base64 in JSON, as in `kubehaven.json`
    files_total: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_new: int = 0  # of blobs the repository did not hold, before compression
    bytes_stored: int = 0  # of those blobs, in packs
    failures: tuple[Failure, ...] = ()  # the first
    failures_total: int = 0
    clock: float = 0.0  # probe: the node's time, seconds since the epoch
    store_clock: float = 0.0  # probe: the location's time
    duration_seconds: float = 0.0
    peak_memory_bytes: int = 0


def with_failures(result: Result, failures: Iterable[Failure]) -> Result:
    """The result with what failed: how much, and the first of it."""
    known = list(failures)
    return msgspec.structs.replace(
        result, failures=tuple(known[:_MOST_FAILURES]), failures_total=len(known)
    )


def failure(item: ItemFailure) -> Failure:
    """An item's failure, fit for JSON."""
    return Failure(plain(item.path), item.code, plain(item.message))


def plain(text: str) -> str:
    r"""The text with bytes that were never UTF-8 written as `\xff`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def counted(result: Result, counts: Counts) -> Result:
    """The result with the counters where it has none of its own."""
    own = {
        name: getattr(counts, name)
        for name in ("files_total", "files_done", "bytes_total", "bytes_done")
        if not getattr(result, name)
    }
    stored = {
        name: getattr(result, name) or getattr(counts, name)
        for name in ("bytes_new", "bytes_stored")
    }
    return msgspec.structs.replace(result, **own, **stored)


def encode_result(result: Result) -> bytes:
    """JSON of at most `LARGEST` bytes: long texts are cut, and as many failures kept as fit."""
    cut = msgspec.structs.replace(
        result,
        message=_cut(plain(result.message), _LONGEST_TEXT),
        hint=_cut(plain(result.hint), _LONGEST_TEXT),
        failures=(),
    )
    room = LARGEST - len(msgspec.json.encode(cut))
    kept: list[Failure] = []
    for item in result.failures:
        short = Failure(
            _cut(item.path, _LONGEST_PATH), item.code, _cut(item.message, _LONGEST_REASON)
        )
        room -= len(msgspec.json.encode(short)) + 1
        if room < 0:
            break
        kept.append(short)
    return msgspec.json.encode(msgspec.structs.replace(cut, failures=tuple(kept)))


def write_result(path: Path, result: Result) -> None:
    """Write the result in place: in a pod the file is a mount, which can't be moved over."""
    with path.open("wb", buffering=0) as file:
        file.write(encode_result(result))


def _cut(text: str, most: int) -> str:
    """At most so many bytes of UTF-8, the middle left out."""
    raw = text.encode()
    if len(raw) <= most:
        return text
    head, tail = raw[: most * 2 // 3].decode(errors="ignore"), raw[-most // 4 :]
    return f"{head}…{tail.decode(errors='ignore')}"
