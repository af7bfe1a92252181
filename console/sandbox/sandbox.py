"""A small Kubernetes in one process: everything put together."""

from __future__ import annotations

import asyncio
import base64
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from aiohttp import web

from console.sandbox import furnishing
from console.sandbox.access import EVERYTHING, Access
from console.sandbox.api import Api
from console.sandbox.claims import Claims
from console.sandbox.collector import Collector, Namespaces
from console.sandbox.crds import CustomResources
from console.sandbox.folders import Folders
from console.sandbox.jobs import Jobs
from console.sandbox.kinds import DEPLOYMENTS, NAMESPACES, SERVICES, SNAPSHOT_CLASSES, Key, Registry
from console.sandbox.pods import Pods
from console.sandbox.rules import Rules
from console.sandbox.scheduling import URL, Services
from console.sandbox.snapshots import Snapshots
from console.sandbox.store import Store
from console.sandbox.tasks import Control, Tasks
from console.sandbox.tls import new_identity, write_private
from console.sandbox.workloads import Workloads

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler

    from console.sandbox.kinds import Raw
    from console.sandbox.store import Change

_BODY_LIMIT = 3 * 2**20  # as the real API server's
VISITS = Path(__file__).with_name("manifests") / "visits.yaml"
_OWN = ("volumes", "snapshots", "trash", "pods")


class Sandbox:
    """`async with Sandbox(folder, name="demo") as sandbox`: it serves until the end of the block.

    Its volumes, snapshots and pods are folders under `folder` and go with it.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        self.name = name
        self.folder = folder.resolve()
        self.kubeconfig = self.folder / "kubeconfig"
        self.url = ""
        self.access = Access()
        self.token = self.access.add("sandbox-admin", groups=["system:masters"], rules=[EVERYTHING])
        self.store = Store(Registry())
        self.ca_pem = b""
        self._rules = Rules(self.store)
        self._tasks = Tasks()
        self._runner: web.ServerRunner | None = None
        self._pods: Pods | None = None

    async def __aenter__(self) -> Self:
        self._clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        identity = new_identity(self.folder)
        self.ca_pem = identity.ca_pem
        api = Api(self.store, self._rules, self.access, self._start_controllers())
        server = web.Server(api.handle, request_factory=_request, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=identity.context)
        await site.start()
        api.port = self._runner.addresses[0][1]
        self.url = f"https://127.0.0.1:{api.port}"
        furnishing.furnish(self.store, self._rules)
        await self.until(lambda: SNAPSHOT_CLASSES in self.store.registry)
        furnishing.furnish_snapshot_class(self.store, self._rules)
        self.write_kubeconfig(self.kubeconfig, self.token)
        return self

    def _start_controllers(self) -> Pods:
        control, tasks, store = Control(), self._tasks, self.store
        folders = Folders(self.folder)
        pods = Pods(store, control=control, tasks=tasks, folders=folders, root=self.folder / "pods")
        self._pods = pods
        CustomResources(store, control)
        Collector(store, control)
        Namespaces(store, control, self.ca_pem.decode())
        Claims(store, self._rules, control=control, tasks=tasks, folders=folders, freezer=pods)
        Snapshots(store, control=control, tasks=tasks, folders=folders, freezer=pods)
        Workloads(store, self._rules, control)
        Jobs(store, self._rules, control, tasks)
        Services(store, control)
        tasks.start("control", control.run())
        return pods

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pods is not None:
            await self._pods.end()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._tasks.stop()
        self.kubeconfig.unlink(missing_ok=True)
        self._clear()

    def _clear(self) -> None:
        for name in _OWN:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def write_kubeconfig(self, path: Path, token: str) -> None:
        """Write a kubeconfig for a user's token, readable by its owner only."""
        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca_pem).decode(),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": cluster}],
            "users": [{"name": self.name, "user": {"token": token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.name}}],
            "current-context": self.name,
        }
        write_private(path, yaml.safe_dump(config, sort_keys=False).encode())

    async def until(self, holds: Callable[[], bool], timeout_s: float = 20) -> None:
        """Wait until something holds, looking again after each write; TimeoutError."""
        met = asyncio.Event()

        def hear(_: Change) -> None:
            asyncio.get_running_loop().call_soon(look)

        def look() -> None:
            if holds():
                met.set()

        look()
        end = self.store.listen(hear)
        try:
            await asyncio.wait_for(met.wait(), timeout_s)
        finally:
            end()

    def create(self, obj: Raw, namespace: str = "") -> Raw:
        """Create an object past the HTTP API."""
        resource = self.store.registry.of_kind(obj["apiVersion"], obj["kind"])
        if resource is None:
            raise ValueError(f"the sandbox serves no {obj['kind']} of {obj['apiVersion']}")
        return self.store.add(
            resource, self._rules.for_create(resource, obj, namespace, strict=False)
        )

    async def deploy_visits(self, namespace: str = "visits") -> str:
        """Deploy the sample application; returns its page's URL once it answers."""
        if self.store.peek(Key(NAMESPACES, "", namespace)) is None:
            home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            self.create(home)
        for obj in yaml.safe_load_all(VISITS.read_text()):
            self.create(obj, namespace)
        return await self.visits_url(namespace)

    async def visits_url(self, namespace: str = "visits") -> str:
        """The URL of the sample's page, once it answers; TimeoutError."""
        await self.until(lambda: bool(self._page(namespace)))
        return self._page(namespace)

    def _page(self, namespace: str) -> str:
        deployment = self.store.peek(Key(DEPLOYMENTS, namespace, "visits")) or {}
        service = self.store.peek(Key(SERVICES, namespace, "visits"))
        if service is None or not deployment.get("status", {}).get("readyReplicas"):
            return ""
        return str((service["metadata"].get("annotations") or {}).get(URL, ""))


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request whose body may be as large as for the real API server."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=_BODY_LIMIT
    )
