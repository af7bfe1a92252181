"""Reads an application's objects, raw, as a backup takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from console.engine.errors import Forbidden, NotFound
from console.engine.model.kinds import NAMESPACES, Kind, RawObject
from console.engine.model.record import Failure
from console.engine.plan.paths import object_path
from console.engine.plan.select import Selected, kinds_to_collect, select

if TYPE_CHECKING:
    from console.engine.kube import KubeClient

AT_ONCE = 8


class Collected(NamedTuple):
    """What was read of one namespace."""

    selected: tuple[tuple[Kind, Selected], ...]  # all objects, with what was decided
    failures: tuple[Failure, ...]

    @property
    def taken(self) -> list[tuple[Kind, RawObject]]:
        """The objects that a backup takes."""
        return [(kind, one.obj) for kind, one in self.selected if one.decision.take]

    def entries(self) -> list[tuple[str, bytes]]:
        """(path, raw JSON) of each object taken, sorted by path."""
        return sorted(
            (object_path(kind, raw["metadata"]["name"]), msgspec.json.encode(raw))
            for kind, raw in self.taken
        )


async def collect(client: KubeClient, namespace: str) -> Collected:
    """List every kind that a backup takes in one namespace, and the Namespace itself.

    A kind that this account may not read is a failure of the result, not of the call.
    """
    served = await client.discover()
    kinds = kinds_to_collect(served)
    limit = asyncio.Semaphore(AT_ONCE)
    failures: list[Failure] = []

    async def read(kind: Kind) -> list[tuple[Kind, RawObject]]:
        async with limit:
            try:
                return [(kind, raw) for raw in await client.list(kind, namespace)]
            except NotFound:  # the kind went away since discovery
                return []
            except Forbidden as error:
                failures.append(
                    Failure(
                        code=error.code,
                        message=f"{kind.resource} could not be read: {error.message}",
                        object=f"{kind.resource}/{namespace}",
                        hint="give this account get and list on it, or leave it out",
                    )
                )
                return []

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(kind)) for kind in kinds]
    pairs = [pair for task in tasks for pair in task.result()]
    pairs.append((NAMESPACES, await client.get(NAMESPACES, namespace)))
    chosen = select([raw for _, raw in pairs])
    return Collected(
        tuple((kind, one) for (kind, _), one in zip(pairs, chosen, strict=True)),
        tuple(failures),
    )
