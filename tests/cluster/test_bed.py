"""The test bed itself: pods, volumes and snapshots work, and nothing of it stays."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cluster.bed.clusters import leftovers
from tests.cluster.bed.places import TREE
from tests.cluster.bed.processes import is_alive, wait_until

if TYPE_CHECKING:
    from tests.cluster.bed.guard import Guardian
    from tests.cluster.bed.places import Cluster
    from tests.cluster.conftest import RealCluster

POD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: kubehaven.test/busybox:1
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo before > /data/file; exec sleep 3600"]
    readinessProbe: {exec: {command: [test, -s, /data/file]}, periodSeconds: 1}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""
SNAPSHOT = """
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: moment}
spec: {volumeSnapshotClassName: kh-snap, source: {persistentVolumeClaimName: data}}
"""


def test_a_pod_writes_to_a_volume_that_is_snapshotted(
    cluster_one: RealCluster, namespace: str
) -> None:
    def in_it(*words: str, stdin: str = "") -> str:
        return cluster_one.kubectl("-n", namespace, *words, stdin=stdin)

    in_it("apply", "-f", "-", stdin=POD)
    in_it("wait", "--for=condition=Ready", "pod/writer", "--timeout=180s")
    assert in_it("exec", "writer", "--", "cat", "/data/file") == "before\n"
    in_it("apply", "-f", "-", stdin=SNAPSHOT)
    ready = "--for=jsonpath={.status.readyToUse}=true"
    in_it("wait", ready, "volumesnapshot/moment", "--timeout=120s")
    told = json.loads(in_it("get", "volumesnapshot", "moment", "-o", "json"))
    assert told["status"]["restoreSize"] == "1Gi"


BLOCK = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: raw}
spec:
  accessModes: [ReadWriteOncePod]
  volumeMode: Block
  storageClassName: kh-csi-immediate
  resources: {requests: {storage: 8Mi}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: large}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: kh-csi-small
  resources: {requests: {storage: 2Gi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: kubehaven.test/busybox:1
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo before > /dev/raw; exec sleep 3600"]
    volumeDevices: [{name: data, devicePath: /dev/raw}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: raw}}]
---
apiVersion: v1
kind: Pod
metadata: {name: waiting}
spec:
  containers:
  - name: main
    image: kubehaven.test/busybox:1
    imagePullPolicy: IfNotPresent
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: large}}]
"""
LARGER = '{"spec": {"resources": {"requests": {"storage": "16Mi"}}}}'


def test_a_block_volume_grows_and_a_full_class_gives_none(
    cluster_one: RealCluster, bed_one: Cluster, namespace: str
) -> None:
    def in_it(*words: str, stdin: str = "") -> str:
        return cluster_one.kubectl("-n", namespace, *words, stdin=stdin)

    in_it("apply", "-f", "-", stdin=BLOCK)
    in_it("wait", "--for=condition=Ready", "pod/writer", "--timeout=180s")
    in_it("patch", "pvc", "raw", "--type=merge", "-p", LARGER)
    larger = "--for=jsonpath={.status.capacity.storage}=16Mi"
    in_it("wait", larger, "pvc/raw", "--timeout=60s")
    volume = in_it("get", "pvc", "raw", "-o", "jsonpath={.spec.volumeName}")
    handle = in_it("get", "pv", volume, "-o", "jsonpath={.spec.csi.volumeHandle}")
    kept = bed_one.storage / "hostpath" / "vols" / handle / "block"
    assert kept.stat().st_size == 16 << 20
    in_it("exec", "writer", "--", "sync")
    assert kept.read_bytes()[:7] == b"before\n"

    def events() -> str:
        return in_it("get", "events", "-o", "jsonpath={.items[*].message}")

    wait_until("the class is full", lambda: "1073741824 bytes left" in events())
    assert in_it("get", "pvc", "large", "-o", "jsonpath={.status.phase}") == "Pending"


KILLED = """
import os, signal
from tests.cluster.bed.clusters import up
from tests.cluster.bed.guard import Guardian
from tests.cluster.bed.places import Cluster
with Guardian() as guardian:
    guardian.guard(9)
    up(Cluster(9))
    print(guardian.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_stays_when_its_user_is_killed(guardian: Guardian) -> None:
    """In a process of its own; the clusters of this run are not touched."""
    before = [left for left in leftovers() if "khbed9" in left]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=TREE,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pid = int(killed.stdout)
    wait_until("the guardian's end", lambda: not is_alive(pid), limit_s=120)
    assert [left for left in leftovers() if "khbed9" in left] == before == []
