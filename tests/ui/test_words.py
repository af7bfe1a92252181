"""Numbers, times and words, in both languages; the catalogue is complete."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine import errors
from console.ui import format as fmt
from console.ui import messages
from console.ui.actions import PAGES
from console.ui.messages import Span, spans, tr, tr_count, use_language
from console.ui.resources import resource
from console.ui.widgets.appearance import MODES

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (-1, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1024, "1.0 KiB"),
        (310 * 1024**2, "310 MiB"),
        (1288490189, "1.2 GiB"),
        (86 * 1024**3, "86.0 GiB"),
        (212 * 1024**3, "212 GiB"),
        (1023 * 1024**2, "1.0 GiB"),
    ],
)
def test_sizes(n_bytes: int, text: str) -> None:
    assert fmt.size(n_bytes) == text


@given(st.integers(0, 2**55), st.integers(0, 2**55))
def test_a_bigger_size_is_never_written_smaller(one: int, other: int) -> None:
    units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

    def rank(n: int) -> tuple[int, float]:
        number, unit = fmt.size(n).split()
        return units.index(unit), float(number)

    low, high = sorted((one, other))
    assert rank(low) <= rank(high)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2, "just now"),
        (14, "14 s ago"),
        (720, "12 min ago"),
        (54000, "15 h ago"),
        (187200, "2 d 4 h ago"),
        (864000, "10 d ago"),
        (-30, "just now"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    at = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert fmt.age(at, NOW) == text


def test_unknown_times_are_said_to_be_unknown() -> None:
    assert fmt.age("", NOW) == "never"
    assert fmt.age("yesterday-ish", NOW) == "never"
    assert fmt.exact("") == ""
    assert fmt.moment("", NOW) == fmt.time_of_day("") == "–"


def test_shares_and_rates() -> None:
    assert fmt.percent(0.999) == "99 %"
    assert fmt.percent(1.0) == "100 %"
    assert fmt.rate(0) == ""
    assert fmt.rate(84 * 1024**2) == "84 MiB/s"
    assert fmt.size_of(110 * 1024**2, 610 * 1024**2) == "110 of 610 MiB"
    assert fmt.size_of(512, 610 * 1024**2) == "512 B of 610 MiB"
    assert [fmt.clock(n) for n in (41, 725, 3750)] == ["0:41", "12:05", "1:02:30"]


def test_what_a_cluster_says_can_not_hide_anything() -> None:
    assert fmt.visible("wiki") == "wiki"
    assert fmt.visible("a\u202eb\x1b[31m\n") == "a\\x202eb\\x1b[31m\\x0a"


def test_marked_texts_become_spans() -> None:
    assert spans("**9 of 14** ok, !!1 bad!!, ~~2 late~~.") == (
        Span("9 of 14", "strong"),
        Span(" ok, "),
        Span("1 bad", "bad"),
        Span(", "),
        Span("2 late", "warn"),
        Span("."),
    )


def test_languages_change_at_once() -> None:
    assert tr_count("{n} volume", "{n} volumes", 1) == "1 volume"
    use_language("zh_CN")
    assert tr("Restore points") == "还原点"
    assert tr_count("{n} volume", "{n} volumes", 1) == "1 个卷"
    assert fmt.age((NOW - timedelta(hours=15)).isoformat(), NOW) == "15 小时前"


def _texts_in_source() -> set[str]:
    found: set[str] = set()
    for path in Path("console/ui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            at = {"tr": 0, "tr_count": 1}.get(node.func.id)
            if at is not None and isinstance(node.args[at], ast.Constant):
                found.add(str(node.args[at].value))  # type: ignore[attr-defined]  # asked above
    return found


def _texts_in_tables() -> set[str]:
    found = {entry.title for entry in PAGES} | {name for _, name in MODES}
    found |= set(messages.WORDS.values())
    for one in messages.EXPLANATIONS.values():
        found |= {one.title, one.hint} - {""}
    return found


def test_the_chinese_catalogue_is_complete_and_holds_nothing_else() -> None:
    catalogue = msgspec.json.decode(
        resource("translations", "zh_CN.json").read_bytes(), type=dict[str, str]
    )
    wanted = _texts_in_source() | _texts_in_tables()
    assert wanted - set(catalogue) == set()
    assert set(catalogue) - wanted == set()
    for english, chinese in catalogue.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
        tones = [span.tone for span in spans(english) if span.tone]
        assert sorted(tones) == sorted(s.tone for s in spans(chinese) if s.tone), english


def _codes() -> set[str]:
    kinds = [errors.EngineError]
    for one in kinds:
        kinds.extend(one.__subclasses__())
    return {kind.code for kind in kinds}


def test_every_error_of_the_engine_is_explained() -> None:
    for code in _codes():
        explained = messages.explain(code)
        assert explained is not None, code
        assert explained.title


def test_an_unknown_code_falls_back_to_its_parent_then_to_the_message() -> None:
    known = messages.problem_of("cluster.unreachable.dns", "no such host", subject="lab")
    assert known.title == "The cluster does not answer"
    assert known.text == "no such host"
    unknown = messages.problem_of("novelty.first", "class x cannot", hint="use y")
    assert (unknown.title, unknown.text, unknown.hint) == ("class x cannot", "", "use y")
    assert "Next step: use y" in unknown.report()
