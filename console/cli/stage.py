"""The demo's cluster: a sandbox on a thread of its own, with the sample application in it."""

from __future__ import annotations

import asyncio
import ssl
import threading
import urllib.request
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import aiohttp

from console.sandbox import Sandbox
from console.sandbox.background import SandboxError
from console.sandbox.kinds import NAMESPACES, Key

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

APPLICATION = "visits"
_PATIENCE_S = 60.0


class SandboxStage:
    """Runs until `close`; its methods block, and are called from one thread.

    Attributes:
        page: The URL of the application's page.
    """

    def __init__(self, folder: Path) -> None:
        self.page = ""
        self._sandbox = Sandbox(folder, name="sandbox")
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self._serving: Future[asyncio.AbstractEventLoop] = Future()
        self._ended = asyncio.Event()

    @property
    def kubeconfig(self) -> Path:
        """The way into the cluster."""
        return self._sandbox.kubeconfig

    def open(self) -> None:
        """Start the cluster and deploy the application; returns when its page answers."""
        self._thread.start()
        self._serving.result(_PATIENCE_S)
        self.page = self._await(self._sandbox.deploy_visits())

    def open_page(self) -> None:
        """Open the application's page once, which counts as a view."""
        _fetch(self.page)

    def views(self) -> int:
        """How many views the application has counted; waits until it is ready."""
        self.page = self._await(self._sandbox.visits_url())
        return int(_fetch(f"{self.page.rstrip('/')}/count"))

    def lose_application(self) -> None:
        """Delete the application's namespace, and return when it is gone."""
        self._await(self._delete_namespace())

    def close(self) -> None:
        """End the cluster with its pods and volumes; once is enough."""
        if self._thread.is_alive():
            self._serving.result(_PATIENCE_S).call_soon_threadsafe(self._ended.set)
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            if not self._serving.done():  # why is told by the thread itself
                self._serving.set_exception(SandboxError("the sandbox did not start"))

    async def _serve(self) -> None:
        async with self._sandbox:
            self._serving.set_result(asyncio.get_running_loop())
            await self._ended.wait()

    async def _delete_namespace(self) -> None:
        sandbox = self._sandbox
        url = f"{sandbox.url}/api/v1/namespaces/{APPLICATION}"
        trust = ssl.create_default_context(cadata=sandbox.ca_pem.decode())
        token = {"Authorization": f"Bearer {sandbox.token}"}
        async with (
            aiohttp.ClientSession(headers=token) as client,
            client.delete(url, ssl=trust) as answer,
        ):
            answer.raise_for_status()
        await sandbox.until(lambda: sandbox.store.peek(Key(NAMESPACES, "", APPLICATION)) is None)

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._serving.result()).result(_PATIENCE_S)


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 - http, loopback
        return str(answer.read().decode())
