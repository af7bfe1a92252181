"""`kubehaven sandbox`: a small Kubernetes on this machine."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from console.sandbox import background

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add `up`, `down` and `list`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    up = verbs.add_parser("up", help="start one and write a kubeconfig for it")
    up.add_argument("--name", default="sandbox", help="its name and context (default: sandbox)")
    up.add_argument("--folder", type=Path, help="where its volumes are (default: the state folder)")
    up.add_argument("--foreground", action="store_true", help="serve here until Ctrl-C")
    up.set_defaults(run=_up)
    down = verbs.add_parser("down", help="end one, with its volumes")
    down.add_argument("--name", default="sandbox")
    down.set_defaults(run=_down)
    listing = verbs.add_parser("list", help="show those there are")
    listing.add_argument("--output", choices=["table", "json"], default="table")
    listing.set_defaults(run=_list)


def _up(arguments: argparse.Namespace) -> int:
    try:
        background.check_name(arguments.name)
        folder = arguments.folder or background.default_folder(arguments.name)
        if arguments.foreground:
            asyncio.run(background.serve(arguments.name, folder, _tell))
            return 0
        _tell_people(background.start(arguments.name, folder))
    except (background.SandboxError, OSError) as error:
        return _failed(error)
    return 0


def _tell(found: background.Running) -> None:
    """Say `ready` to the program that waits for it, and how to go on to a person."""
    if sys.stdout.isatty():
        _tell_people(found)
    else:
        print(background.READY, flush=True)


def _tell_people(found: background.Running) -> None:
    print(f"sandbox {found.name} serves {found.url}")
    print(f"kubeconfig: {found.kubeconfig}")
    print(f"next: kubectl --kubeconfig {found.kubeconfig} get all -A")
    print(f"end:  kubehaven sandbox down --name {found.name}")


def _down(arguments: argparse.Namespace) -> int:
    try:
        background.check_name(arguments.name)
        background.end(arguments.name)
    except (background.SandboxError, OSError) as error:
        return _failed(error)
    print(f"sandbox {arguments.name} ended")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    try:
        found = background.every()
    except background.SandboxError as error:
        return _failed(error)
    if arguments.output == "json":
        print(json.dumps([background.as_json(one) for one in found], indent=2))
        return 0
    print(f"{'NAME':<20} {'STATE':<8} {'PID':<8} KUBECONFIG")
    for one in found:
        state = "serves" if one.is_alive() else "dead"
        print(f"{one.name:<20} {state:<8} {one.pid:<8} {one.kubeconfig}")
    return 0


def _failed(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 1
