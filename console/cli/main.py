"""Parses `kubehaven <noun> …` and hands over to the noun's module.

A noun's module offers `add_parser(subparsers)` and sets `run` in the parser's
defaults: a function from the parsed arguments to an exit code. Modules are
imported only when their noun is asked for, since some of them are heavy.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from typing import NamedTuple, Protocol, cast

from console import __version__


class Noun(NamedTuple):
    """A first word of the command line."""

    word: str
    help: str
    module: str


class NounModule(Protocol):
    """What the module of a noun offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add arguments and set `run`."""


NOUNS: tuple[Noun, ...] = (
    Noun("cluster", "adds, lists, prepares and forgets clusters", "console.cli.cluster"),
    Noun("app", "shows what can be protected", "console.cli.app"),
    Noun(
        "location", "adds and checks where restore points are exported to", "console.cli.location"
    ),
    Noun("backup", "makes a restore point of an application", "console.cli.backup"),
    Noun("export", "copies a local restore point into a location", "console.cli.export"),
    Noun("restore", "brings an application back, after showing how", "console.cli.restore"),
    Noun("point", "lists restore points, looks into them, fetches files", "console.cli.point"),
    Noun("action", "shows and cancels work", "console.cli.action"),
    Noun("engine", "drives a cluster in the foreground", "console.cli.engine"),
    Noun("demo", "plays the story: back up, lose, restore, on a sandbox", "console.cli.demo"),
    Noun("repo", "works on a repository by its address, without a cluster", "console.cli.repo"),
    Noun("sandbox", "a small Kubernetes on this machine", "console.cli.sandbox"),
    Noun("worker", "carries one job out inside a worker pod", "console.cli.worker"),
)


def run(arguments: list[str]) -> int:
    """Carry the command out; returns the exit code (2 = usage)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that can't show ✓ is no failure
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _parse_and_run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone, as in `… | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parse_and_run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="kubehaven", description="Protects, restores and migrates Kubernetes applications."
    )
    parser.add_argument("--version", action="version", version=f"kubehaven {__version__}")
    words = parser.add_subparsers(dest="noun", metavar="COMMAND")
    asked = arguments[0] if arguments else ""
    for noun in NOUNS:
        child = words.add_parser(noun.word, help=noun.help, description=noun.help)
        if noun.word == asked:
            cast("NounModule", importlib.import_module(noun.module)).configure(child)
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as stop:  # 0 after --help, 2 after a wrong argument
        return stop.code if isinstance(stop.code, int) else 2
    if "run" not in parsed:
        parser.print_help(sys.stderr)
        return 2
    return int(parsed.run(parsed))
