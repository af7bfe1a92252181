"""A sandbox for each test, and a client that is not ours."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from console.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    """A sandbox that serves."""
    async with Sandbox(tmp_path / "sandbox", name="unit") as serving:
        yield serving


class Client:
    """Plain HTTP with the sandbox's token."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._sandbox = sandbox
        self.session = session

    async def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and JSON of one request."""
        sent = {"Authorization": f"Bearer {self._sandbox.token}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self._sandbox.url}{path}"
        async with self.session.request(method, url, json=body, headers=sent) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    """A client that trusts the sandbox's certificate and nothing else."""
    context = ssl.create_default_context(cadata=sandbox.ca_pem.decode())
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(sandbox, session)
