"""On a real cluster a frozen application thaws when its engine is killed, and on a cancel."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from console.engine import open_engine
from tests.contract.kubernetes import Cluster, pod
from tests.contract.test_hooks import CLUSTER, FREEZE, LONG, cancelled, driver, until_frozen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import RealCluster

BOX = {
    "name": "main",
    "image": "kubehaven.test/busybox:1",
    "imagePullPolicy": "IfNotPresent",
    "command": ["sleep", "1000000"],
    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
}


async def test_killed_then_cancelled(
    cluster_one: RealCluster, namespace: str, tmp_path: Path
) -> None:
    cluster = Cluster(cluster_one.kubeconfig, "", "", "")
    volumes = [{"name": "data", "emptyDir": {}}]
    box = pod(namespace, "box", "", containers=[BOX], volumes=volumes)
    await asyncio.to_thread(cluster.create, box)
    ready = ("wait", "--for=condition=Ready", "pod/box", "-n", namespace, "--timeout=180s")
    await asyncio.to_thread(cluster_one.kubectl, *ready)
    async with open_engine(tmp_path / "home") as engine:
        await engine.clusters.add(CLUSTER, str(cluster.kubeconfig))
        plan = await engine.clusters.plan_prepare(CLUSTER)
        await engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
        ref = await engine.actions.back_up(CLUSTER, namespace, hooks=(FREEZE, LONG))
        async with driver(tmp_path, ref) as process:
            await until_frozen(cluster, namespace, wanted=True)
            process.kill()
            await process.wait()
            await until_frozen(cluster, namespace, wanted=False)
        async with driver(tmp_path, ref):
            await until_frozen(cluster, namespace, wanted=True)  # by the next attempt
            await cancelled(engine, ref)
        await until_frozen(cluster, namespace, wanted=False)
