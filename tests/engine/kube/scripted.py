"""An HTTP server that answers what a test tells it to, over HTTP or TLS, and remembers requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from console.engine.kube import ClusterAccess, KubeClient

if TYPE_CHECKING:
    import ssl

Answer = web.StreamResponse | Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Script:
    """Answers by `METHOD path`, used up one after the other; the last one stays."""

    base: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, what: str, *answers: Answer) -> None:
        self.answers[what] = list(answers)

    def requests(self, what: str) -> list[Asked]:
        return [one for one in self.asked if f"{one.method} {one.path}" == what]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = list(request.headers.items())
        self.asked.append(Asked(request.method, request.path, dict(request.query), headers, body))
        left = self.answers.get(f"{request.method} {request.path}")
        if not left:
            return status(404, "NotFound", "not scripted")
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, web.Response):
            return web.Response(
                status=answer.status,
                body=answer.body,
                headers={k: v for k, v in answer.headers.items() if k != "Content-Length"},
            )
        if isinstance(answer, web.StreamResponse):
            return answer
        return await answer(request)


def reply(value: Any, code: int = 200, **headers: str) -> web.Response:
    return web.Response(
        status=code,
        body=json.dumps(value).encode(),
        headers={"Content-Type": "application/json", **headers},
    )


def status(code: int, reason: str = "", message: str = "", **headers: str) -> web.Response:
    value = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return reply(value, code, **headers)


def stream(*parts: bytes, hold: Callable[[], Awaitable[object]] | None = None) -> Answer:
    """Chunks, then `hold`, then a clean end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        if hold is not None:
            await hold()
        return response

    return answer


def cut(*parts: bytes) -> Answer:
    """Chunks, then the connection breaks."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
        assert request.transport is not None
        request.transport.abort()
        return response

    return answer


async def reset(request: web.Request) -> web.StreamResponse:
    """No answer at all: the connection breaks."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def event(type_: str, name: str, version: str, **more: Any) -> bytes:
    thing = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version},
        **more,
    }
    return json.dumps({"type": type_, "object": thing}).encode() + b"\n"


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Script]:
    script = Script()
    app = web.Application(client_max_size=16 << 20)
    app.router.add_route("*", "/{tail:.*}", script.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    script.base = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield script
    finally:
        await runner.cleanup()


def access_to(script: Script, **more: Any) -> ClusterAccess:
    return ClusterAccess(
        path="/nowhere/config", context="test", user="tester", server=script.base, **more
    )


def client_of(script: Script, **more: Any) -> KubeClient:
    return KubeClient(access_to(script, **more))
