"""The HTTP API: who asks for what, and each verb's answer."""

from __future__ import annotations

import base64
import uuid
from typing import TYPE_CHECKING, Protocol, cast

import msgspec
from aiohttp import web

from console.sandbox import choosing, discovery, faults, patches
from console.sandbox.access import Asked
from console.sandbox.answers import Wish, form_of, gone, json_answer, watch
from console.sandbox.asking import (
    Target,
    body,
    is_dry,
    is_on,
    is_strict,
    options,
    page_token,
    parsed,
    place,
    scale_of,
)
from console.sandbox.deletion import delete
from console.sandbox.store import now_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.sandbox.access import Access, User
    from console.sandbox.kinds import Key, Raw, Resource
    from console.sandbox.rules import Rules
    from console.sandbox.store import Store

_HEALTH = {"/readyz", "/livez", "/healthz"}
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_MERGE, _JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
_STRATEGIC, _APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"


class Node(Protocol):
    """Where the logs of pods come from, and where commands run in them."""

    async def log(self, request: web.BaseRequest, key: Key) -> web.StreamResponse:
        """Answer `pods/<name>/log`."""

    async def exec(self, request: web.BaseRequest, key: Key) -> web.StreamResponse:
        """Answer `pods/<name>/exec`."""


class Api:
    """Answers requests. `port` is set once the server listens."""

    def __init__(self, store: Store, rules: Rules, access: Access, node: Node) -> None:
        self._store = store
        self._rules = rules
        self._access = access
        self._node = node
        self._applied: dict[tuple[str, str], Raw] = {}  # by uid and field manager
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._answer(request)
        except faults.ApiError as error:
            return json_answer(error.status(), error.code)
        except web.HTTPRequestEntityTooLarge:
            told = faults.too_large(request.client_max_size)
            return json_answer(told.status(), told.code)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._guard(request)
        path = request.path
        if path in _HEALTH:
            return web.Response(text="ok")
        user = self._access.who(request.headers.get("Authorization", ""))
        if request.method == "GET":
            told = discovery.answer(path, self._store.registry, f"127.0.0.1:{self.port}")
            if told is not None:
                return json_answer(told)
        target = self._target(path)
        verb = _verb(request, target)
        self._permit(user, target, verb)
        return await self._carry_out(request, target, verb, user)

    def _guard(self, request: web.BaseRequest) -> None:
        """Pages in a browser must not reach the sandbox, whatever name they found for it."""
        if request.headers.get("Host") not in {
            f"{h}:{self.port}" for h in ("127.0.0.1", "localhost")
        }:
            raise faults.ApiError(403, "Forbidden", "the sandbox answers to 127.0.0.1 only")
        if "Origin" in request.headers:
            raise faults.ApiError(403, "Forbidden", "the sandbox answers no request of a web page")

    def _target(self, path: str) -> Target:
        parts = [part for part in path.split("/") if part]
        match parts:
            case ["api", version, *rest]:
                group = ""
            case ["apis", group, version, *rest]:
                pass
            case _:
                raise faults.no_such_path()
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in {"status", "finalize"}:
            namespace, rest = rest[1], rest[2:]
        if not 1 <= len(rest) <= 3:
            raise faults.no_such_path()
        plural, name, subresource = (*rest, "", "")[:3]
        resource_id = f"{plural}.{group}" if group else plural
        registry = self._store.registry
        if resource_id not in registry or registry[resource_id].version != version:
            raise faults.no_such_path()
        resource = registry[resource_id]
        if resource.namespaced != bool(namespace) and (namespace or name):
            raise faults.no_such_path()
        return Target(resource, namespace, name, subresource)

    def _permit(self, user: User, target: Target, verb: str) -> None:
        resource = target.resource
        if resource.verbs == ("create",):
            return  # anybody may ask for a review
        namespace = target.name if resource.id == "namespaces" else target.namespace
        under = f"/{target.subresource}" if target.subresource else ""
        asked = Asked(verb, resource.group, resource.plural + under, namespace, target.name)
        self._access.check(user, resource, asked)

    async def _carry_out(
        self, request: web.BaseRequest, target: Target, verb: str, user: User
    ) -> web.StreamResponse:
        resource = target.resource
        if resource.verbs == ("create",):
            return json_answer(self._access.review(user, await body(request)), 201)
        if target.subresource == "log" and resource.id == "pods" and verb == "get":
            return await self._node.log(request, target.key)
        if target.subresource == "exec" and resource.id == "pods" and verb == "get":
            return await self._node.exec(request, target.key)
        _check_subresource(target)
        if verb in {"list", "watch"}:
            return await self._list(request, target, verb)
        if verb == "get":
            obj = self._store.get(target.key)
            return form_of(request, resource).one(scale_of(obj) if target.is_scale else obj)
        data = await request.read()
        match verb:
            case "create":
                return self._create(request, target, parsed(data))
            case "update":
                return self._update(request, target, parsed(data))
            case "patch":
                return self._patch(request, target, data)
            case "delete":
                return self._delete(request, target, options(request, data))
            case _:
                return self._delete_collection(request, target, options(request, data))

    # reading

    def _chooses(self, request: web.BaseRequest, resource: Resource) -> Callable[[Raw], bool]:
        by_label = choosing.labels(request.query.get("labelSelector", ""))
        by_field = choosing.fields(request.query.get("fieldSelector", ""), resource.id)
        return lambda obj: by_label(obj) and by_field(obj)

    async def _list(
        self, request: web.BaseRequest, target: Target, verb: str
    ) -> web.StreamResponse:
        chooses = self._chooses(request, target.resource)
        form = form_of(request, target.resource)
        query = request.query
        if verb == "watch":
            wish = Wish(
                form=form,
                namespace=target.namespace,
                chooses=chooses,
                version=query.get("resourceVersion", ""),
                bookmarks=is_on(query.get("allowWatchBookmarks")),
                initial=is_on(query.get("sendInitialEvents")),
                timeout_s=float(query.get("timeoutSeconds") or 1800),
            )
            return await watch(request, self._store, wish)
        found = [o for o in self._store.each(target.resource.id, target.namespace) if chooses(o)]
        limit, token = int(query.get("limit") or 0), query.get("continue", "")
        meta: Raw = {"resourceVersion": str(self._store.version)}
        if token:
            version, start = self._read_token(token)
            meta["resourceVersion"] = str(version)
            found = [obj for obj in found if place(obj) >= start]
        if limit and len(found) > limit:
            meta["continue"] = page_token(meta["resourceVersion"], found[limit])
            meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return form.many(found, meta)

    def _read_token(self, token: str) -> tuple[int, tuple[str, str]]:
        try:
            version, namespace, name = msgspec.json.decode(base64.urlsafe_b64decode(token))
        except ValueError as error:
            raise faults.bad_request("continue key is not valid") from error
        if int(version) < self._store.oldest:
            raise faults.expired(
                "The provided continue parameter is too old to display a consistent list result."
                " You can start a new list without the continue parameter."
            )
        return int(version), (namespace, name)

    # writing

    def _create(self, request: web.BaseRequest, target: Target, obj: Raw) -> web.Response:
        if target.name:
            raise faults.not_allowed(target.resource)
        return self._created(request, target, obj)

    def _created(self, request: web.BaseRequest, target: Target, obj: Raw) -> web.Response:
        resource = target.resource
        obj = self._rules.for_create(resource, obj, target.namespace, strict=is_strict(request))
        if is_dry(request):
            if self._store.peek(resource.key(obj)) is not None:
                raise faults.already_exists(resource, obj["metadata"]["name"])
            meta = {"uid": str(uuid.uuid4()), "creationTimestamp": now_text(), **obj["metadata"]}
            obj = {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                **obj,
                "metadata": meta,
            }
        else:
            obj = self._store.add(resource, obj)
        return form_of(request, resource).one(obj, 201)

    def _update(self, request: web.BaseRequest, target: Target, obj: Raw) -> web.Response:
        before = self._store.get(target.key)
        if target.is_scale:
            return self._rescale(request, target, before, obj)
        if target.subresource == "finalize":
            before["spec"] = obj.get("spec", {})
            return json_answer(self._store.replace(target.key, before))
        return self._updated(request, target, before, obj)

    def _updated(
        self, request: web.BaseRequest, target: Target, before: Raw, obj: Raw
    ) -> web.Response:
        obj = self._rules.for_update(
            target.resource, before, obj, target.subresource, strict=is_strict(request)
        )
        if not is_dry(request):
            obj = self._store.replace(target.key, obj)
        return form_of(request, target.resource).one(obj)

    def _rescale(
        self, request: web.BaseRequest, target: Target, before: Raw, scale: Raw
    ) -> web.Response:
        given = scale.get("metadata", {}).get("resourceVersion")
        if given and given != before["metadata"]["resourceVersion"]:
            raise faults.conflict(target.resource, target.name)
        before["spec"]["replicas"] = scale.get("spec", {}).get("replicas", 0)
        if not is_dry(request):
            before = self._store.replace(target.key, before)
        return json_answer(scale_of(before))

    def _patch(self, request: web.BaseRequest, target: Target, data: bytes) -> web.Response:
        if request.content_type == _APPLY:
            return self._apply(request, target, parsed(data))
        before = self._store.get(target.key)
        shown = scale_of(before) if target.is_scale else before
        patch = msgspec.json.decode(data)
        match request.content_type:
            case "application/merge-patch+json":
                obj = cast("Raw", patches.merge(shown, patch))
            case "application/json-patch+json":
                obj = patches.json_patch(shown, patch)
            case "application/strategic-merge-patch+json" if target.resource.schema is None:
                obj = cast("Raw", patches.strategic(shown, patch))
            case asked:
                raise faults.unsupported_media_type(asked, (_JSON_PATCH, _MERGE, _APPLY))
        if target.is_scale:
            return self._rescale(request, target, before, obj)
        return self._updated(request, target, before, obj)

    def _apply(self, request: web.BaseRequest, target: Target, wanted: Raw) -> web.Response:
        manager = request.query.get("fieldManager", "")
        if not manager:
            raise faults.bad_request("fieldManager is required for apply patch")
        before = self._store.find(target.key)
        if before is None:
            wanted.setdefault("metadata", {}).setdefault("name", target.name)
            answer = self._created(request, target, wanted)
            before = self._store.find(target.key)
        else:
            last = self._applied.get((before["metadata"]["uid"], manager), {})
            obj = cast("Raw", patches.apply(last, wanted, before))
            answer = self._updated(request, target, before, obj)
        if before is not None and not is_dry(request):
            self._applied[before["metadata"]["uid"], manager] = wanted
        return answer

    # deleting

    def _delete(self, request: web.BaseRequest, target: Target, options: Raw) -> web.Response:
        obj = self._store.get(target.key)
        if "All" in options["dryRun"]:
            return form_of(request, target.resource).one(obj)
        kept = delete(self._store, target.key, options)
        if kept is None:
            return gone(target.resource, target.name, obj["metadata"]["uid"])
        return form_of(request, target.resource).one(kept)

    def _delete_collection(
        self, request: web.BaseRequest, target: Target, options: Raw
    ) -> web.Response:
        chooses = self._chooses(request, target.resource)
        found = [o for o in self._store.each(target.resource.id, target.namespace) if chooses(o)]
        for obj in found:
            if "All" not in options["dryRun"]:
                delete(self._store, target.resource.key(obj), options)
        return form_of(request, target.resource).many(found, {"resourceVersion": ""})


def _verb(request: web.BaseRequest, target: Target) -> str:
    verb = _VERBS.get(request.method)
    if verb is None:
        raise faults.not_allowed(target.resource)
    if target.name:
        return verb
    if verb == "get":
        return "watch" if is_on(request.query.get("watch")) else "list"
    if verb == "delete":
        return "deletecollection"
    if verb != "create":
        raise faults.not_allowed(target.resource)
    return verb


def _check_subresource(target: Target) -> None:
    resource, name = target.resource, target.subresource
    served = {"": True, "status": resource.status, "scale": resource.scale}
    served["finalize"] = resource.id == "namespaces"
    if not served.get(name):
        raise faults.no_such_path()
