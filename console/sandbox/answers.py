"""How answers are written: JSON, tables, metadata alone, and streams of changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from aiohttp import web

from console.sandbox import faults, tables

if TYPE_CHECKING:
    from console.sandbox.choosing import Chooses
    from console.sandbox.kinds import Raw, Resource
    from console.sandbox.store import Change, Store

BOOKMARK_S = 10.0
_JSON = "application/json"
_SUCCESS: Raw = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def json_answer(body: Any, code: int = 200) -> web.Response:
    """A JSON body."""
    return web.Response(body=msgspec.json.encode(body), status=code, content_type=_JSON)


def gone(resource: Resource, name: str, uid: str) -> web.Response:
    """The answer to a delete that took its object away at once."""
    details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": uid}
    return json_answer({**_SUCCESS, "details": {k: v for k, v in details.items() if v}})


class Form(NamedTuple):
    """The form that a request accepts."""

    resource: Resource
    kind: str  # object, table, metadata
    include: str = "Metadata"

    def one(self, obj: Raw, code: int = 200) -> web.Response:
        """Answer with one object."""
        return json_answer(self.shown(obj), code)

    def shown(self, obj: Raw) -> Raw:
        """One object in this form."""
        if self.kind == "table":
            meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return tables.table(self.resource, [obj], include=self.include, meta=meta)
        return tables.partial(obj) if self.kind == "metadata" else obj

    def many(self, objects: list[Raw], meta: Raw) -> web.Response:
        """Answer with a list."""
        if self.kind == "table":
            shown = tables.table(self.resource, objects, include=self.include, meta=meta)
            return json_answer(shown)
        if self.kind == "metadata":
            items = [tables.partial(obj) for obj in objects]
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return json_answer({**kind, "metadata": meta, "items": items})
        kind = {"kind": self.resource.list_kind, "apiVersion": self.resource.api_version}
        items = objects if self.resource.schema is not None else [_bare(obj) for obj in objects]
        return json_answer({**kind, "metadata": meta, "items": items})


def _bare(obj: Raw) -> Raw:
    """An item of a built-in kind's list, which the API writes without its kind."""
    return {name: value for name, value in obj.items() if name not in {"apiVersion", "kind"}}


def form_of(request: web.BaseRequest, resource: Resource) -> Form:
    """The first form in the Accept header that is served."""
    include = request.query.get("includeObject", "Metadata")
    for offer in request.headers.get("Accept", "").split(","):
        if "as=Table" in offer:
            return Form(resource, "table", include)
        if "as=PartialObjectMetadata" in offer:
            return Form(resource, "metadata")
        if offer.partition(";")[0].strip() in {_JSON, "*/*"}:
            break
    return Form(resource, "object")


class Wish(NamedTuple):
    """What a watch asks for."""

    form: Form
    namespace: str
    chooses: Chooses
    version: str  # '' and '0' = begin with what is there
    bookmarks: bool
    initial: bool  # sendInitialEvents
    timeout_s: float


async def watch(request: web.BaseRequest, store: Store, wish: Wish) -> web.StreamResponse:
    """Stream changes until the time is over or the client goes."""
    response = web.StreamResponse()
    response.content_type = _JSON
    response.enable_chunked_encoding()
    await response.prepare(request)
    news: asyncio.Queue[Change] = asyncio.Queue()
    resource_id = wish.form.resource.id

    def hear(change: Change) -> None:
        if change.key.resource == resource_id:
            news.put_nowait(change)

    end = store.listen(hear)
    try:
        await response.write(_beginning(store, wish))
        await _follow(response, store, wish, news)
    except faults.ApiError as error:
        await response.write(_line("ERROR", error.status()))
    except ConnectionResetError:
        pass  # the client went
    finally:
        end()
    return response


def _beginning(store: Store, wish: Wish) -> bytes:
    if wish.initial or wish.version in {"", "0"}:
        objects = store.each(wish.form.resource.id, wish.namespace)
        lines = [_line("ADDED", wish.form.shown(obj)) for obj in objects if wish.chooses(obj)]
        if wish.initial:
            lines.append(_bookmark(store, wish, initial=True))
        return b"".join(lines)
    if not wish.version.isdigit():
        raise faults.bad_request(f"Invalid value: {wish.version!r}: resourceVersion")
    changes = store.since(int(wish.version), wish.form.resource.id)
    return b"".join(_told(change, wish) for change in changes)


async def _follow(
    response: web.StreamResponse, store: Store, wish: Wish, news: asyncio.Queue[Change]
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wish.timeout_s
    while (left := deadline - loop.time()) > 0:
        try:
            change = await asyncio.wait_for(news.get(), min(left, BOOKMARK_S))
        except TimeoutError:
            if wish.bookmarks:
                await response.write(_bookmark(store, wish))
            continue
        lines = [_told(change, wish)]
        while not news.empty():
            lines.append(_told(news.get_nowait(), wish))
        if told := b"".join(lines):
            await response.write(told)


def _told(change: Change, wish: Wish) -> bytes:
    """A change as this watch sees it: an object may enter or leave its selection."""
    if wish.namespace and change.key.namespace != wish.namespace:
        return b""
    now = change.type != "DELETED" and wish.chooses(change.object)
    before = change.before is not None and wish.chooses(change.before)
    if now:
        return _line("MODIFIED" if before else "ADDED", wish.form.shown(change.object))
    return _line("DELETED", wish.form.shown(change.object)) if before else b""


def _bookmark(store: Store, wish: Wish, *, initial: bool = False) -> bytes:
    resource = wish.form.resource
    meta: Raw = {"resourceVersion": str(store.version)}
    if initial:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj: Raw = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
    if wish.form.kind == "table":
        obj = tables.table(resource, [], include="None", meta=meta)
    return _line("BOOKMARK", obj)


def _line(kind: str, obj: Raw) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
