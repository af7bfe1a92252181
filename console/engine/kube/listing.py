"""Lists, page by page, as raw JSON.

A page is about 512 KiB: more would hold the loop up while it is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from console.engine.aiokit import TaskOwner
from console.engine.errors import ClusterError, Expired
from console.engine.kube.request import JSON, Request, path_of, subject_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator

    from console.engine.kube.connection import Connection
    from console.engine.model.kinds import Kind, RawObject

T = TypeVar("T")

FIRST_PAGE = 100
LARGEST_PAGE = 500
PAGE_BYTES = 512 << 10
LIST_TRIES = 3
_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class Page(NamedTuple):
    """Some items, in the server's order, and the version of the whole list."""

    items: list[RawObject]
    resource_version: str


class Scope(NamedTuple):
    """What is listed or watched; selectors in Kubernetes' own syntax."""

    kind: Kind
    namespace: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False

    def request(self, *query: tuple[str, str], streams: bool = False) -> Request:
        """A GET of this list."""
        selectors = (("labelSelector", self.labels), ("fieldSelector", self.fields))
        return Request(
            method="GET",
            path=path_of(self.kind, self.namespace),
            query=tuple((key, value) for key, value in (*selectors, *query) if value),
            accept=_METADATA if self.metadata_only else JSON,
            subject=subject_of(self.kind, self.namespace),
            streams=streams,
        )


class _ListMeta(msgspec.Struct):
    resourceVersion: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[dict[str, Any]] | None = None


def read_json(body: bytes, to: type[T], subject: str) -> T:
    """An answer's body.

    Raises:
        ClusterError: `cluster.answer`: it is no JSON of that shape, so no Kubernetes answered.
    """
    try:
        return msgspec.json.decode(body, type=to)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClusterError(
            "the answer is not one of the Kubernetes API",
            subject=subject,
            code="cluster.answer",
            hint="check the server's address: a proxy or a login page may have answered",
        ) from error


async def pages(connection: Connection, scope: Scope) -> AsyncGenerator[Page]:
    """The list as it was at one moment; the next page is on its way while one is looked at.

    Raises:
        Expired: The server forgot that moment between two pages.
    """
    async with TaskOwner("pages", sink=_told_where_it_is_awaited) as owner:

        def ask(limit: int, token: str) -> asyncio.Task[bytes]:
            request = scope.request(("limit", str(limit)), ("continue", token))
            return owner.start(connection.send(request), name=request.subject)

        version, coming = "", ask(FIRST_PAGE, "")
        while True:
            body = await coming
            listed = read_json(body, _List, subject_of(scope.kind, scope.namespace))
            items = listed.items or []
            token = listed.metadata.continue_
            if token:
                coming = ask(_next_limit(len(items), len(body)), token)
            for item in items:  # a list leaves it out, and one of metadata says something else
                item["apiVersion"], item["kind"] = scope.kind.api_version, scope.kind.kind
            version = version or listed.metadata.resourceVersion
            del body, listed
            yield Page(items, version)
            if not token:
                return


def _told_where_it_is_awaited(_: str, __: BaseException) -> None:
    pass


async def list_all(connection: Connection, scope: Scope) -> Page:
    """The whole list as one page; begun again when the server forgot its moment."""
    for _ in range(LIST_TRIES - 1):
        try:
            return await _collect(connection, scope)
        except Expired:
            continue
    return await _collect(connection, scope)


async def _collect(connection: Connection, scope: Scope) -> Page:
    items: list[RawObject] = []
    version = ""
    async for page in pages(connection, scope):
        items += page.items
        version = page.resource_version
    return Page(items, version)


def _next_limit(items: int, size: int) -> int:
    fitting = PAGE_BYTES * items // max(size, 1)
    return max(10, min(LARGEST_PAGE, fitting))
