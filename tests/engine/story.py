"""The cast of the engine's tests: a sandbox, an engine on it, a location, and who watches.

Everything is real but the cluster, which is the sandbox: processes, bytes, HTTP,
worker Jobs, repositories on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from console.engine import ActionView, LocationDraft, RestoreRequest
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model.kinds import CLAIMS, NAMESPACES, PODS, SERVICES, RawObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from console.engine import ActionRef, Engine, PointView
    from console.sandbox import Sandbox

CLUSTER = "lab"
LOCATION = "store"


@dataclass
class Stage:
    """One test's world."""

    sandbox: Sandbox
    engine: Engine
    folder: Path

    @property
    def store(self) -> Path:
        """The location's folder."""
        return self.folder / "store"

    @property
    def kit(self) -> Path:
        """The location's recovery kit."""
        return self.folder / "kit.txt"

    async def prepare(self, *, watch: bool = True) -> None:
        """Add the cluster, prepare it, and begin to drive it."""
        clusters = self.engine.clusters
        await clusters.add(CLUSTER, str(self.sandbox.kubeconfig))
        plan = await clusters.plan_prepare(CLUSTER)
        await clusters.prepare(CLUSTER, plan_hash=plan.hash)
        if watch:
            await clusters.watch(CLUSTER)

    async def add_location(self) -> None:
        """A folder as location."""
        draft = LocationDraft(name=LOCATION, folder=str(self.store), recovery_kit=str(self.kit))
        await self.engine.locations.add(CLUSTER, draft)

    async def finished(self, ref: ActionRef, *, within_s: float = 40) -> ActionView:
        """The action when it has ended."""
        return await self.until(
            lambda rows: next(
                (row for row in rows if row.uid == ref.uid and row.phase == "Finished"), None
            ),
            within_s=within_s,
        )

    async def until(
        self,
        wanted: Callable[[tuple[ActionView, ...]], ActionView | None],
        *,
        within_s: float = 40,
    ) -> ActionView:
        """The first action row that is wanted, from the events."""
        rows: dict[str, ActionView] = {}
        async with asyncio.timeout(within_s):
            async with contextlib.aclosing(self.engine.events()) as events:
                async for event in events:
                    for row in getattr(event, "rows", ()) or getattr(event, "upserts", ()):
                        if isinstance(row, ActionView):
                            rows[row.uid] = row
                    found = wanted(tuple(rows.values()))
                    if found is not None:
                        return found
        raise AssertionError("the events ended")

    async def back_up(self, application: str = "visits", *, export: bool = False) -> ActionView:
        """Back an application up, and export it where asked; the last action's row."""
        ref = await self.engine.actions.back_up(
            CLUSTER, application, export_to=LOCATION if export else ""
        )
        row = await self.finished(ref)
        if not export:
            return row
        return await self.until(
            lambda rows: next(
                (
                    r
                    for r in rows
                    if r.kind == "ExportAction" and r.point == row.point and r.phase == "Finished"
                ),
                None,
            )
        )

    async def restore(self, point: str, *, target: str = "") -> ActionView:
        """Restore a point."""
        request = RestoreRequest(point=point, target=target)
        preview = await self.engine.restore_points.preview(CLUSTER, request)
        assert not preview.blockers, preview.blockers
        ref = await self.engine.actions.restore(CLUSTER, request, plan_hash=preview.hash)
        return await self.finished(ref)

    async def points(self) -> tuple[PointView, ...]:
        """All points."""
        return await self.engine.restore_points.list(CLUSTER)

    async def point(self, kind: str) -> PointView:
        """The newest point of a kind."""
        return next(row for row in await self.points() if row.kind == kind)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[KubeClient]:
        """A client of the test's own."""
        async with KubeClient(read_kubeconfig(self.sandbox.kubeconfig)) as client:
            yield client

    async def deploy_stamps(self) -> None:
        """An application of two volumes that stamps both with the time every second."""
        async with self.client() as client:
            await client.create(
                NAMESPACES,
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stamps"}},
            )
            for name in ("one", "two"):
                await client.create(CLAIMS, stamped_claim(name))
            await client.create(PODS, STAMPS_POD)
            await client.wait_for(
                PODS,
                "stamps",
                "stamps",
                lambda raw: raw.get("status", {}).get("phase") == "Running",
                timeout_s=10,
            )
        volumes = self.folder / "sandbox" / "volumes"
        for _ in range(200):
            if len(list(volumes.glob("*/stamp"))) == 2:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the writer stamps nothing")

    def stamp_in(self, handle: str) -> int:
        """The time, in nanoseconds, that stands in a snapshot."""
        return int((self.folder / "sandbox" / "snapshots" / handle / "stamp").read_text())

    async def views(self, namespace: str = "visits", *, open_page: bool = False) -> int:
        """How often the page was opened; with `open_page`, open it first."""
        url = await self.page(namespace)
        async with aiohttp.ClientSession() as session:
            if open_page:
                async with session.get(url) as answer:
                    answer.raise_for_status()
            async with session.get(f"{url.rstrip('/')}/count") as answer:
                found = re.search(r"\d+", await answer.text())
        assert found is not None
        return int(found[0])

    async def page(self, namespace: str = "visits") -> str:
        """Where the sample application's page is, as soon as it answers."""
        async with self.client() as client, asyncio.timeout(15):
            while True:
                service = await client.wait_for(
                    SERVICES,
                    "visits",
                    namespace,
                    lambda raw: bool(_url(raw)),
                    timeout_s=10,
                )
                url = _url(service)
                with contextlib.suppress(aiohttp.ClientError):
                    async with aiohttp.ClientSession() as session, session.get(f"{url}/count"):
                        return url
                await asyncio.sleep(0.05)


STAMPS_NAMESPACE: RawObject = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "stamps"},
}
STAMPS_POD: RawObject = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "stamps", "namespace": "stamps"},
    "spec": {
        "containers": [
            {
                "name": "writer",
                "image": "sandbox.kubehaven.io/writer:1",
                "args": ["/one", "/two"],
                "volumeMounts": [
                    {"name": "one", "mountPath": "/one"},
                    {"name": "two", "mountPath": "/two"},
                ],
            }
        ],
        "volumes": [
            {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in ("one", "two")
        ],
    },
}


def stamped_claim(name: str) -> RawObject:
    """A claim of the stamping application."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "stamps"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "64Mi"}},
        },
    }


def _url(service: dict[str, dict[str, dict[str, str]]]) -> str:
    return service["metadata"].get("annotations", {}).get("sandbox.kubehaven.io/url", "")
