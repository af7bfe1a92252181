"""A server that keeps one Lease as the API does: resourceVersion guards, creation once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.engine.kube.scripted import reply, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from tests.engine.kube.scripted import Script

ALL = "/apis/coordination.k8s.io/v1/namespaces/kubehaven/leases"
ONE = f"{ALL}/kubehaven-engine"


@dataclass
class LeaseStore:
    lease: dict[str, Any] | None = None
    version: int = 0
    down: bool = False
    holders: list[str] = field(default_factory=list)  # as written, in order
    refused: int = 0  # writes while down
    written: asyncio.Event = field(default_factory=asyncio.Event)  # a write was answered

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.written.clear()
                await self.written.wait()

    def install(self, script: Script) -> None:
        script.on(f"GET {ONE}", self.read)
        script.on(f"POST {ALL}", self.create)
        script.on(f"PUT {ONE}", self.replace)

    async def read(self, _: web.Request) -> web.StreamResponse:
        if self.down:
            return status(503)
        return reply(self.lease) if self.lease else status(404, "NotFound")

    async def create(self, request: web.Request) -> web.StreamResponse:
        if self.lease:
            return status(409, "AlreadyExists")
        return self._keep(json.loads(await request.read()))

    async def replace(self, request: web.Request) -> web.StreamResponse:
        self.written.set()
        if self.down:
            self.refused += 1
            return status(503)
        wanted = json.loads(await request.read())
        if wanted["metadata"]["resourceVersion"] != str(self.version):
            return status(409, "Conflict")
        return self._keep(wanted)

    def _keep(self, wanted: dict[str, Any]) -> web.StreamResponse:
        self.version += 1
        wanted["metadata"]["resourceVersion"] = str(self.version)
        self.lease = wanted
        self.holders.append(wanted["spec"]["holderIdentity"])
        return reply(wanted)
