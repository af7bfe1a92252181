"""List and watch: what ends, breaks or is forgotten on the way."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from console.engine import errors
from console.engine.kube import Changed, KubeClient, Listed, Lost
from console.engine.model.kinds import CONFIG_MAPS
from tests.engine.kube.scripted import (
    Answer,
    Script,
    client_of,
    cut,
    event,
    reply,
    serving,
    status,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from console.engine.kube import Seen

ALL = "GET /api/v1/namespaces/shop/configmaps"


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with serving() as one:
        yield one


@pytest.fixture
async def client(script: Script) -> AsyncIterator[KubeClient]:
    async with client_of(script) as one:
        yield one


def listed(version: str, *names: str) -> web.Response:
    items = [{"metadata": {"name": name, "resourceVersion": version}} for name in names]
    return reply({"metadata": {"resourceVersion": version}, "items": items})


def route(script: Script, lists: list[Answer], watches: list[Answer]) -> None:
    """Lists and watches of one path have answers of their own; after the last watch, silence."""

    async def answer(request: web.Request) -> web.StreamResponse:
        left = watches if request.query.get("watch") else lists
        if not left:
            await asyncio.Event().wait()
        chosen = left.pop(0)
        return chosen if isinstance(chosen, web.StreamResponse) else await chosen(request)

    script.on(ALL, answer)


async def first(client: KubeClient, count: int) -> list[Seen]:
    seen: list[Seen] = []
    async with aclosing(client.follow(CONFIG_MAPS, "shop")) as steps:
        async for step in steps:
            seen.append(step)
            if len(seen) == count:
                break
    return seen


def names(seen: list[Seen]) -> list[str]:
    return [
        f"{step.type[0]}:{step.object['metadata']['name']}"
        for step in seen
        if isinstance(step, Changed)
    ]


async def test_list_then_changes(script: Script, client: KubeClient) -> None:
    changes = stream(
        event("ADDED", "a", "11"),
        event("MODIFIED", "a", "12") + event("DELETED", "a", "13")[:20],
        event("DELETED", "a", "13")[20:],
    )
    route(script, [listed("10", "x")], [changes])
    seen = await first(client, 4)
    assert isinstance(seen[0], Listed)
    assert seen[0].as_of.endswith("Z")
    assert names(seen) == ["A:a", "M:a", "D:a"]
    assert script.asked[1].query["resourceVersion"] == "10"
    assert script.asked[1].query["allowWatchBookmarks"] == "true"


async def test_a_watch_goes_on_from_the_last_bookmark(script: Script, client: KubeClient) -> None:
    ended = stream(event("ADDED", "a", "11"), event("BOOKMARK", "", "50"))
    route(script, [listed("10")], [ended, stream(event("ADDED", "b", "51"))])
    assert names(await first(client, 3)) == ["A:a", "A:b"]
    assert script.asked[2].query["resourceVersion"] == "50"


async def test_a_cut_connection_loses_and_repeats_nothing(
    script: Script, client: KubeClient
) -> None:
    broken = cut(event("ADDED", "a", "11"), event("ADDED", "b", "12")[:-10])
    route(script, [listed("10")], [broken, stream(event("ADDED", "b", "12"))])
    assert names(await first(client, 3)) == ["A:a", "A:b"]
    assert script.asked[2].query["resourceVersion"] == "11"


async def test_410_lists_again(script: Script, client: KubeClient) -> None:
    gone = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).encode()
    for watch in (stream(gone + b"\n"), status(410, "Expired")):
        route(script, [listed("10", "x"), listed("20", "y")], [watch])
        seen = await first(client, 2)
        assert [type(step) for step in seen] == [Listed, Listed]


async def test_an_event_of_two_mebibytes(script: Script, client: KubeClient) -> None:
    big = event("ADDED", "big", "11", data={"blob": "x" * (2 << 20)})
    parts = [big[i : i + 65536] for i in range(0, len(big), 65536)]
    route(script, [listed("10")], [stream(*parts)])
    seen = await first(client, 2)
    assert isinstance(seen[1], Changed)
    assert len(seen[1].object["data"]["blob"]) == 2 << 20


async def test_rubbish_in_a_stream_is_said_and_left_behind(
    script: Script, client: KubeClient
) -> None:
    rubbish = stream(event("ADDED", "a", "11"), b'{"type": "ADDED", "object": [\n')
    route(script, [listed("10"), listed("20", "y")], [rubbish])
    seen = await first(client, 4)
    assert isinstance(seen[2], Lost)
    assert isinstance(seen[2].error, errors.ServerFailed)
    assert isinstance(seen[3], Listed)


async def test_lost_and_back(script: Script, client: KubeClient) -> None:
    route(script, [status(403, "Forbidden", "no list"), listed("10", "x")], [])
    seen = await first(client, 2)
    assert isinstance(seen[0], Lost)
    assert seen[0].error.message == "no list"
    assert 0 < seen[0].retry_in_s < 2
    assert isinstance(seen[1], Listed)


async def test_a_server_that_ends_each_watch_is_not_hammered(
    script: Script, client: KubeClient
) -> None:
    route(script, [listed("10")], [stream() for _ in range(1000)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await first(client, 2)
    assert len(script.asked) < 10


async def test_an_idle_follower_ends_at_once_when_cancelled(
    script: Script, client: KubeClient
) -> None:
    watching = asyncio.Event()

    async def idle(request: web.Request) -> web.StreamResponse:
        watching.set()
        await asyncio.Event().wait()
        return web.Response()

    route(script, [listed("10")], [idle])
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(first(client, 2))
        await watching.wait()
        began = loop.time()
        task.cancel()
    assert loop.time() - began < 0.5


async def test_wait_for(script: Script, client: KubeClient) -> None:
    ready = event("MODIFIED", "one", "12", status={"ready": True})
    route(script, [listed("10", "one")], [stream(event("MODIFIED", "one", "11"), ready)])
    found = await client.wait_for(
        CONFIG_MAPS, "one", "shop", lambda obj: obj.get("status") is not None, timeout_s=5
    )
    assert found["metadata"]["resourceVersion"] == "12"
    assert script.asked[0].query["fieldSelector"] == "metadata.name=one"


async def test_wait_for_says_why_it_gave_up(script: Script, client: KubeClient) -> None:
    route(script, [listed("10", "one")], [])
    with pytest.raises(errors.EngineError) as caught:
        await client.wait_for(CONFIG_MAPS, "one", "shop", lambda _: False, timeout_s=0.2)
    assert caught.value.code == "cluster.timeout"
    assert caught.value.subject == "ConfigMap shop/one"


async def test_wait_for_what_goes_or_may_not_be_seen(script: Script, client: KubeClient) -> None:
    route(script, [listed("10", "one")], [stream(event("DELETED", "one", "11"))])
    with pytest.raises(errors.NotFound):
        await client.wait_for(CONFIG_MAPS, "one", "shop", lambda _: False, timeout_s=5)
    route(script, [listed("10")], [])
    with pytest.raises(errors.NotFound):
        await client.wait_for(CONFIG_MAPS, "one", "shop", lambda _: False, timeout_s=5)
    route(script, [status(403, "Forbidden")], [])
    with pytest.raises(errors.Forbidden):
        await client.wait_for(CONFIG_MAPS, "one", "shop", lambda _: False, timeout_s=5)


async def test_a_silent_watch_is_made_again(
    script: Script, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from console.engine.kube import watching

    monkeypatch.setattr(watching, "IDLE_S", 0.2)
    silent = stream(event("ADDED", "a", "11"), hold=asyncio.Event().wait)
    route(script, [listed("10")], [silent, stream(event("ADDED", "b", "12"))])
    assert names(await first(client, 3)) == ["A:a", "A:b"]
    assert script.asked[2].query["resourceVersion"] == "11"


async def test_a_server_that_goes_away_is_lost_and_found(
    script: Script, client: KubeClient
) -> None:
    down = status(503, "ServiceUnavailable", "etcd is down")
    route(script, [listed("10"), listed("20")], [cut(event("ADDED", "a", "11")), down])
    seen = await first(client, 4)
    assert isinstance(seen[2], Lost)
    assert seen[2].error.message == "etcd is down"
    assert isinstance(seen[3], Listed)
