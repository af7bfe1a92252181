"""What the verbs of `kubehaven repo` share: options, store and password, errors, Ctrl+C."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from console.cli import output
from console.cli.exits import CANCELLED, FAILED, INTERRUPTED, USAGE, exit_of_error
from console.cli.usage import UsageError
from console.repository import Cancelled, Repository, RepositoryError, StopToken
from console.repository.location_keys import read_kit
from console.repository.marked import known_salt
from console.storage import (
    StoreError,
    credentials_from_environment,
    credentials_from_file,
    open_store,
)

if TYPE_CHECKING:
    from types import FrameType

    from console.repository.location_keys import LocationKey
    from console.storage import ObjectStore

_LONGEST_PASSWORD = 65536


def add_options(parser: argparse.ArgumentParser, *, behind: bool = False) -> None:
    """Add what says which repository is meant.

    Args:
        behind: For a verb's own parser: what is not said there was perhaps said before the verb.
    """
    text: dict[str, Any] = {"default": argparse.SUPPRESS} if behind else {}
    yes: dict[str, Any] = {"action": "store_true", **text}
    add = parser.add_argument
    where = "a folder, or s3:https://host:port/bucket/prefix"
    add("-r", "--repo", metavar="REPOSITORY", help=where, **text)
    add("--password-file", type=Path, metavar="FILE", help="as restic's", **text)
    kit = "a recovery kit, from which the password comes"
    add("--location-key-file", type=Path, metavar="KIT", help=kit, **text)
    keys = "access key, as INI or JSON; else from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    add("--credentials-file", type=Path, metavar="FILE", help=keys, **text)
    add("--region", metavar="NAME", **text)
    add("--virtual-host-style", help="the bucket is part of the host's name", **yes)
    add("--ca-bundle", metavar="FILE", help="certificates to trust, PEM", **text)
    add("--skip-tls-verify", **yes)
    add("--no-lock", help="write nothing into the repository, no lock either", **yes)


class Access:
    """The repository that the arguments name, and how it is opened."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.stop = StopToken()
        self.json = bool(arguments.output == "json")
        self._store: ObjectStore | None = None

    @property
    def store(self) -> ObjectStore:
        """The store of the repository; nothing is sent yet."""
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def open(self, *, read_only: bool = False) -> Repository:
        """The repository, opened with the password or the location key."""
        return Repository.open(
            self.store, self.password(), read_only=read_only or self.arguments.no_lock
        )

    def password(self) -> bytes:
        """The password; with a location key that of the salt which the repository has."""
        key = self.location_key()
        return key.password(known_salt(self.store)) if key else self._password_in_file()

    def location_key(self) -> LocationKey | None:
        """The location key, when that was given rather than a password."""
        kit, password_file = self.arguments.location_key_file, self.arguments.password_file
        if (kit is None) == (password_file is None):
            raise UsageError(
                "give either a password or a location key",
                hint="--password-file FILE or --location-key-file KIT",
            )
        return read_kit(kit) if kit is not None else None

    def _password_in_file(self) -> bytes:
        path = Path(self.arguments.password_file)
        try:
            with path.open("rb") as file:
                password = file.read(_LONGEST_PASSWORD).strip()
        except OSError as fault:
            said = fault.strerror or type(fault).__name__
            raise UsageError(f"{path} can't be read: {said}") from fault
        if not password:
            raise UsageError(f"{path} holds no password")
        return password

    def _open_store(self) -> ObjectStore:
        asked = self.arguments
        if not asked.repo:
            raise UsageError("which repository?", hint="-r REPOSITORY")
        credentials = (
            credentials_from_environment(os.environ)
            if asked.credentials_file is None
            else credentials_from_file(asked.credentials_file)
        )
        return open_store(
            asked.repo,
            credentials=credentials,
            region=asked.region or "",
            path_style=False if asked.virtual_host_style else None,
            skip_tls_verify=asked.skip_tls_verify,
            ca_bundle=asked.ca_bundle or "",
            read_only=asked.no_lock,
        )


class Verb(Protocol):
    """A verb of `repo`: does its work and returns the exit code."""

    def __call__(self, access: Access, /) -> int:
        """Carry it out."""


def on_repository(parser: argparse.ArgumentParser, verb: Verb, *, stoppable: bool = False) -> None:
    """Make a parser one of a verb.

    Args:
        stoppable: The verb looks at `Access.stop`: Ctrl+C lets it end by itself.
    """
    add_options(parser, behind=True)
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="for people, or for programs"
    )
    parser.set_defaults(run=functools.partial(_run, verb, stoppable))


def _run(verb: Verb, stoppable: bool, arguments: argparse.Namespace) -> int:
    access = Access(arguments)
    signals = _Signals(access.stop)
    try:
        if stoppable:
            with signals:
                return verb(access)
        return verb(access)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Cancelled as stopped:
        print(f"stopped; the repository is valid; {stopped.message}", file=sys.stderr)
        return INTERRUPTED if signals.taken == signal.SIGINT else CANCELLED
    except UsageError as error:
        output.print_error("usage", error.message, hint=error.hint, json=access.json)
        return USAGE
    except (RepositoryError, StoreError) as error:
        output.print_error(
            error.code, error.message, subject=error.subject, hint=error.hint, json=access.json
        )
        return exit_of_error(error.code)
    except BrokenPipeError:
        raise
    except OSError as error:  # of our own output: a full disk behind `>`
        output.print_error("output", error.strerror or type(error).__name__, json=access.json)
        return FAILED


class _Signals:
    """While entered, the first Ctrl+C or SIGTERM stops the token; a second one ends at once."""

    def __init__(self, stop: StopToken) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}
        self.taken = 0

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._take)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.taken:
            os._exit(INTERRUPTED)
        self.taken = number
        self._stop.stop()
