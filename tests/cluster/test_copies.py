"""Volumes that nothing can snapshot on a real cluster: in use, not in use, and shared ones."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from console.engine import RestoreRequest, open_engine
from tests.cluster.repositories import check_with_restic
from tests.cluster.sample import PATIENCE_S, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from console.engine import ActionRef, ActionView, Engine
    from tests.cluster.conftest import RealCluster
    from tests.contract.kubernetes import Cluster
    from tests.fakes.weed import S3Server

CLASS = "kh-csi-plain-shared"
SETTINGS = ("settings.kubehaven.io", "default", "-n", "kubehaven")
CLAIMS = ("used", "idle", "shared")
STORAGE = f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {CLASS}}}
provisioner: plain.csi.kubehaven.test
reclaimPolicy: Delete
parameters: {{class: {CLASS}, shared: "true"}}
"""
CLAIM = """
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  accessModes: [{mode}]
  storageClassName: {storage}
  resources: {{requests: {{storage: 64Mi}}}}
"""
POD = """
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: box
    image: kubehaven.test/busybox:1
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "exec sleep 3600"]
    volumeMounts: [{mounts}]
  volumes: [{volumes}]
"""


def pod(name: str, claims: tuple[str, ...]) -> str:
    return POD.format(
        name=name,
        mounts=", ".join(f"{{name: {claim}, mountPath: /{claim}}}" for claim in claims),
        volumes=", ".join(
            f"{{name: {claim}, persistentVolumeClaim: {{claimName: {claim}}}}}" for claim in claims
        ),
    )


APPLICATION = "".join(
    (
        CLAIM.format(name="used", mode="ReadWriteOnce", storage="kh-csi-plain"),
        CLAIM.format(name="idle", mode="ReadWriteOnce", storage="kh-csi-plain"),
        CLAIM.format(name="shared", mode="ReadWriteMany", storage=CLASS),
        pod("user", ("used", "shared")),
        pod("filler", ("idle",)),
    )
)


@pytest.fixture
def plain(
    cluster_one: RealCluster, one: Cluster, bed_one: object, namespace: str
) -> Iterator[Cluster]:
    """The cluster with the application in it; afterwards without what the test allowed."""
    cluster_one.kubectl("apply", "-f", "-", stdin=STORAGE)
    cluster_one.kubectl("apply", "-n", namespace, "-f", "-", stdin=APPLICATION)
    for name in ("user", "filler"):
        one.run("wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=180s")
    for name, claim in (("user", "used"), ("filler", "idle"), ("user", "shared")):
        write = f"mkdir /{claim}/sub; echo {claim} > /{claim}/sub/f; chown -R 123 /{claim}; sync"
        one.run("exec", "-n", namespace, name, "--", "sh", "-c", write)
    one.run("delete", "pod", "filler", "-n", namespace)
    yield one
    forbid = json.dumps({"spec": {"nodePath": None}})
    one.attempt("patch", *SETTINGS, "--type=merge", "-p", forbid)
    one.attempt("delete", "storageclass", CLASS)


def volumes_of(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The claims and their volumes, without what counts or only tells the time."""
    found = {}
    for claim in CLAIMS:
        seen = cluster.read("persistentvolumeclaim", claim, "-n", namespace)
        volume = cluster.read("persistentvolume", seen["spec"]["volumeName"])
        found[claim] = [
            (raw["metadata"]["uid"], raw["spec"], raw["status"]) for raw in (seen, volume)
        ]
    return found


async def ended(engine: Engine, ref: ActionRef) -> ActionView:
    """The action when it has ended, in whatever way."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            where = (ref.kind, ref.namespace, ref.name)
            row = await engine.actions.show(ref.cluster, *where)
            if row.phase == "Finished":
                return row
            await asyncio.sleep(0.3)


async def test_volumes_without_snapshots_are_copied_and_come_back(
    cluster_one: RealCluster,
    plain: Cluster,
    namespace: str,
    reachable_s3: S3Server,
    tmp_path: Path,
) -> None:
    bucket, kit, target = reachable_s3.new_bucket(), tmp_path / "kit", f"{namespace}-copy"
    before = volumes_of(plain, namespace)
    started = plain.read("pod", "user", "-n", namespace)["status"]
    async with open_engine(tmp_path / "home") as engine:
        bench = Bench(engine, plain, reachable_s3, tmp_path)
        await bench.prepare()
        location = await bench.add_location(bucket, kit)
        refused = await ended(engine, await engine.actions.back_up(bench.name, namespace))
        assert (refused.outcome, refused.error and refused.error.code) == ("Failed", "cut.refused")
        assert [(one.code, one.object) for one in refused.failures] == [
            ("copy.node_path_off", f"PersistentVolumeClaim {namespace}/used")
        ]
        clusters = engine.clusters
        plan = await clusters.plan_prepare(bench.name, allow_node_path=True)
        assert [row.name for row in plan.objects if row.verb == "update"] == [
            "kubehaven-workers",
            "default",
        ]
        await clusters.prepare(bench.name, plan_hash=plan.hash, allow_node_path=True)
    assert cluster_one.bed is not None
    kubelet = {"spec": {"nodePath": {"kubeletDirectory": f"{cluster_one.bed.folder}/kubelet"}}}
    plain.run("patch", *SETTINGS, "--type=merge", "-p", json.dumps(kubelet))

    async with open_engine(tmp_path / "home") as engine:  # settings are read when one begins
        bench.engine = engine
        await engine.clusters.watch(bench.name, take_over=True)
        again = await engine.clusters.plan_prepare(bench.name)
        assert {row.verb for row in again.objects} == {"keep"}, "what was allowed stays so"
        backup = await ended(engine, await engine.actions.back_up(bench.name, namespace))
        assert backup.outcome == "Partial", backup
        assert {one.code for one in backup.failures} == {"claim.copied_by_export"}
        local = await bench.point(namespace, "local")
        export = await engine.actions.export(bench.name, local.name, location=location)
        done = await ended(engine, export)
        assert done.outcome == "Complete", done
        nothing_of_ours_is_left(plain)
        assert volumes_of(plain, namespace) == before
        assert plain.read("pod", "user", "-n", namespace)["status"] == started
        point = await bench.point(namespace, "exported")
        assert all(one.copied_at and not one.crash_consistent for one in point.volumes)
        try:
            request = RestoreRequest(point=point.name, target=target)
            restored = await ended(engine, await engine.actions.restore(bench.name, request))
            assert restored.outcome == "Complete", restored
            cluster_one.kubectl("apply", "-n", target, "-f", "-", stdin=pod("reader", CLAIMS))
            ready = ("--for=condition=Ready", "--timeout=180s")
            plain.run("wait", "-n", target, "pod/reader", *ready)
            for claim in CLAIMS:
                look = f"cat /{claim}/sub/f; stat -c %u /{claim}/sub/f"
                said = plain.run("exec", "-n", target, "reader", "--", "sh", "-c", look)
                assert said.split() == [claim, "123"]
        finally:
            plain.attempt("delete", "namespace", target, "--wait=false")
        nothing_of_ours_is_left(plain)
    assert volumes_of(plain, namespace) == before
    assert check_with_restic(reachable_s3, bucket, kit, tmp_path) == 1


def nothing_of_ours_is_left(cluster: Cluster) -> None:
    """No Job, pod, claim, Secret or twin of ours is there any more."""
    for kind in ("jobs", "pods", "persistentvolumeclaims", "secrets"):
        assert cluster.read(kind, "-n", "kubehaven-workers")["items"] == []
    twins = cluster.read("persistentvolumes", "-l", "kubehaven.io/role=twin")
    assert twins["items"] == []
