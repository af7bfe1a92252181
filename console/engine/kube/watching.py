"""Follows a list for ever: list, watch with bookmarks, list again when the server forgot.

Each worry has its own generator: `follow` (failures), `_changes` (connections that end), and
`Connection.lines` (bytes).
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from console.engine.aiokit import Backoff
from console.engine.errors import ClusterError, EngineError, Expired, NotFound, ServerFailed
from console.engine.kube.answers import error_for
from console.engine.kube.listing import Scope, list_all, read_json
from console.engine.kube.request import subject_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from console.engine.kube.connection import Connection
    from console.engine.kube.request import Request
    from console.engine.model.kinds import Kind, RawObject

IDLE_S = 90.0  # servers send a bookmark a minute; what is silent for longer may be dead
WATCH_S = 290  # how long the server is asked to keep one connection
HEALTHY_S = 5.0  # a connection that lived so long may be made again at once


class Listed(NamedTuple):
    """Everything, as it is now; replaces what was known."""

    items: list[RawObject]
    as_of: str  # RFC 3339, UTC


class Changed(NamedTuple):
    """One change after `Listed`."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: RawObject


class Lost(NamedTuple):
    """The cluster can't be followed now; a new `Listed` comes when it can."""

    error: EngineError
    retry_in_s: float


Seen = Listed | Changed | Lost


class _Event(msgspec.Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: dict[str, Any]


async def follow(
    connection: Connection, scope: Scope, *, as_of: Callable[[], str]
) -> AsyncGenerator[Seen]:
    """The list and then its changes, for ever; ends only by cancellation or `aclose`."""
    backoff = Backoff(first_s=0.5)
    while True:
        try:
            page = await list_all(connection, scope)
            version = page.resource_version
            yield Listed(page.items, as_of())
            del page  # nothing keeps an object that has changed or gone since
            async with aclosing(_changes(connection, scope, version)) as changes:
                async for change in changes:
                    backoff.reset()
                    yield change
        except Expired:
            await asyncio.sleep(backoff.next_s())
        except EngineError as error:
            pause_s = backoff.next_s()
            yield Lost(error, pause_s)
            await asyncio.sleep(pause_s)


async def wait_for(
    connection: Connection,
    kind: Kind,
    name: str,
    namespace: str,
    *,
    predicate: Callable[[RawObject], bool],
    timeout_s: float,
) -> RawObject:
    """The object as soon as the predicate holds.

    Raises:
        NotFound: The object is not there, or went while we waited.
        EngineError: `cluster.timeout`; the cause is the last failure on the way, if any.
    """
    scope = Scope(kind, namespace, fields=f"metadata.name={name}")
    last: list[EngineError] = []
    try:
        async with asyncio.timeout(timeout_s):
            return await _until(connection, scope, name, predicate=predicate, last=last)
    except TimeoutError as error:
        raise EngineError(
            f"still not as wanted after {timeout_s:g} s",
            subject=subject_of(kind, namespace, name),
            code="cluster.timeout",
        ) from (last[-1] if last else error)


async def _until(
    connection: Connection,
    scope: Scope,
    name: str,
    *,
    predicate: Callable[[RawObject], bool],
    last: list[EngineError],
) -> RawObject:
    gone = NotFound("not there", subject=subject_of(scope.kind, scope.namespace, name))
    async with aclosing(follow(connection, scope, as_of=str)) as steps:
        async for step in steps:
            match step:
                case Lost(error):
                    if not error.retryable:
                        raise error
                    last[:] = [error]
                case Changed("DELETED"):
                    raise gone
                case Changed(_, found):
                    if predicate(found):
                        return found
                case Listed([]):
                    raise gone
                case Listed(items):
                    if predicate(items[0]):
                        return items[0]
    raise AssertionError("follow never ends")


async def _changes(connection: Connection, scope: Scope, version: str) -> AsyncGenerator[Changed]:
    """Changes from `version` on, over as many connections as it takes."""
    backoff = Backoff(first_s=0.2, limit_s=10.0)
    clock = asyncio.get_running_loop()
    while True:
        began_s = clock.time()
        lines = connection.lines(_watch_request(scope, version), idle_s=IDLE_S)
        async with aclosing(lines):
            async for line in lines:
                event = _read_event(line, scope)
                version = event.object.get("metadata", {}).get("resourceVersion", version)
                backoff.reset()
                if event.type != "BOOKMARK" and event.type != "ERROR":
                    yield Changed(event.type, event.object)
        if clock.time() - began_s < HEALTHY_S:
            await asyncio.sleep(backoff.next_s())


def _watch_request(scope: Scope, version: str) -> Request:
    seconds = WATCH_S + random.randrange(-30, 1)  # noqa: S311 - spreads reconnections
    return scope.request(
        ("watch", "1"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", version),
        ("timeoutSeconds", str(seconds)),
        streams=True,
    )


def _read_event(line: bytes, scope: Scope) -> _Event:
    subject = subject_of(scope.kind, scope.namespace)
    try:
        event = read_json(line, _Event, subject)
    except ClusterError as error:
        raise ServerFailed("an event can't be read", subject=subject) from error
    if event.type == "ERROR":
        code = event.object.get("code")
        body = msgspec.json.encode(event.object)
        raise error_for(code if isinstance(code, int) else 500, body, method="GET", subject=subject)
    return event
