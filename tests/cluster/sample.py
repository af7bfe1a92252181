"""The sample application on a real cluster, and an engine that works on it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from console.engine import ActionView, LocationDraft, RestoreRequest
from tests.cluster.bed import building
from tests.cluster.bed.machine import load_image
from tests.cluster.bed.scc import LABEL, NAME, UID_RANGE
from tests.cluster.repositories import remember
from tests.contract.kubernetes import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.engine import ActionRef, Engine, PointView
    from tests.cluster.conftest import RealCluster
    from tests.fakes.weed import S3Server

SHOP = Path(__file__).with_name("shop.yaml")
OPENSHIFT = Path(__file__).with_name("openshift.yaml")
SOCKET = "/var/lib/pgsql/data/userdata"
PATIENCE_S = 300.0
LOCATION = "bucket"


def stocked(cluster: RealCluster) -> Cluster:
    """The cluster with the sample's and the worker's images, as kubectl sees it.

    Somebody's own cluster must have them already.
    """
    if cluster.bed is not None:
        for folder in (
            building.worker_image(),
            building.postgres_image(),
            building.django_image(),
        ):
            for archive in folder.glob("*.tar"):
                load_image(cluster.bed, archive)
    return Cluster(cluster.kubeconfig, pause_image="", storage_class="", snapshot_class="")


def with_workers(cluster: RealCluster) -> None:
    """Give the cluster the worker's image; somebody's own must have it already."""
    if cluster.bed is not None:
        for archive in building.worker_image().glob("*.tar"):
            load_image(cluster.bed, archive)


@dataclass
class Shop:
    """The sample application in one namespace."""

    cluster: Cluster
    namespace: str

    def ready(self) -> None:
        """Wait until it serves."""
        for name in ("postgresql", "django"):
            self.cluster.run(
                *("rollout", "status", f"deploy/{name}", "-n", self.namespace, "--timeout=100s")
            )

    def open_page(self) -> None:
        """Open the page once, through the API server."""
        path = f"/api/v1/namespaces/{self.namespace}/services/django:80/proxy/"
        self.cluster.run("get", "--raw", path)

    def views(self) -> int:
        """How often the page was opened."""
        return int(self.sql("select count(*) from shop_pageview", "shop"))

    def sql(self, statement: str, database: str = "postgres") -> str:
        """The database's answer."""
        return self.run_there("psql", "-h", SOCKET, "-U", "postgres", database, "-tAc", statement)

    def run_there(self, *command: str) -> str:
        """A command beside the database."""
        where = ("exec", "-n", self.namespace, "deploy/postgresql", "--")
        return self.cluster.run(*where, *command).strip()


def restrict(cluster: Cluster, namespace: str, uid_range: str) -> None:
    """Make a namespace what OpenShift makes of a project: it has its range of users.

    The label puts it under the double of restricted-v2, where that stands.
    """
    cluster.run("annotate", "namespace", namespace, f"{UID_RANGE}={uid_range}")
    cluster.run("label", "namespace", namespace, f"{LABEL}={NAME}")


@contextlib.contextmanager
def shop(cluster: Cluster, uid_range: str = "") -> Iterator[Shop]:
    """The sample application in a namespace of its own, which may have a range of users."""
    with cluster.namespace() as namespace:
        if uid_range:
            restrict(cluster, namespace, uid_range)
        cluster.run("apply", "-n", namespace, "-f", str(SHOP))
        made = Shop(cluster, namespace)
        made.ready()
        yield made


@dataclass
class Bench:
    """An engine that drives one cluster."""

    engine: Engine
    cluster: Cluster
    s3: S3Server
    folder: Path
    name: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:6]}")

    async def prepare(self) -> None:
        """Add the cluster, prepare it, drive it."""
        clusters = self.engine.clusters
        await clusters.add(self.name, str(self.cluster.kubeconfig))
        plan = await clusters.plan_prepare(self.name)
        await clusters.prepare(self.name, plan_hash=plan.hash)
        await clusters.watch(self.name, take_over=True)

    async def add_location(self, bucket: str, kit: Path, *, known: bool = False) -> str:
        """The bucket as a location; its name. A known kit joins what is there."""
        keys, credentials = self.folder / "keys.ini", self.s3.credentials
        keys.write_text(
            f"[default]\naws_access_key_id={credentials.access_key_id}\n"
            f"aws_secret_access_key={credentials.secret_access_key}\n"
        )
        name = f"{LOCATION}-{uuid.uuid4().hex[:6]}"
        remember(self.s3, bucket, kit)
        draft = LocationDraft(
            name=name,
            bucket=bucket,
            endpoint=self.s3.endpoint,
            region="us-east-1",
            credentials_file=str(keys),
            recovery_kit="" if known else str(kit),
            location_key_file=str(kit) if known else "",
        )
        await self.engine.locations.add(self.name, draft)
        return name

    async def back_up(self, namespace: str, location: str = "") -> ActionView:
        """Back an application up and export it where asked; the last action's row."""
        ref = await self.engine.actions.back_up(self.name, namespace, export_to=location)
        row = await self.finished(ref)
        assert row.outcome == "Complete", row
        if not location:
            return row
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for one in await self.engine.actions.list(self.name):
                    if one.kind == "ExportAction" and one.point == row.point:
                        if one.phase == "Finished":
                            assert one.outcome == "Complete", one
                            return one
                        return await self._complete(one)
                await asyncio.sleep(0.5)

    async def _complete(self, row: ActionView) -> ActionView:
        async with asyncio.timeout(PATIENCE_S):
            while row.phase != "Finished":
                await asyncio.sleep(0.5)
                where = (row.kind, row.namespace, row.name)
                row = await self.engine.actions.show(self.name, *where)
        assert row.outcome == "Complete", row
        return row

    async def finished(self, ref: ActionRef) -> ActionView:
        """The action when it has ended."""
        row = await self.engine.actions.show(self.name, ref.kind, ref.namespace, ref.name)
        return await self._complete(row)

    async def restore(
        self,
        point: PointView,
        target: str = "",
        *,
        owners: dict[str, int] | None = None,
        in_place: bool = False,
    ) -> ActionView:
        """Restore a point as its preview says."""
        request = RestoreRequest(
            point=point.name, target=target, owner_map=owners or {}, in_place=in_place
        )
        preview = await self.engine.restore_points.preview(self.name, request)
        assert not preview.blockers, preview.blockers
        ref = await self.engine.actions.restore(self.name, request, plan_hash=preview.hash)
        return await self.finished(ref)

    async def undo(self, row: ActionView) -> ActionView:
        """Undo a restore in place."""
        ref = await self.engine.actions.undo(self.name, row.namespace, row.name)
        return await self.finished(ref)

    async def point(self, namespace: str, kind: str) -> PointView:
        """The newest point of a kind."""
        rows = await self.engine.restore_points.list(self.name, application=namespace)
        return next(row for row in rows if row.kind == kind)
