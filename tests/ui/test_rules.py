"""House rules of the window that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

UI = Path("console/ui")
SOURCES = [*sorted(UI.rglob("*.py")), Path("console/app.py")]


def test_nothing_ever_calls_exec() -> None:
    for path in SOURCES:
        assert not re.search(r"\bexec_?\(", path.read_text("utf-8")), path


def test_presenters_know_no_widget() -> None:
    for path in sorted((UI / "presenters").glob("*.py")):
        text = path.read_text("utf-8")
        assert "QtWidgets" not in text, path
        assert "console.ui.widgets" not in text, path


def test_labels_are_made_in_one_place_so_that_all_are_plain_text() -> None:
    for path in SOURCES:
        made = re.findall(r"\bQLabel\(([^)]*)\)", path.read_text("utf-8"))
        allowed = [""] if path.name != "basics.py" else ["", ""]
        assert all(argument in allowed for argument in made), path


def test_the_engine_is_reached_by_its_root_only() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith("console.engine."), path


def test_the_main_window_stays_small() -> None:
    assert len((UI / "main_window.py").read_text("utf-8").splitlines()) < 300
