"""docs/restore-rules.md says the same as the tables in the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.engine.plan import cautions, findings, swap_plan, undo_plan
from console.engine.plan.order import WAVES
from console.engine.plan.sanitise import RULES

if TYPE_CHECKING:
    from types import ModuleType

TEXT = (Path(__file__).parents[3] / "docs" / "restore-rules.md").read_text()


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("kind", sorted({entry.rpartition("/")[2] for entry in RULES}))
def test_each_kind_with_a_rule_has_a_row(kind: str) -> None:
    first_cells = re.findall(r"^\| ([^|]+) \|", section("Changed by kind"), re.MULTILINE)
    assert any(kind in re.split(r"[ ,(]+", cell) for cell in first_cells)


def test_the_order_is_the_same() -> None:
    told = re.findall(r"^\d+\. (.+)$", section("The order"), re.MULTILINE)
    waves = [
        sorted("every other kind" if entry == "*" else entry.rpartition("/")[2] for entry in wave)
        for wave in WAVES
    ]
    assert [sorted(wave.split(", ")) for wave in told] == waves


def test_each_code_of_a_swap_is_explained() -> None:
    source = "".join(Path(str(module.__file__)).read_text() for module in (swap_plan, undo_plan))
    codes = set(re.findall(r'"((?:swap|undo)\.[a-z_]+)"', source))
    told = section("In place: a swap, and its undo") + section("What stops a swap")
    assert codes <= set(re.findall(r"`((?:swap|undo)\.[a-z_]+)`", told))


@pytest.mark.parametrize(
    ("module", "title"),
    [(findings, "What stops a restore"), (cautions, "What is only said")],
)
def test_each_code_is_explained(module: ModuleType, title: str) -> None:
    source = Path(str(module.__file__)).read_text()
    codes = set(re.findall(r'code="([a-z_.]+)"', source))
    assert codes == set(re.findall(r"^\| .*`([a-z]+\.[a-z_]+)`", section(title), re.MULTILINE))
