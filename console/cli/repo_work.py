"""The verbs of `kubehaven repo` that take their time: init, backup, restore, check."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import DONE, FAILED, exit_of_outcome
from console.cli.usage import UsageError
from console.repository import (
    Cancelled,
    Progress,
    Repository,
    RepositoryExists,
    back_up,
    init_repository,
    restore_tree,
)
from console.repository import check as check_repository
from console.repository.marked import find_salt, init_marked
from console.repository.markers import RepositoryMarker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from console.cli.repo_access import Access
    from console.repository import Counts, ItemFailure, Snapshot

TOP = "volume"  # the one folder at the top of our snapshots
SHOWN_FAILURES = 20

_PAUSE_S = 0.2


def init(access: Access) -> int:
    """Make a repository; with a location key also the marker that holds its salt."""
    key = access.location_key()
    if key is None:
        init_repository(access.store, access.password())
    else:
        marker = _marker(access)
        if not init_marked(access.store, key.password(marker.salt), marker):
            raise RepositoryExists("there is a repository here already", subject=access.store.url)
    repository = access.open(read_only=True)
    if access.json:
        output.print_json({"id": repository.id, "url": access.store.url})
    else:
        print(f"made the repository {repository.id[:10]} in {output.visible(access.store.url)}")
    return DONE


def _marker(access: Access) -> RepositoryMarker:
    """The marker of the place: what the engine would write for a repository of this address."""
    *_, cluster, application = ["", "", *access.store.url.rstrip("/").split("/")]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    salt = find_salt(access.store)
    if salt is None:
        return RepositoryMarker.new(cluster, application, created_at=now)
    return RepositoryMarker(salt=salt, cluster_uid=cluster, application=application, created_at=now)


def backup(access: Access) -> int:
    """Back a folder up as one snapshot."""
    asked = access.arguments
    folder: Path = asked.folder.absolute()
    repository = access.open()
    host, label = stored_text(asked.host or socket.gethostname()), stored_text(str(folder))
    parent = _parent(repository, asked.parent, host=host, path=label)
    with watching("backup") as progress:
        result = back_up(
            repository,
            folder,
            tags=[stored_text(tag) for words in asked.tag for tag in words.split(",")],
            paths=(label,),
            top_name=TOP,
            parent=parent,
            hostname=host,
            progress=progress,
            stop=access.stop,
        )
    _tell_failures(result.failures)
    if access.json:
        output.print_json({"outcome": result.outcome, **fields(result)})
    else:
        print(
            f"snapshot {result.snapshot[:8]}: {result.files} files,"
            f" {output.size(result.bytes_total)};"
            f" {result.files_new} new, {result.files_changed} changed;"
            f" {output.size(result.bytes_new)} new, {output.size(result.bytes_stored)} stored"
        )
    return exit_of_outcome(result.outcome)


def stored_text(text: str) -> str:
    r"""A text from the command line as a snapshot can hold it: bytes not in UTF-8 as `\xff`."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _parent(repository: Repository, wanted: str | None, *, host: str, path: str) -> Snapshot | None:
    if wanted == "none":
        return None
    if wanted:
        return repository.find_snapshot(wanted)
    same = [one for one in repository.snapshots() if (one.hostname, one.paths) == (host, (path,))]
    return same[-1] if same else None


def restore(access: Access) -> int:
    """Put a snapshot, or a folder of it, into a new or empty folder."""
    asked = access.arguments
    owner_map = [_owner_pair(text) for text in asked.map_owner]
    repository = access.open()
    snapshot = repository.find_snapshot(asked.snapshot)
    subpath = _subpath(repository, snapshot) if asked.path is None else asked.path.strip("/")
    with watching("restore") as progress:
        try:
            result = restore_tree(
                repository,
                snapshot,
                asked.target.absolute(),
                subpath=subpath,
                progress=progress,
                stop=access.stop,
                owner_map=owner_map,
            )
        except Cancelled as stopped:
            target = output.visible(str(asked.target))
            raise Cancelled(f"{target} holds a part of the snapshot") from stopped
    _tell_failures(result.failures)
    if access.json:
        output.print_json({"outcome": result.outcome, "snapshot": snapshot.id, **fields(result)})
    else:
        print(
            f"restored {result.files} files, {output.size(result.bytes)} of snapshot"
            f" {snapshot.id[:8]} into {output.visible(str(asked.target))}"
        )
    return exit_of_outcome(result.outcome)


def _subpath(repository: Repository, snapshot: Snapshot) -> str:
    """The folder at the top of one of our snapshots; restic's are restored as they are."""
    top = repository.reader().tree(bytes.fromhex(snapshot.tree))
    return TOP if [(node.text_name, node.type) for node in top] == [(TOP, "dir")] else ""


def _owner_pair(text: str) -> tuple[int, int]:
    old, _, new = text.partition(":")
    try:
        return int(old), int(new)
    except ValueError:
        raise UsageError(f"{text!r} is no pair of numbers", hint="--map-owner 1000:2000") from None


def check(access: Access) -> int:
    """Look for damage; 1 when there is some."""
    with watching("check") as progress:
        found = check_repository(
            access.open(),
            read_data=access.arguments.read_data,
            progress=progress,
            stop=access.stop,
        )
    looked_at = {name: getattr(found, name) for name in ("packs", "blobs", "trees", "snapshots")}
    problems = [
        {"code": one.code, "message": one.message, "subject": one.subject, "hint": one.hint}
        for one in found.problems
    ]
    if access.json:
        output.print_json({**looked_at, "problems": problems})
    else:
        for one in found.problems:
            output.print_error(one.code, one.message, subject=one.subject, hint=one.hint)
        how = ", ".join(_counted(count, name) for name, count in looked_at.items())
        print(f"{_counted(len(problems), 'problems') if problems else 'no problems'} in {how}")
    return FAILED if problems else DONE


def _counted(count: int, plural: str) -> str:
    return f"{count} {plural if count != 1 else plural.removesuffix('s')}"


def fields(result: object) -> dict[str, object]:
    """A result's fields for programs."""
    return {name: getattr(result, name) for name in getattr(result, "__struct_fields__", ())}


def _tell_failures(failures: Sequence[ItemFailure]) -> None:
    for item in failures[:SHOWN_FAILURES]:
        output.print_error(item.code, item.message, subject=item.path)
    if len(failures) > SHOWN_FAILURES:
        print(f"… and {len(failures) - SHOWN_FAILURES} more", file=sys.stderr)


@contextmanager
def watching(verb: str) -> Iterator[Progress]:
    """Counters that are shown on a terminal while the work goes on: bytes, rate, time left."""
    progress = Progress()
    if not sys.stderr.isatty():
        yield progress
        return
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(verb, progress, done), name="repo:progress")
    thread.start()
    try:
        yield progress
    finally:
        done.set()
        thread.join()


def _watch(verb: str, progress: Progress, done: threading.Event) -> None:
    display, meter = output.Display(), output.Meter()
    with suppress(OSError):  # the terminal has gone; the work goes on
        while not done.wait(_PAUSE_S):
            counts = progress.snapshot()
            meter.add(counts.bytes_done, time.monotonic())
            display.status(f"{verb}  {meter.words(counts.bytes_total)}  {_files(counts)}")
        display.close()


def _files(counts: Counts) -> str:
    failed = f", {counts.failed} failed" if counts.failed else ""
    return f"{counts.files_done} of {counts.files_total} files{failed}"
