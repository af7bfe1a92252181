"""Reads an application's objects, raw, as a backup takes them.

Each object is handed on as its page arrives and then let go of: what a caller
doesn't keep is never in memory twice.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.errors import Expired, Forbidden, NotFound
from console.engine.model.kinds import NAMESPACES, SERVICES, Kind, RawObject
from console.engine.model.record import Failure
from console.engine.plan.paths import object_path
from console.engine.plan.select import Decision, decide, kinds_to_collect, surroundings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.engine.kube import KubeClient

AT_ONCE = 8
TRIES = 3

T = TypeVar("T")


class Collected(NamedTuple, Generic[T]):
    """What was kept of one namespace."""

    kept: list[T]
    failures: list[Failure]


async def collect(
    client: KubeClient, namespace: str, keep: Callable[[Kind, RawObject, Decision], T | None]
) -> Collected[T]:
    """List every kind that a backup takes in one namespace, and the Namespace itself.

    A kind that this account may not read is a failure of the result, not of the call.

    Args:
        keep: What the result shall hold of an object; None: nothing.
    """
    kinds = kinds_to_collect(await client.discover())
    around = surroundings_of(await _readable(client, SERVICES, namespace))
    failures: list[Failure] = []

    async def read(kind: Kind) -> list[T]:
        kept: list[T] = []
        async for page in client.pages(kind, namespace):
            for raw in page.items:
                one = keep(kind, raw, decide(raw, around))
                if one is not None:
                    kept.append(one)
        return kept

    async def read_whole(kind: Kind) -> list[T]:
        try:
            for _ in range(TRIES - 1):
                try:
                    return await read(kind)
                except Expired:  # the server forgot the moment between two pages
                    continue
            return await read(kind)
        except NotFound:  # the kind went away since discovery
            return []
        except Forbidden as error:
            failures.append(_unread(kind, namespace, error))
            return []

    lists = await side_by_side((partial(read_whole, kind) for kind in kinds), at_once=AT_ONCE)
    kept = [one for kept_of_kind in lists for one in kept_of_kind]
    raw = await client.get(NAMESPACES, namespace)
    own = keep(NAMESPACES, raw, decide(raw, around))
    return Collected(kept if own is None else [*kept, own], failures)


def entry(kind: Kind, raw: RawObject, decision: Decision) -> tuple[str, bytes] | None:
    """What a backup keeps of an object: (path, raw JSON)."""
    if not decision.take:
        return None
    return object_path(kind, raw["metadata"]["name"]), msgspec.json.encode(raw)


async def _readable(client: KubeClient, kind: Kind, namespace: str) -> list[RawObject]:
    try:
        return await client.list(kind, namespace)
    except Forbidden:  # reported where the kind is collected
        return []


def _unread(kind: Kind, namespace: str, error: Forbidden) -> Failure:
    return Failure(
        code=error.code,
        message=f"{kind.resource} could not be read: {error.message}",
        object=f"{kind.resource}/{namespace}",
        hint="give this account get and list on it, or leave it out",
    )
