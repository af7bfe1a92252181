"""docs/command-line.md has every command and option there is."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.cli.main import NOUNS

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"worker": "worker.md"}  # all others: command-line.md


def words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The verbs and long options of a parser and of those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb, child in action.choices.items():
                yield verb
                yield from words(child)
        yield from (option for option in action.option_strings[:1] if option.startswith("--"))


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.word)
def test_every_verb_and_option_is_documented(noun: object) -> None:
    assert isinstance(noun, type(NOUNS[0]))
    page = (DOCS / PAGES.get(noun.word, "command-line.md")).read_text()
    parser = argparse.ArgumentParser(prog=noun.word)
    importlib.import_module(noun.module).configure(parser)
    assert noun.word in page
    missing = {word for word in words(parser) if word not in page} - {"--help"}
    assert not missing
