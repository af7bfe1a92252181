"""A restore in place and its undo on a real cluster: the data, the policies, and the downtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine import RestoreRequest, open_engine

if TYPE_CHECKING:
    from pathlib import Path

    from console.engine import ActionRef, ActionView, Engine
    from tests.cluster.conftest import RealCluster

CLUSTER = "real"
DOWNTIME_S = 30.0  # 3 s where nothing else runs; a loaded machine must not make it fail
FREE = '{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}'
APPLICATION = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: kh-csi-immediate
  resources: {requests: {storage: 1Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: kubehaven.test/busybox:1
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "exec sleep 3600"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


async def finished(engine: Engine, ref: ActionRef) -> ActionView:
    """The action when it has ended."""
    async for event in engine.events():
        for row in (*getattr(event, "rows", ()), *getattr(event, "upserts", ())):
            if getattr(row, "uid", "") == ref.uid and row.phase == "Finished":
                found: ActionView = row
                return found
    raise AssertionError("the events ended")


async def test_in_place_and_undo(cluster_one: RealCluster, namespace: str, tmp_path: Path) -> None:
    def kubectl(*words: str, stdin: str = "") -> str:
        return cluster_one.kubectl("-n", namespace, *words, stdin=stdin)

    def data(write: str = "") -> str:
        kubectl("rollout", "status", "deployment/web", "--timeout=180s")
        command = f"echo {write} > /data/f; sync; cat /data/f" if write else "cat /data/f"
        return kubectl("exec", "deployment/web", "--", "sh", "-c", command).strip()

    def policy(volume: str) -> str:
        path = "jsonpath={.spec.persistentVolumeReclaimPolicy} {.status.phase}"
        return kubectl("get", "persistentvolume", volume, "-o", path)

    kubectl("apply", "-f", "-", stdin=APPLICATION)
    assert data("two") == "two"
    async with open_engine(tmp_path / "home") as engine:
        await engine.clusters.add(CLUSTER, str(cluster_one.kubeconfig))
        plan = await engine.clusters.plan_prepare(CLUSTER)
        await engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
        await engine.clusters.watch(CLUSTER, take_over=True)
        backup = await finished(engine, await engine.actions.back_up(CLUSTER, namespace))
        assert backup.outcome == "Complete", backup
        assert data("four") == "four"

        request = RestoreRequest(point=backup.point, in_place=True)
        row = await finished(engine, await engine.actions.restore(CLUSTER, request))
        assert row.outcome == "Complete", row
        assert row.swap is not None
        (volume,) = row.swap.volumes
        assert data() == "two"
        assert policy(volume.old) == "Retain Released"
        assert policy(volume.new) == "Delete Bound"

        undo = await finished(engine, await engine.actions.undo(CLUSTER, row.namespace, row.name))
        assert undo.outcome == "Complete", undo
        assert data() == "four"
        assert policy(volume.old) == "Delete Bound"
        assert policy(volume.new) == "Retain Released"
        assert undo.swap is not None
        for swap in (row.swap, undo.swap):
            assert 0 < swap.downtimeSeconds <= DOWNTIME_S
        # the test's own: nobody will undo the undo
        kubectl("patch", "persistentvolume", volume.new, "--type=merge", "-p", FREE)
