"""Volumes of many kinds on real storage: what is backed up comes back where it can be used.

What can go wrong with claims and snapshots is in test_bad_volumes.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from console.engine import RestoreRequest
from tests.cluster.bed.processes import wait_until
from tests.cluster.volumes import claim, deployment, driving, with_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.bed.places import Cluster as Bed
    from tests.contract.kubernetes import Cluster

MIB = 1 << 20
BIG = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"}
ZONE = "topology.hostpath.csi.kubehaven.test/zone"


@pytest.fixture(scope="session")
def one(bed_one: Bed) -> Cluster:
    """The bed's cluster: its classes are asked for by name."""
    return with_worker(bed_one)


async def test_a_block_volume_is_backed_up_and_comes_back_larger(
    one: Cluster, namespace: str, tmp_path: Path
) -> None:
    async with driving(one, namespace, tmp_path) as yard:
        raw = claim("raw", "kh-csi", size="8Mi", volumeMode="Block")
        raw["spec"]["accessModes"] = ["ReadWriteOncePod"]
        yard.apply(raw, deployment("raw", block=True))
        yard.ready()
        yard.run_there("dd", "if=/dev/urandom", "of=/dev/raw", "bs=1M", "count=8")
        yard.run_there("sync")
        before = yard.sum_of(8)
        point = await yard.backed_up()
        yard.run_there("dd", "if=/dev/zero", "of=/dev/raw", "bs=1M", "count=8")

        request = RestoreRequest(point=point, target=yard.other, claim_sizes={"raw": "16Mi"})
        row = await yard.restored(request)
        assert row.outcome == "Complete", row
        assert yard.sum_of(8, yard.other) == before
        (volume,) = yard.volumes(yard.other)
        assert volume["spec"]["capacity"]["storage"] == "16Mi"
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        assert yard.run_there("sh", "-c", "wc -c < /dev/raw", where=yard.other) == str(16 * MIB)

        row = await yard.exported(point)
        assert (row.outcome, row.error and row.error.code) == ("Failed", "volume.block"), row

        row = await yard.restored(RestoreRequest(point=point, in_place=True))
        assert row.outcome == "Complete", row
        yard.ready()
        assert yard.sum_of(8) == before
        await yard.nothing_is_left(points=1)


@pytest.fixture
def other_zone(one: Cluster) -> Iterator[None]:
    """A node in another zone, idle, that no machine stands behind: for a while it counts as ready.

    When the cluster has found out, a pod that may run anywhere can only get the real node.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pressures = ("MemoryPressure", "DiskPressure", "PIDPressure")
    states = {"Ready": "True"} | dict.fromkeys(pressures, "False")
    zone = {ZONE: "zone-b", "kubernetes.io/hostname": "elsewhere"}
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "elsewhere", "labels": zone},
        "status": {
            "capacity": BIG,
            "allocatable": BIG,
            "conditions": [
                {
                    "type": state,
                    "status": holds,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
                for state, holds in states.items()
            ],
        },
    }
    driver = {"name": "hostpath.csi.kubehaven.test", "nodeID": "elsewhere", "topologyKeys": [ZONE]}
    csi = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": "elsewhere"},
        "spec": {"drivers": [driver]},
    }
    one.create(node)
    one.create(csi)
    taints = "-o=jsonpath={.spec.taints}"
    wait_until("the node counts", lambda: not one.run("get", "node/elsewhere", taints).strip())
    yield
    one.run("delete", "node/elsewhere", "csinode/elsewhere", "--ignore-not-found")


@pytest.mark.usefixtures("other_zone")
async def test_a_volume_is_filled_where_its_pods_may_run(
    one: Cluster, namespace: str, tmp_path: Path
) -> None:
    """The scheduler would take the idle node in zone-b for a pod that may run anywhere."""
    async with driving(one, namespace, tmp_path) as yard:
        yard.apply(claim("data", "kh-csi"), deployment("data", nodeSelector={ZONE: "zone-a"}))
        yard.ready()
        yard.run_there("sh", "-c", "echo two > /data/f; sync")
        point = await yard.backed_up()
        row = await yard.restored(RestoreRequest(point=point, target=yard.other))
        assert row.outcome == "Complete", row
        assert yard.run_there("cat", "/data/f", where=yard.other) == "two"
        (volume,) = yard.volumes(yard.other)
        (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert [one["values"] for one in term["matchExpressions"]] == [["zone-a"]]
        await yard.nothing_is_left(points=1)


async def test_a_class_that_names_secrets_by_the_claim_blocks_a_restore(
    one: Cluster, namespace: str, tmp_path: Path
) -> None:
    async with driving(one, namespace, tmp_path) as yard:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "storage-key"},
            "stringData": {"key": "open"},
        }
        yard.apply(secret, claim("data", "kh-csi-secret"), deployment("data"))
        yard.ready()
        yard.run_there("sh", "-c", "echo two > /data/f; sync")
        point = await yard.backed_up()
        request = RestoreRequest(point=point, target=yard.other)
        preview = await yard.engine.restore_points.preview(yard.name, request)
        assert [blocker.code for blocker in preview.blockers] == ["restore.templated_class"]
        row = await yard.restored(request)
        assert (row.outcome, row.error and row.error.code) == ("Failed", "restore.blocked")
        mapped = RestoreRequest(
            point=point,
            target=yard.other,
            storage_class_map={"kh-csi-secret": "kh-csi-retain"},
        )
        row = await yard.restored(mapped)
        assert row.outcome == "Complete", row
        assert yard.run_there("cat", "/data/f", where=yard.other) == "two"
        (volume,) = yard.volumes(yard.other)
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        await yard.nothing_is_left(points=1)
