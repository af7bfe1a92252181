"""Who is let in, and what a watch or a page from too long ago is told."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from console.sandbox import answers
from console.sandbox.access import Rule
from tests.unit.sandbox.objects import HOME, home

if TYPE_CHECKING:
    from console.sandbox import Sandbox
    from tests.unit.sandbox.conftest import Client

MAPS = "/api/v1/namespaces/home/configmaps"


def _map(sandbox: Sandbox, name: str) -> dict[str, Any]:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}}
    return sandbox.create(obj, HOME)


async def _watch(client: Client, query: str) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {client._sandbox.token}"}
    url = f"{client._sandbox.url}{MAPS}?watch=1&{query}"
    async with client.session.get(url, headers=headers) as answer:
        return [json.loads(line) for line in (await answer.text()).splitlines()]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Host": "rebound.example.com"}, 403),
        ({"Origin": "https://page.example.com"}, 403),
    ],
)
async def test_who_is_let_in(client: Client, headers: dict[str, str], code: int) -> None:
    status, body = await client.send("GET", "/api/v1/namespaces", **headers)
    assert status == code
    if code != 200:
        assert (body["kind"], body["code"]) == ("Status", code)


async def test_it_is_ready_for_everybody(sandbox: Sandbox, client: Client) -> None:
    async with client.session.get(f"{sandbox.url}/readyz") as answer:
        assert (answer.status, await answer.text()) == (200, "ok")


async def test_nobody_believes_another_certificate(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{sandbox.url}/readyz")


async def test_a_user_may_what_the_rules_say(sandbox: Sandbox, client: Client) -> None:
    home(sandbox)
    rules = [Rule(("get", "list"), ("",), ("configmaps",), (HOME,))]
    token = sandbox.access.add("guest", groups=["guests"], rules=rules)
    own = {"Authorization": f"Bearer {token}"}
    assert (await client.send("GET", MAPS, **own))[0] == 200
    status, body = await client.send("POST", MAPS, {"metadata": {"name": "x"}}, **own)
    assert status == 403
    assert body["message"] == (
        'configmaps is forbidden: User "guest" cannot create resource "configmaps"'
        ' in API group "" in the namespace "home"'
    )
    wanted = {"verb": "get", "resource": "configmaps", "namespace": HOME}
    review: dict[str, Any] = {"spec": {"resourceAttributes": wanted}}
    path = "/apis/authorization.k8s.io/v1"
    told = await client.send(
        "POST", f"{path}/selfsubjectaccessreviews", _kind(review, "Self"), **own
    )
    assert told[1]["status"]["allowed"] is True
    review["spec"]["user"] = "guest"
    told = await client.send("POST", f"{path}/subjectaccessreviews", _kind(review, ""))
    assert told[1]["status"]["allowed"] is True
    who = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    told = await client.send("POST", path, who, **own)
    info = told[1]["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("guest", ["guests", "system:authenticated"])


def _kind(review: dict[str, Any], whose: str) -> dict[str, Any]:
    kind = f"{whose}SubjectAccessReview"
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, **review}


async def test_a_watch_from_too_long_ago_ends_with_410(sandbox: Sandbox, client: Client) -> None:
    home(sandbox)
    version = _map(sandbox, "one")["metadata"]["resourceVersion"]
    _map(sandbox, "two")
    events = await _watch(client, f"resourceVersion={version}&timeoutSeconds=0.2")
    assert "two" in {event["object"]["metadata"]["name"] for event in events}
    sandbox.store.compact()
    events = await _watch(client, f"resourceVersion={version}")
    assert [event["type"] for event in events] == ["ERROR"]
    assert (events[0]["object"]["code"], events[0]["object"]["reason"]) == (410, "Expired")


async def test_a_page_from_too_long_ago_is_410(sandbox: Sandbox, client: Client) -> None:
    home(sandbox)
    for name in ("one", "two", "three"):
        _map(sandbox, name)
    _, page = await client.send("GET", f"{MAPS}?limit=1")
    token = page["metadata"]["continue"]
    assert page["metadata"]["remainingItemCount"] >= 2
    sandbox.store.compact()
    _map(sandbox, "four")
    sandbox.store.compact()
    status, body = await client.send("GET", f"{MAPS}?limit=1&continue={token}")
    assert (status, body["reason"]) == (410, "Expired")


async def test_bookmarks_carry_the_version(
    sandbox: Sandbox, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BOOKMARK_S", 0.05)
    home(sandbox)
    await sandbox.until(lambda: len(sandbox.store.each("configmaps", HOME)) == 1)
    query = f"resourceVersion={sandbox.store.version}&timeoutSeconds=0.2&allowWatchBookmarks=true"
    events = await _watch(client, query)
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert events[-1]["object"]["metadata"] == {"resourceVersion": str(sandbox.store.version)}


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", MAPS, {"kind": "Secret", "metadata": {"name": "x"}}, 400),
        ("POST", MAPS, {"metadata": {"name": "x", "namespace": "other"}}, 400),
        ("POST", MAPS, {"metadata": {"name": "x", "resourceVersion": "1"}}, 400),
        ("POST", MAPS, ["x"], 400),
        ("POST", MAPS, {}, 422),
        ("PUT", MAPS, {}, 405),
        ("POST", "/api/v1/namespaces/home/pods", {"metadata": {"name": "x"}}, 422),
        ("GET", f"{MAPS}?continue=x", None, 400),
        ("GET", f"{MAPS}?labelSelector=a%20in", None, 400),
        ("GET", "/api/v2/pods", None, 404),
        ("GET", "/apis/apps/v1/deployments/x", None, 404),
        ("GET", f"{MAPS}/x/nothing", None, 404),
        ("PATCH", f"{MAPS}/one", {}, 415),
    ],
)
async def test_bad_requests(
    sandbox: Sandbox, client: Client, method: str, path: str, body: Any, code: int
) -> None:
    home(sandbox)
    _map(sandbox, "one")
    status, told = await client.send(method, path, body)
    assert (status, told["status"]) == (code, "Failure")


@pytest.mark.parametrize(("size", "code"), [(2**20, 201), (2**20 + 1, 422), (2**22, 413)])
async def test_large_objects(sandbox: Sandbox, client: Client, size: int, code: int) -> None:
    home(sandbox)
    obj = {"metadata": {"name": "x"}, "data": {"a": "x" * size}}
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    body = io.BytesIO(json.dumps(obj).encode())
    async with client.session.post(f"{sandbox.url}{MAPS}", data=body, headers=headers) as answer:
        assert answer.status == code
        assert (await answer.json())["kind"] == ("ConfigMap" if code == 201 else "Status")
