"""`kubehaven worker`: the command of worker pods; people need it to look into a failed one."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.exits import USAGE, exit_of_error, exit_of_outcome
from console.worker import COMMANDS, Places, Result
from console.worker import run as run_worker

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `worker`."""
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--job", type=Path, required=True, metavar="FILE", help="what to do")
    parser.add_argument(
        "--secrets",
        type=Path,
        required=True,
        metavar="DIR",
        help="password, access key, objects-key",
    )
    parser.add_argument(
        "--termination-log", type=Path, required=True, metavar="FILE", help="where the result goes"
    )
    parser.add_argument(
        "--volume", type=Path, metavar="DIR", help="backup, restore, place, own, probe: the volume"
    )
    parser.add_argument("--packs", type=Path, metavar="DIR", help="objects: the sealed packs")
    parser.set_defaults(run=_run)


def exit_of_result(result: Result) -> int:
    """The exit code that stands for a result; a bad job is wrong usage: no use in trying again."""
    if result.outcome != "Failed":
        return exit_of_outcome(result.outcome)
    return USAGE if result.code.startswith("job.") else exit_of_error(result.code)


def _run(arguments: argparse.Namespace) -> int:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    places = Places(
        job=arguments.job,
        secrets=arguments.secrets,
        termination_log=arguments.termination_log,
        volume=arguments.volume,
        packs=arguments.packs,
    )
    return run_worker(arguments.command, places, exit_of_result)
