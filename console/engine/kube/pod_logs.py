"""A pod's log, line by line."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from console.engine.kube.request import Request, path_of
from console.engine.model.kinds import PODS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from console.engine.kube.connection import Connection

MAX_LOG_LINE = 64 << 10


async def lines(
    connection: Connection, namespace: str, pod: str, *, follow: bool, tail: int | None
) -> AsyncGenerator[str]:
    """See `KubeClient.logs`."""
    query = (("follow", "true" if follow else ""), ("tailLines", "" if tail is None else tail))
    request = Request(
        method="GET",
        path=f"{path_of(PODS, namespace, pod)}/log",
        query=tuple((key, str(value)) for key, value in query if value != ""),
        accept="*/*",
        subject=f"Pod {namespace}/{pod}",
        streams=True,
    )
    async with aclosing(connection.lines(request, idle_s=None)) as found:
        async for line in found:
            yield line[:MAX_LOG_LINE].decode("utf-8", "replace").rstrip("\r")
