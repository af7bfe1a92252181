"""Somebody else acts while an action runs: it ends with its reason, and nothing is half done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from console.engine import Notice, open_engine
from console.engine.errors import EngineError
from console.engine.kube import Changed, Listed
from console.engine.model.kinds import (
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    RESTORE_POINT_CONTENTS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
    Kind,
)
from console.engine.model.names import LABEL_ACTION_UID, WORKERS_NAMESPACE
from tests.cluster.bed.breaking import killed
from tests.cluster.box import CLUSTER, Box, Desk, desk_at, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from console.engine import ActionRef
    from console.engine.model.kinds import RawObject
    from tests.cluster.bed.places import Cluster


NODES = Kind("", "v1", "nodes", "Node", namespaced=False)


@contextlib.contextmanager
def store_hangs(box: Box) -> Iterator[None]:
    """No worker can end meanwhile."""
    os.kill(box.s3.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(box.s3.pid, signal.SIGCONT)


async def running_worker(desk: Desk, ref: ActionRef) -> RawObject:
    """A pod of an action's worker that runs."""
    labels = f"{LABEL_ACTION_UID}={ref.uid}"

    async def there() -> list[RawObject]:
        pods = await desk.client.list(PODS, WORKERS_NAMESPACE, labels=labels)
        return [pod for pod in pods if pod["status"].get("phase") == "Running"]

    return (await until(there, bool, "a worker runs"))[0]


@pytest.mark.parametrize("how", ["evicted", "deleted"])
async def test_a_workers_pod_goes(box: Box, how: str) -> None:
    """Another takes its place, and the export is whole."""
    async with desk_at(box) as desk:
        backup = await desk.complete(await desk.back_up())
        with store_hangs(box):
            ref = await desk.export(backup)
            pod = (await running_worker(desk, ref))["metadata"]["name"]
            path = f"/api/v1/namespaces/{WORKERS_NAMESPACE}/pods/{pod}"
            if how == "evicted":
                eviction = {
                    "apiVersion": "policy/v1",
                    "kind": "Eviction",
                    "metadata": {"name": pod, "namespace": WORKERS_NAMESPACE},
                    "deleteOptions": {"gracePeriodSeconds": 0},
                }
                given = json.dumps(eviction)
                box.cluster.kubectl("create", f"--raw={path}/eviction", "-f", "-", stdin=given)
            else:
                await desk.client.delete(PODS, pod, WORKERS_NAMESPACE, grace_s=0)
        await desk.complete(ref)
        await desk.nothing_is_left(ref)


async def test_the_node_is_not_ready_for_a_while(box: Box, bed_one: Cluster) -> None:
    """The kubelet is away and its node NotReady while the worker runs; then it goes on."""
    node = bed_one.name
    async with desk_at(box) as desk:
        backup = await desk.complete(await desk.back_up())
        with store_hangs(box):
            ref = await desk.export(backup)
            await running_worker(desk, ref)
            with killed(bed_one, "kubelet"):
                # what the node's controller writes after 50 s of silence
                condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
                patch = json.dumps({"status": {"conditions": [condition]}})
                words = ("patch", "node", node, "--subresource=status", "-p", patch)
                box.cluster.kubectl(*words)

                async def marked() -> bool:
                    there = await desk.client.get(NODES, node)
                    keys = {one["key"] for one in there["spec"].get("taints", ())}
                    return "node.kubernetes.io/unreachable" in keys

                await until(marked, bool, "the node is marked as lost")
                row = await desk.engine.actions.show(CLUSTER, ref.kind, ref.namespace, ref.name)
                assert row.phase == "Running"
        await desk.complete(ref)
        await desk.nothing_is_left(ref)


async def test_the_namespace_is_deleted_during_its_backup(box: Box) -> None:
    """It goes as fast as ever, and half of it is never a point."""
    name = f"{box.namespace}-{uuid.uuid4().hex[:4]}"
    box.cluster.kubectl("create", "namespace", name)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "kh-csi-immediate",
            "resources": {"requests": {"storage": "16Mi"}},
        },
    }
    box.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    bound = ("wait", "-n", name, "pvc/data", "--for=jsonpath={.status.phase}=Bound")
    box.cluster.kubectl(*bound, "--timeout=100s")

    @contextlib.contextmanager
    def deleted() -> Iterator[None]:
        box.cluster.kubectl("delete", "namespace", name, "--wait=false")
        yield

    async with desk_at(box) as desk:
        desk.strike(deleted, at=f"{name}/volumesnapshots", for_s=0)
        ref = await desk.engine.actions.back_up(CLUSTER, name)
        await desk.failed(ref, "backup.terminating")
        labels = f"{LABEL_ACTION_UID}={ref.uid}"
        assert await desk.client.list(RESTORE_POINT_CONTENTS, labels=labels) == []
        await desk.nothing_is_left(ref)

        async def there() -> RawObject | None:
            return await desk.client.find(NAMESPACES, name)

        await until(there, lambda found: found is None, "the namespace is gone")

        async def snapshots() -> list[str]:
            contents = await desk.client.list(SNAPSHOT_CONTENTS)
            return [
                raw["metadata"]["name"]
                for raw in contents
                if raw["spec"]["volumeSnapshotRef"].get("namespace") == name
            ]

        await until(snapshots, lambda names: not names, "its snapshots are gone")
        assert await desk.client.list(SNAPSHOTS, name) == []


async def test_the_application_is_scaled_up_during_the_swap(box: Box) -> None:
    """Its old volume stays, with its own policy, and it runs."""
    before = box.data("old")
    async with desk_at(box) as desk:
        backup = await desk.complete(await desk.back_up())
        box.data("newer")
        claim = box.kubectl("get", "pvc/data", "-o", "jsonpath={.spec.volumeName}")
        async with asyncio.TaskGroup() as group:
            scaler = group.create_task(_keep_scaled_up(desk))
            ref = await desk.restore(backup.point, in_place=True)
            await desk.failed(ref, "swap.scaled_up")
            scaler.cancel()
        assert await asyncio.to_thread(box.data) == "newer"
        assert box.kubectl("get", "pvc/data", "-o", "jsonpath={.spec.volumeName}") == claim
        volume = await desk.client.get(VOLUMES, claim)
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        assert not [n for n in volume["metadata"].get("annotations", {}) if "kubehaven" in n]
        await desk.nothing_is_left(ref)
    assert before == "old"


async def _keep_scaled_up(desk: Desk) -> None:
    """What an operator does that wants its replicas."""
    namespace = desk.box.namespace
    async for change in desk.client.follow(DEPLOYMENTS, namespace):
        seen = change.items if isinstance(change, Listed) else []
        if isinstance(change, Changed):
            seen = [change.object]
        for raw in seen:
            if raw["metadata"]["name"] == "box" and raw["spec"]["replicas"] == 0:
                merge = {"spec": {"replicas": 1}}
                await desk.client.patch(DEPLOYMENTS, "box", namespace, merge=merge)


async def test_the_engines_account_is_taken_away(box: Box, tmp_path: Path) -> None:
    """It says so and stops; another engine ends what it began."""
    account = f"engine-{uuid.uuid4().hex[:6]}"
    kubeconfig = await asyncio.to_thread(_account, box, account, tmp_path)
    revoked, told = [False], asyncio.Event()

    async def on_write(write: Any) -> None:
        if not revoked[0] and "/jobs" in write.path:
            revoked[0] = True
            await asyncio.to_thread(
                box.cluster.kubectl, "-n", "kubehaven", "delete", "serviceaccount", account
            )

    try:
        async with open_engine(tmp_path / "home", on_write=on_write) as engine:
            await engine.clusters.add(CLUSTER, str(kubeconfig))
            await engine.clusters.watch(CLUSTER, take_over=True)
            async with desk_at(box, drives=False) as reader:
                desk = Desk(box, engine, reader.client, reader.tasks)
                backup = await desk.complete(await desk.back_up())
                ref = await desk.export(backup)
                async with asyncio.timeout(120):
                    async for event in engine.events():
                        if isinstance(event, Notice) and event.code == "cluster.sign_in":
                            assert "sign in" in event.hint
                            told.set()
                            break
                rows = await engine.clusters.list()
                assert [(row.engine, row.health) for row in rows] == [("idle", "refused")]
                with pytest.raises(EngineError, match="Unauthorized"):
                    await engine.clusters.plan_prepare(CLUSTER)
        assert told.is_set()
        async with open_engine(box.home, host_kind="cluster") as engine:
            await engine.clusters.watch(CLUSTER, take_over=True)
            async with desk_at(box, drives=False) as reader:
                desk = Desk(box, engine, reader.client, reader.tasks)
                await desk.complete(ref)
                await desk.nothing_is_left(ref)
    finally:
        box.cluster.kubectl("delete", "clusterrolebinding", account)


def _account(box: Box, name: str, folder: Path) -> Path:
    """A kubeconfig of an account that may do everything, for as long as it is there."""
    where = ("-n", "kubehaven", "create")
    box.cluster.kubectl(*where, "serviceaccount", name)
    box.cluster.kubectl(
        *("create", "clusterrolebinding", name, "--clusterrole=cluster-admin"),
        f"--serviceaccount=kubehaven:{name}",
    )
    token = box.cluster.kubectl(*where, "token", name).strip()
    config = yaml.safe_load(box.cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / "account.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path
