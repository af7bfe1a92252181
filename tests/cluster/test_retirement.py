"""Local points are freed on a real driver: the snapshot is gone from the storage, and only it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import TYPE_CHECKING

import pytest

from console.engine import RetireRequest, open_engine
from console.engine.errors import NotFound
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model.kinds import RESTORE_POINT_CONTENTS, SNAPSHOT_CONTENTS, SNAPSHOTS
from console.engine.model.names import WORKERS_NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from console.engine import ActionRef, ActionView, Engine
    from console.engine.model.kinds import Kind, RawObject
    from tests.cluster.conftest import RealCluster

IMAGE = "kubehaven.test/busybox:1"


def write_something(cluster: RealCluster, namespace: str) -> None:
    """An application of one claim with a file in it."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "64Mi"}},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "writer",
                    "image": IMAGE,
                    "command": ["sh", "-c", "echo hello > /data/file; sleep 100000"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    for body in (claim, pod):
        cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(body))
    cluster.kubectl(
        "wait", "-n", namespace, "pod/writer", "--for=condition=Ready", "--timeout=180s"
    )


class Desk:
    """An engine that drives the cluster."""

    def __init__(self, engine: Engine, client: KubeClient, cluster: str) -> None:
        self.engine = engine
        self.client = client
        self.cluster = cluster

    async def ended(self, ref: ActionRef) -> ActionView:
        """The action when it has ended well."""
        async with asyncio.timeout(300):
            while True:
                row = await self.engine.actions.show(
                    self.cluster, ref.kind, ref.namespace, ref.name
                )
                if row.phase == "Finished":
                    assert row.outcome == "Complete", row
                    return row
                await asyncio.sleep(0.5)

    async def back_up(self, namespace: str) -> RawObject:
        """A new local point: its content, raw."""
        row = await self.ended(await self.engine.actions.back_up(self.cluster, namespace))
        return await self.client.get(RESTORE_POINT_CONTENTS, row.point)

    async def retire(self, name: str) -> ActionView:
        """Retire a point that is not the last one."""
        request = RetireRequest(points=(name,), allow_many=True)
        return await self.ended(await self.engine.actions.retire(self.cluster, request))

    async def gone(self, kind: Kind, name: str, namespace: str = "") -> None:
        """Wait until an object is gone."""
        with contextlib.suppress(NotFound):
            await self.client.wait_for(kind, name, namespace, lambda _raw: False, timeout_s=120)


def handle_of(content: RawObject) -> str:
    """The snapshot of a local point of one volume."""
    (volume,) = content["status"]["volumes"]
    return str(volume["snapshot"]["handle"])


def snapshots_of(cluster: RealCluster) -> set[str]:
    """The snapshots that the bed's driver keeps."""
    if cluster.bed is None:
        pytest.skip("it looks into the storage of the bed: run make test-cluster")
    return {path.name for path in cluster.bed.storage.glob("hostpath/snaps/*")}


async def test_a_retired_points_snapshot_is_gone_from_the_storage_and_the_other_stays(
    cluster_one: RealCluster, namespace: str, tmp_path: Path
) -> None:
    snapshots_of(cluster_one)
    write_something(cluster_one, namespace)
    name = f"c{uuid.uuid4().hex[:6]}"
    async with (
        open_engine(tmp_path / "home") as engine,
        KubeClient(read_kubeconfig(cluster_one.kubeconfig)) as client,
    ):
        await engine.clusters.add(name, str(cluster_one.kubeconfig))
        plan = await engine.clusters.plan_prepare(name)
        await engine.clusters.prepare(name, plan_hash=plan.hash)
        await engine.clusters.watch(name, take_over=True)
        desk = Desk(engine, client, name)
        first, forgotten, kept = [await desk.back_up(namespace) for _ in range(3)]
        handles = [handle_of(content) for content in (first, forgotten, kept)]
        assert set(handles) <= snapshots_of(cluster_one)

        row = await desk.retire(first["metadata"]["name"])
        assert {(one.kind, one.bytes) for one in row.freed} == {
            ("Manifest", "now"),
            ("VolumeSnapshot", "now"),
        }
        assert not {handles[0]} & snapshots_of(cluster_one)

        # its objects deleted by hand, a snapshot has no name in the cluster any more
        own = forgotten["status"]["volumes"][0]["snapshot"]["name"]
        await client.delete(SNAPSHOTS, own, WORKERS_NAMESPACE)
        await desk.gone(SNAPSHOTS, own, WORKERS_NAMESPACE)
        await client.delete(SNAPSHOT_CONTENTS, own)
        await desk.gone(SNAPSHOT_CONTENTS, own)
        assert handles[1] in snapshots_of(cluster_one)
        await desk.retire(forgotten["metadata"]["name"])
        assert {handles[2]} == set(handles) & snapshots_of(cluster_one)

        shown = await engine.restore_points.list(name, application=namespace)
        assert [(p.name, p.state) for p in shown] == [(kept["metadata"]["name"], "Ready")]
        request = RetireRequest(points=(shown[0].name,), allow_many=True, allow_last=True)
        await desk.ended(await engine.actions.retire(name, request))
        assert not set(handles) & snapshots_of(cluster_one)
