"""What commands print."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli import exits, output


@given(st.text())
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    assert all(char.isprintable() or char.isspace() for char in output.visible(text))
    assert not set(output.visible(text)) & set("\x00\x07\x08\n\r\t\x1b\x7f\x9b\u202e\u2066\u200b")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("备份 é", "备份 é"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("one\ntwo", "one\\ntwo"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("not UTF-8: \udcff", "not UTF-8: \\udcff"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert output.visible(text) == shown


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (-1, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (310 * 1024**2, "310 MiB"),
        (1288490189, "1.2 GiB"),
        (5 * 1024**6, "5120 PiB"),
    ],
)
def test_size(n: int, text: str) -> None:
    assert output.size(n) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.42, "0.4 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (86400 * 4 + 3 * 3600, "4 d 3 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_age_counts_from_now_and_knows_nothing_of_nothing() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert output.age("2026-01-02T03:04:02Z", now) == "3 s ago"
    assert output.age("2026-01-01T03:04:05Z", now) == "1 d ago"
    assert output.age("2026-01-02T03:04:09Z", now) == "now"
    assert output.age("", now) == "-"


def test_columns_stand_under_their_heads_also_with_wide_characters() -> None:
    lines = output.table(("NAME", "SIZE"), [("商店", "1"), ("shop\x07", "22"), ("", "3")]).split(
        "\n"
    )
    assert lines == ["NAME       SIZE", "商店       1", "shop\\x07   22", "-          3"]


class _Row(msgspec.Struct, frozen=True):
    name: str


def test_json_is_one_document_that_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json((_Row("备份"), _Row("b")))
    assert json.loads(capsys.readouterr().out) == [{"name": "备份"}, {"name": "b"}]


def test_json_keeps_file_names_in_any_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json([_Row("a\udcffb")])
    assert json.loads(capsys.readouterr().out) == [{"name": "a\udcffb"}]


def test_an_error_says_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error("location.invalid", "no\x1bt\nthis\n  that", subject="Location a", hint="do")
    assert capsys.readouterr().err == (
        "error: Location a: no\\x1bt [location.invalid]\n  this\n  that\n  → do\n"
    )
    output.print_error("a.b", "m", json=True)
    error = {"code": "a.b", "message": "m", "subject": "", "hint": ""}
    assert json.loads(capsys.readouterr().err) == {"error": error}


def test_a_meter_knows_rate_and_time_left() -> None:
    meter = output.Meter()
    assert meter.words(0) == "0 B"
    for second in range(30):
        meter.add(second * 1024**2, float(second))
    assert meter.rate == 1024**2
    assert meter.words(59 * 1024**2) == "29.0 MiB of 59.0 MiB  1.0 MiB/s  30 s left"
    meter.add(0, 31.0)  # another volume
    assert meter.rate == 0.0


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_sees_the_line_that_changes() -> None:
    plain, terminal = io.StringIO(), _Terminal()
    for stream in (plain, terminal):
        display = output.Display(stream)
        display.status("43 %")
        display.line("cut: done")
        display.status("x" * 500)
        display.close()
    assert plain.getvalue() == "cut: done\n"
    assert terminal.getvalue().startswith("⠋ 43 %\r\x1b[Kcut: done\n⠙ xxx")
    assert terminal.getvalue().endswith("x\r\x1b[K")


def test_the_gravest_exit_code_wins() -> None:
    assert exits.worst((exits.DONE, exits.PARTIAL)) == exits.PARTIAL
    assert exits.worst((exits.FAILED, exits.CANCELLED)) == exits.FAILED
    assert exits.worst((exits.LOCKED, exits.FAILED)) == exits.LOCKED
    assert exits.exit_of_outcome("Partial") == 3
    assert exits.exit_of_error("repository.password") == 12
