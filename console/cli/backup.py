"""`kubehaven backup`: make a restore point of an application."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import yaml

from console.cli.follow import add_wait, follow_or_name
from console.cli.session import Session, on_engine
from console.cli.usage import UsageError
from console.engine import ExecHook

if TYPE_CHECKING:
    import argparse

MAX_LIMIT_S = 600


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `backup`."""
    parser.add_argument("application", metavar="APP")
    parser.add_argument("--export", metavar="LOCATION", default="", help="then copy it there")
    hooks = parser.add_argument_group("commands in the application's pods around the cut")
    hooks.add_argument("--hook-pod", metavar="SELECTOR", default="", help="labels of the pods")
    hooks.add_argument("--hook-container", metavar="C", default="", help="else the default one")
    hooks.add_argument("--pre", metavar="COMMAND", default="", help="before the cut")
    hooks.add_argument("--post", metavar="COMMAND", default="", help="after it, whatever happens")
    hooks.add_argument(
        "--hook-limit", metavar="SECONDS", type=int, default=600, help="between them at most"
    )
    hooks.add_argument("--hooks", metavar="FILE", type=Path, help="several hooks, as YAML")
    add_wait(parser)
    on_engine(parser, _back_up)


async def _back_up(session: Session) -> int:
    asked = session.arguments
    cluster = await session.cluster()
    action = await session.engine.actions.back_up(
        cluster,
        asked.application,
        export_to=asked.export,
        hooks=await asyncio.to_thread(_hooks, asked),
    )
    await _say_unchecked(session, cluster)
    return await follow_or_name(session, action, then_export=asked.export)


async def _say_unchecked(session: Session, cluster: str) -> None:
    """The first backup says that nobody has looked whether the cluster does what it needs."""
    row = next(row for row in await session.engine.clusters.list() if row.name == cluster)
    if row.checked or session.json or await session.engine.restore_points.list(cluster):
        return
    command = f"kubehaven cluster check {shlex.quote(cluster)}"
    print(f"this cluster was never checked; try out what it must do: {command}", file=sys.stderr)


def _hooks(asked: argparse.Namespace) -> tuple[ExecHook, ...]:
    """The hooks of the options, then those of the file."""
    found = () if asked.hooks is None else _read(asked.hooks)
    if not (asked.pre or asked.post):
        if asked.hook_pod or asked.hook_container:
            raise UsageError("--hook-pod needs --pre or --post")
        return found
    if not asked.hook_pod:
        raise UsageError("--pre and --post need --hook-pod")
    if not 1 <= asked.hook_limit <= MAX_LIMIT_S:
        raise UsageError(f"--hook-limit is between 1 and {MAX_LIMIT_S} seconds")
    hook = ExecHook(
        podSelector=asked.hook_pod,
        container=asked.hook_container,
        pre=_words("--pre", asked.pre),
        post=_words("--post", asked.post),
        limitSeconds=asked.hook_limit,
    )
    return (hook, *found)


def _words(option: str, command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _read(file: Path) -> tuple[ExecHook, ...]:
    try:
        read = yaml.safe_load(file.read_text())
        return msgspec.convert(read, tuple[ExecHook, ...])
    except (OSError, ValueError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise UsageError(f"--hooks {file}: {error}") from error
