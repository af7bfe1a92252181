"""The result: always one JSON document that Kubernetes keeps whole."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from console.repository import Counts, ItemFailure
from console.worker.reporting import encode_line, peak_memory_bytes
from console.worker.result import (
    LARGEST,
    Failure,
    Result,
    counted,
    encode_result,
    failure,
    plain,
    with_failures,
)

any_name = st.binary(max_size=2000).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
items = st.builds(ItemFailure, any_name, st.just("item.read"), any_name)


@given(st.lists(items, max_size=80), any_name, any_name)
def test_a_result_always_fits(failed: list[ItemFailure], message: str, hint: str) -> None:
    result = Result(outcome="Partial", code="a.b", message=message, hint=hint, salt=bytes(32))
    whole = with_failures(result, map(failure, failed))
    raw = encode_result(whole)
    assert len(raw) <= LARGEST
    back = msgspec.json.decode(raw, type=Result)
    assert back.failures_total == len(failed)
    assert len(back.failures) <= len(failed)
    assert bool(back.failures) == bool(failed)
    assert back.salt == bytes(32)


def test_as_many_failures_as_fit_are_kept() -> None:
    short = [Failure(f"data/{n}", "item.denied", "Permission denied") for n in range(5000)]
    raw = encode_result(with_failures(Result(outcome="Partial"), short))
    back = json.loads(raw)
    assert len(back["failures"]) > 30
    assert back["failures"][0]["path"] == "data/0"
    assert back["failuresTotal"] == 5000
    assert len(raw) <= LARGEST


def test_a_long_path_keeps_its_start_and_its_end() -> None:
    long = Failure("a/" * 1000 + "the-name", "item.read", "x")
    (kept,) = json.loads(encode_result(with_failures(Result(outcome="Partial"), [long])))[
        "failures"
    ]
    assert kept["path"].startswith("a/a/")
    assert kept["path"].endswith("the-name")
    assert "…" in kept["path"]


def test_names_that_are_not_utf8_are_readable() -> None:
    assert plain("caf\udce9") == "caf\\xe9"
    assert plain("备份") == "备份"


def test_counters_fill_what_a_result_does_not_say() -> None:
    counts = Counts(files_total=9, files_done=3, bytes_total=90, bytes_done=30, bytes_stored=7)
    filled = counted(Result(outcome="Cancelled", bytes_new=5, files_done=1), counts)
    assert (filled.files_total, filled.files_done, filled.bytes_new) == (9, 1, 5)
    assert (filled.bytes_done, filled.bytes_stored) == (30, 7)


def test_a_line_of_counters_has_no_names() -> None:
    line = json.loads(encode_line(Counts(bytes_done=5, failed=2)))
    assert line == {
        "bytesTotal": 0,
        "bytesDone": 5,
        "bytesNew": 0,
        "bytesStored": 0,
        "filesTotal": 0,
        "filesDone": 0,
        "failed": 2,
    }


def test_peak_memory_is_that_of_this_process() -> None:
    before = peak_memory_bytes()
    block = bytearray(before + (32 << 20))
    assert peak_memory_bytes() > before
    del block
