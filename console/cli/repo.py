"""`kubehaven repo`: a repository by its address, without any cluster; restic's own syntax."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.exits import USAGE
from console.cli.repo_access import Verb, add_options, on_repository
from console.cli.repo_browse import KINDS, cat, ls, snapshots
from console.cli.repo_work import backup, check, init, restore

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `repo`."""

    def no_verb(_arguments: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return USAGE

    parser.set_defaults(run=no_verb)
    add_options(parser)
    _Verbs(parser).add()


class _Verbs:
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._words = parser.add_subparsers(metavar="VERB")

    def add(self) -> None:
        self._verb("init", init, "make an empty repository")
        self._backup()
        self._restore()
        self._verb("snapshots", snapshots, "what the repository holds").add_argument(
            "--tag", action="append", default=[], help="only with this tag; may be repeated"
        )
        listing = self._verb("ls", ls, "the files of a snapshot")
        listing.add_argument("snapshot", metavar="SNAPSHOT", help="an id, its start, or latest")
        listing.add_argument("path", metavar="PATH", nargs="?", default="")
        listing.add_argument("-R", "--recursive", action="store_true")
        content = self._verb("cat", cat, "a file of a snapshot, or a piece of the repository")
        content.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
        content.add_argument(
            "words",
            metavar="ID | SNAPSHOT PATH",
            nargs="*",
            help="`file` takes a snapshot and path",
        )
        self._verb("check", check, "look for damage", stoppable=True).add_argument(
            "--read-data", action="store_true", help="read everything, and compare it"
        )

    def _backup(self) -> None:
        parser = self._verb("backup", backup, "back a folder up", stoppable=True)
        parser.add_argument("folder", metavar="FOLDER", type=Path)
        parser.add_argument("--tag", action="append", default=[], help="may be repeated")
        parser.add_argument("--host", metavar="NAME", help="instead of this machine's name")
        parser.add_argument(
            "--parent",
            metavar="SNAPSHOT",
            help="what hasn't changed since isn't read; none: no such",
        )

    def _restore(self) -> None:
        parser = self._verb("restore", restore, "put a snapshot into a folder", stoppable=True)
        parser.add_argument("snapshot", metavar="SNAPSHOT", help="an id, its start, or latest")
        parser.add_argument("--target", metavar="FOLDER", type=Path, required=True)
        parser.add_argument("--path", metavar="PATH", help="only this folder, as `ls` shows it")
        parser.add_argument(
            "--map-owner", metavar="OLD:NEW", action="append", default=[], help="may be repeated"
        )

    def _verb(
        self, word: str, verb: Verb, help_: str, *, stoppable: bool = False
    ) -> argparse.ArgumentParser:
        parser = self._words.add_parser(word, help=help_, description=help_)
        on_repository(parser, verb, stoppable=stoppable)
        return parser
