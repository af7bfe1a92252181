"""The client against a server that answers what it is told to."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from console.engine import errors
from console.engine.kube import KubeClient, Write, connection
from console.engine.model.kinds import CONFIG_MAPS, NAMESPACES, PODS, Kind
from console.engine.model.record import Requester
from tests.engine.kube.scripted import (
    Script,
    access_to,
    client_of,
    cut,
    event,
    reply,
    reset,
    serving,
    status,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ONE = "/api/v1/namespaces/shop/configmaps/one"
ALL = "/api/v1/namespaces/shop/configmaps"
THING = {"metadata": {"name": "one", "namespace": "shop", "resourceVersion": "5"}, "data": {}}


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with serving() as one:
        yield one


@pytest.fixture
async def client(script: Script) -> AsyncIterator[KubeClient]:
    async with client_of(script, token="s3cret") as one:
        yield one


async def test_get_sends_the_token_and_returns_raw_json(script: Script, client: KubeClient) -> None:
    raw = {**THING, "spec": {"future": [1, 2.5, "x", None], "big": 2**60}}
    script.on(f"GET {ONE}", reply(raw))
    assert await client.get(CONFIG_MAPS, "one", "shop") == raw
    assert script.asked[0].header("Authorization") == ["Bearer s3cret"]
    assert script.asked[0].header("User-Agent")[0].startswith("kubehaven/")


async def test_find_is_none_where_there_is_nothing(client: KubeClient) -> None:
    assert await client.find(CONFIG_MAPS, "one", "shop") is None


async def test_a_name_cannot_leave_its_place(script: Script, client: KubeClient) -> None:
    with pytest.raises(errors.NotFound):
        await client.get(CONFIG_MAPS, "../../../secrets?x=y", "shop")
    assert script.asked[0].path.startswith(ALL)
    with pytest.raises(ValueError, match="no name"):
        await client.get(CONFIG_MAPS, "..", "shop")
    with pytest.raises(ValueError, match="needs a namespace"):
        await client.get(CONFIG_MAPS, "one")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(400, "BadRequest", "no"), errors.Invalid),
        (status(401, "Unauthorized"), errors.SignInFailed),
        (status(403, "Forbidden"), errors.Forbidden),
        (status(404, "NotFound"), errors.NotFound),
        (status(409, "Conflict"), errors.Conflict),
        (status(409, "AlreadyExists"), errors.AlreadyExists),
        (status(410, "Expired"), errors.Expired),
        (status(413), errors.Invalid),
        (status(418), errors.ClusterError),
        (status(422, "Invalid"), errors.Invalid),
        (status(429, "TooManyRequests", **{"Retry-After": "0"}), errors.Throttled),
        (status(500), errors.ServerFailed),
        (web.Response(status=502, text="<html>proxy</html>"), errors.ServerFailed),
        (web.Response(status=302, headers={"Location": "/x"}), errors.Unreachable),
    ],
)
async def test_errors_by_status(
    script: Script, client: KubeClient, answer: web.Response, error: type[errors.ClusterError]
) -> None:
    script.on(f"PUT {ONE}", answer)
    with pytest.raises(errors.ClusterError) as caught:
        await client.replace(CONFIG_MAPS, THING)
    assert type(caught.value) is error
    assert caught.value.subject in {"ConfigMap shop/one", ""}
    assert "proxy" not in str(caught.value)


async def test_only_a_status_is_quoted_and_cut(script: Script, client: KubeClient) -> None:
    script.on(f"GET {ONE}", status(403, "Forbidden", "x" * 5000))
    with pytest.raises(errors.Forbidden) as caught:
        await client.get(CONFIG_MAPS, "one", "shop")
    assert caught.value.message == "x" * 256
    script.on(f"GET {ONE}", web.Response(status=403, text="token=s3cret"))
    with pytest.raises(errors.Forbidden) as other:
        await client.get(CONFIG_MAPS, "one", "shop")
    assert "s3cret" not in str(other.value)


async def test_a_post_without_a_reason_exists_already(script: Script, client: KubeClient) -> None:
    script.on(f"POST {ALL}", web.Response(status=409))
    with pytest.raises(errors.AlreadyExists):
        await client.create(CONFIG_MAPS, THING)


async def test_get_is_retried_and_writes_are_not(script: Script, client: KubeClient) -> None:
    script.on(f"GET {ONE}", status(503), reset, reply(THING))
    assert await client.get(CONFIG_MAPS, "one", "shop") == THING
    script.on(f"PUT {ONE}", reset)
    with pytest.raises(errors.Unreachable):
        await client.replace(CONFIG_MAPS, THING)
    assert len(script.requests(f"PUT {ONE}")) == 1
    script.on(f"DELETE {ONE}", status(503))
    with pytest.raises(errors.ServerFailed):
        await client.delete(CONFIG_MAPS, "one", "shop")
    assert len(script.requests(f"DELETE {ONE}")) == 1


async def test_429_is_waited_out_for_any_method(script: Script, client: KubeClient) -> None:
    busy = status(429, **{"Retry-After": "0"})
    script.on(f"POST {ALL}", busy, busy, reply(THING, 201))
    assert await client.create(CONFIG_MAPS, THING) == THING
    script.on(f"POST {ALL}", busy)
    with pytest.raises(errors.Throttled):
        await client.create(CONFIG_MAPS, THING)


async def test_redirects_carry_nothing_away(script: Script, client: KubeClient) -> None:
    async with serving() as other:
        script.on(f"GET {ONE}", web.Response(status=307, headers={"Location": other.base}))
        with pytest.raises(errors.Unreachable, match="elsewhere"):
            await client.get(CONFIG_MAPS, "one", "shop")
        assert other.asked == []
    assert len(script.asked) == 1


async def test_an_answer_that_is_no_json(script: Script, client: KubeClient) -> None:
    script.on(f"GET {ONE}", web.Response(text="<html>login</html>"))
    with pytest.raises(errors.ClusterError) as caught:
        await client.get(CONFIG_MAPS, "one", "shop")
    assert caught.value.code == "cluster.answer"


async def test_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_TRIES", 2)
    async with serving() as gone:
        access = access_to(gone)
    async with KubeClient(access) as client:
        with pytest.raises(errors.Unreachable, match="refused"):
            await client.version()


async def test_pages_fill_in_what_lists_leave_out(script: Script, client: KubeClient) -> None:
    names = [f"n{i}" for i in range(25)]

    async def page(request: web.Request) -> web.StreamResponse:
        begin = int(request.query.get("continue", "0"))
        size = min(int(request.query["limit"]), 10)
        items = [{"metadata": {"name": name}} for name in names[begin : begin + size]]
        after = begin + size
        more = {"continue": str(after)} if after < len(names) else {}
        return reply({"metadata": {"resourceVersion": "7", **more}, "items": items})

    script.on(f"GET {ALL}", page)
    listed = await client.list(CONFIG_MAPS, "shop", labels="a=b", fields="metadata.name!=x")
    assert [one["metadata"]["name"] for one in listed] == names
    assert {(one["apiVersion"], one["kind"]) for one in listed} == {("v1", "ConfigMap")}
    assert script.asked[0].query["labelSelector"] == "a=b"
    assert script.asked[0].query["fieldSelector"] == "metadata.name!=x"
    assert [len(page.items) async for page in client.pages(CONFIG_MAPS, "shop")] == [10, 10, 5]


async def test_a_list_begins_again_when_its_moment_is_forgotten(
    script: Script, client: KubeClient
) -> None:
    first = reply({"metadata": {"resourceVersion": "7", "continue": "c"}, "items": []})
    script.on(f"GET {ALL}", first, status(410, "Expired"), reply({"metadata": {}, "items": None}))
    assert await client.list(CONFIG_MAPS, "shop") == []
    assert len(script.asked) == 3


async def test_writes_say_what_they_mean(script: Script) -> None:
    written: list[Write] = []

    async def note(write: Write) -> None:
        written.append(write)

    for what in (f"POST {ALL}", f"PUT {ONE}/status", f"PATCH {ONE}", f"DELETE {ONE}"):
        script.on(what, reply(THING))
    async with KubeClient(access_to(script), on_write=note) as client:
        await client.create(CONFIG_MAPS, THING)
        await client.create(CONFIG_MAPS, THING, dry_run=True)
        await client.replace(CONFIG_MAPS, THING, subresource="status")
        await client.patch(CONFIG_MAPS, "one", "shop", merge={"data": {"a": None}})
        await client.patch(
            CONFIG_MAPS, "one", "shop", operations=[{"op": "remove", "path": "/data/a"}]
        )
        await client.apply(CONFIG_MAPS, THING, force=True)
        assert await client.delete(
            CONFIG_MAPS, "one", "shop", uid="u", resource_version="5", propagation="Foreground"
        )
    types = [one.header("Content-Type")[0] for one in script.asked]
    assert types == [
        "application/json",
        "application/json",
        "application/json",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/apply-patch+yaml",
        "application/json",
    ]
    assert [one.method for one in written] == ["POST", "PUT", "PATCH", "PATCH", "PATCH", "DELETE"]
    assert {one.name for one in written} == {"one"}
    assert script.asked[1].query == {"fieldManager": "kubehaven", "dryRun": "All"}
    assert script.asked[5].query == {"fieldManager": "kubehaven", "force": "true"}
    assert script.asked[4].json == [{"op": "remove", "path": "/data/a"}]
    assert script.asked[6].json["preconditions"] == {"uid": "u", "resourceVersion": "5"}
    assert script.asked[6].json["propagationPolicy"] == "Foreground"


async def test_delete_of_nothing_and_of_another(script: Script, client: KubeClient) -> None:
    assert not await client.delete(CONFIG_MAPS, "one", "shop")
    script.on(f"DELETE {ONE}", status(409, "Conflict"))
    with pytest.raises(errors.Conflict):
        await client.delete(CONFIG_MAPS, "one", "shop", uid="other")


async def test_impersonation(script: Script) -> None:
    from console.engine.kube.access import Impersonation

    script.on("GET /version", reply({"gitVersion": "v1.30.0"}))
    who = Impersonation(user="ann", groups=("a", "b"), extra=(("x/y", ("1", "2")),))
    async with client_of(script, impersonate=who) as client:
        assert await client.version() == "v1.30.0"
    assert script.asked[0].header("Impersonate-User") == ["ann"]
    assert script.asked[0].header("Impersonate-Group") == ["a", "b"]
    assert script.asked[0].header("Impersonate-Extra-x%2Fy") == ["1", "2"]


async def test_whoami(script: Script, client: KubeClient) -> None:
    assert await client.whoami() == Requester(username="tester", verified=False)
    review = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews"
    user = {"username": "ann", "uid": "1", "groups": ["g"]}
    script.on(review, reply({"status": {"userInfo": user}}, 201))
    who = await client.whoami()
    assert who == Requester(username="ann", uid="1", groups=("g",), verified=True)


async def test_may(script: Script, client: KubeClient) -> None:
    own = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    script.on(own, reply({"status": {"allowed": True}}, 201))
    assert await client.may(None, "create", PODS, "shop")
    assert script.asked[0].json["spec"]["resourceAttributes"]["resource"] == "pods"
    other = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews"
    script.on(other, reply({"status": {"allowed": True, "denied": True}}, 201))
    assert not await client.may(Requester(username="bob", groups=("g",)), "get", NAMESPACES)
    assert script.asked[1].json["spec"]["user"] == "bob"


async def test_server_time(script: Script, client: KubeClient) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    script.on("GET /version", reply({"gitVersion": "v1.30.0"}, Date=date))
    now = await client.server_time()
    assert 0 <= (now - datetime(2015, 10, 21, 7, 28, tzinfo=UTC)).total_seconds() < 5


async def test_logs(script: Script, client: KubeClient) -> None:
    path = "GET /api/v1/namespaces/shop/pods/p/log"
    script.on(path, stream(b"one\ntw", b"o\n\nbad \xff\nlong ", b"x" * 100_000, b"\nhalf"))
    lines = [line async for line in client.logs("shop", "p", tail=5)]
    assert lines[:3] == ["one", "two", "bad �"]
    assert len(lines[3]) == 64 << 10
    assert script.asked[0].query == {"tailLines": "5"}
    script.on(path, status(404))
    with pytest.raises(errors.NotFound):
        _ = [line async for line in client.logs("shop", "p")]


async def test_discovery_with_a_broken_group(script: Script, client: KubeClient) -> None:
    script.on("GET /api", reply({"kind": "APIVersions", "versions": ["v1"]}))
    groups = [
        {
            "name": "apps",
            "versions": [{"version": "v1"}, {"version": "v1beta1"}],
            "preferredVersion": {"version": "v1"},
        },
        {"name": "metrics", "versions": [{"version": "v1"}]},
    ]
    script.on("GET /apis", reply({"kind": "APIGroupList", "groups": groups}))
    pod = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list"]}
    log = {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]}
    script.on("GET /api/v1", reply({"resources": [pod, log]}))
    thing = {"name": "things", "kind": "Thing", "namespaced": False, "verbs": ["list"]}
    script.on("GET /apis/apps/v1", reply({"resources": [thing]}))
    script.on("GET /apis/apps/v1beta1", reply({"resources": [thing]}))
    script.on("GET /apis/metrics/v1", status(503, "ServiceUnavailable", "backend is down"))
    found = await client.discover()
    assert [(one.kind.resource, one.kind.version, one.preferred) for one in found] == [
        ("pods", "v1", True),
        ("things.apps", "v1", True),
        ("things.apps", "v1beta1", False),
    ]
    assert found[0].subresources == ("log",)
    assert not found[1].kind.namespaced
    assert [(one.api_version, one.message) for one in found.broken] == [
        ("metrics/v1", "backend is down")
    ]


async def test_discovery_in_two_requests(script: Script, client: KubeClient) -> None:
    def listed(group: str, resource: str, **more: Any) -> web.Response:
        kind = {"resource": resource, "responseKind": {"kind": "Thing"}, "scope": "Namespaced"}
        version = {"version": "v1", "resources": [kind], **more}
        item = {"metadata": {"name": group}, "versions": [version]}
        return reply({"kind": "APIGroupDiscoveryList", "items": [item]})

    script.on("GET /api", listed("", "pods"))
    script.on("GET /apis", listed("metrics", "things", freshness="Stale"))
    found = await client.discover()
    assert found[0].kind == Kind("", "v1", "pods", "Thing")
    assert [one.api_version for one in found.broken] == ["metrics/v1"]
    assert len(script.asked) == 2


async def test_a_client_shows_no_host_and_no_token(client: KubeClient, script: Script) -> None:
    text = f"{client!r} {access_to(script, token='s3cret')!r} {vars(client)}"
    assert "s3cret" not in text
    assert "127.0.0.1" not in text


async def test_a_cancelled_request_ends_at_once(script: Script, client: KubeClient) -> None:
    asked = asyncio.Event()

    async def never(request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    script.on(f"GET {ONE}", never)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.get(CONFIG_MAPS, "one", "shop"))
        await asked.wait()
        task.cancel()
    assert task.cancelled()


async def test_a_list_of_events_survives_json(script: Script, client: KubeClient) -> None:
    items = [json.loads(event("ADDED", "one", "1"))["object"]]
    script.on(f"GET {ALL}", reply({"metadata": {"resourceVersion": "1"}, "items": items}), cut())
    async with aclosing(client.follow(CONFIG_MAPS, "shop")) as steps:
        first = await anext(steps)
    assert first[0] == items


async def test_a_server_that_is_too_slow(
    script: Script, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 0.2)
    script.on(f"GET {ONE}", never)
    with pytest.raises(errors.Unreachable, match="no answer in time"):
        await client.get(CONFIG_MAPS, "one", "shop")
    assert len(script.asked) == 1


async def test_an_answer_that_breaks_off_is_read_again(script: Script, client: KubeClient) -> None:
    script.on(f"GET {ONE}", cut(b'{"metadata": {'), reply(THING))
    assert await client.get(CONFIG_MAPS, "one", "shop") == THING


async def test_the_name_of_what_is_generated_reaches_the_hook(script: Script) -> None:
    written: list[Write] = []

    async def note(write: Write) -> None:
        written.append(write)

    script.on(f"POST {ALL}", reply({"metadata": {"name": "one-x7f"}}, 201))
    obj = {"metadata": {"generateName": "one-", "namespace": "shop"}}
    async with KubeClient(access_to(script), on_write=note) as client:
        await client.create(CONFIG_MAPS, obj)
    assert written == [Write("POST", ALL, "one-x7f")]
