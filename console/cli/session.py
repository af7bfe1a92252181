"""What all commands on the engine share: options, the cluster that is meant, exit codes, Ctrl+C."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from console.cli import output
from console.cli.exits import CANCELLED, INTERRUPTED, USAGE, exit_of_error
from console.cli.usage import UsageError
from console.engine import EngineError, EngineFacade, open_engine
from console.repository import RepositoryError
from console.storage import StoreError

if TYPE_CHECKING:
    import argparse


class Declined(Exception):
    """The user said no; nothing was changed."""


class Session(NamedTuple):
    """One command under way: its arguments and an engine."""

    engine: EngineFacade
    arguments: argparse.Namespace

    @property
    def json(self) -> bool:
        """Whether a program reads the answer."""
        return bool(self.arguments.output == "json")

    async def cluster(self) -> str:
        """The cluster that is meant: by `--cluster`, or the only one."""
        names = [row.name for row in await self.engine.clusters.list()]
        asked = str(self.arguments.cluster or "")
        if asked in names:
            return asked
        if asked:
            raise UsageError(
                f"no cluster is named {asked}", hint="`kubehaven cluster list` shows the names"
            )
        if not names:
            raise UsageError(
                "no cluster is known yet", hint="add one: kubehaven cluster add NAME --kubeconfig F"
            )
        if len(names) > 1:
            raise UsageError(f"which cluster: {', '.join(names)}?", hint="add --cluster NAME")
        return names[0]


Work = Callable[[Session], Awaitable[int]]


def on_engine(parser: argparse.ArgumentParser, work: Work, *, cluster: bool = True) -> None:
    """Make a parser one of a command on the engine: common options, and what it runs."""
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="for people, or for programs"
    )
    parser.add_argument(
        "--home", type=Path, metavar="DIR", help="where clusters and settings are kept"
    )
    if cluster:
        parser.add_argument(
            "--cluster", metavar="NAME", help="which cluster; not needed while only one is known"
        )
    parser.set_defaults(run=functools.partial(_run, work))


def no_verb(parser: argparse.ArgumentParser) -> None:
    """Make a noun without a verb a usage error that shows the verbs."""

    def usage(_arguments: argparse.Namespace) -> int:
        parser.print_help(sys.stderr)
        return USAGE

    parser.set_defaults(run=usage)


async def confirmed(session: Session, question: str) -> None:
    """Ask on a terminal, unless `--yes` was given.

    Raises:
        UsageError: There is nobody to ask.
        Declined: The answer was no.
    """
    if session.arguments.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this needs a yes, and there is no terminal to ask", hint="add --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    try:
        answer = await _line_from_terminal()
    except asyncio.CancelledError:
        print(file=sys.stderr)
        raise
    if answer.strip().lower() not in {"y", "yes"}:
        raise Declined


async def _line_from_terminal() -> str:
    """Read a line so that Ctrl+C is heard at once: no executor that is waited for at the end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    descriptor = sys.stdin.fileno()

    def deliver(line: bytes) -> None:
        if not answer.done():
            answer.set_result(line)

    def read() -> None:
        line = os.read(descriptor, 1024)  # not sys.stdin, whose lock would outlive us
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(deliver, line)

    threading.Thread(target=read, name="question", daemon=True).start()
    return (await answer).decode(errors="replace")


def _run(work: Work, arguments: argparse.Namespace) -> int:
    def command() -> int:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.getsignal(number) for number in numbers]
        try:
            return asyncio.run(_work(work, arguments))
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in zip(numbers, before, strict=True):
                    signal.signal(number, handler)  # asyncio leaves the defaults behind

    return guarded(command, json=arguments.output == "json")


def guarded(command: Callable[[], int], *, json: bool) -> int:
    """Carry a command out; what went wrong is printed, and becomes the exit code."""
    try:
        return command()
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
    except Declined:
        print("nothing was changed", file=sys.stderr)
        return CANCELLED
    except UsageError as error:
        output.print_error("usage", error.message, hint=error.hint, json=json)
        return USAGE
    except (EngineError, RepositoryError, StoreError) as error:
        output.print_error(
            error.code, error.message, subject=error.subject, hint=error.hint, json=json
        )
        return exit_of_error(error.code)


async def _work(work: Work, arguments: argparse.Namespace) -> int:
    async with open_engine(arguments.home) as engine:
        with _Signals():
            return await work(Session(engine, arguments))


class _Signals:
    """Ctrl+C and SIGTERM cancel what runs inside, not the engine's own end; a second one ends all.

    Where the loop takes no signals (Windows, other threads), they do what they always do.
    """

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._asked = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, self._take)

    def __exit__(self, *_: object) -> None:
        self._task = None

    def _take(self) -> None:
        if self._asked:
            os._exit(INTERRUPTED)
        self._asked = True
        if self._task is not None:
            self._task.cancel()
