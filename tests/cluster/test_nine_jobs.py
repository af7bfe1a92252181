"""Nine worker pods at once on a real node: slots hold, and each stays within 0.4 GB.

What they take of a core is shown (`-s`) and not judged: on few cores it says how many others
there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.engine import open_engine
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model.kinds import JOBS, PODS
from console.engine.model.names import LABEL_ACTION_UID, WORKERS_NAMESPACE
from tests.cluster.bed import building
from tests.cluster.bed.machine import load_image
from tests.cluster.repositories import check_with_restic
from tests.cluster.sample import PATIENCE_S, Bench
from tests.contract.kubernetes import Cluster as Subject
from tests.fakes.weed import running_weed

if TYPE_CHECKING:
    from console.engine import ActionRef, ActionView
    from console.engine.kube import Write
    from console.engine.model.kinds import Kind, RawObject
    from tests.cluster.bed.places import Cluster
    from tests.cluster.conftest import RealCluster

JOBS_AT_ONCE = 9
VOLUMES = JOBS_AT_ONCE + 1
MIB_EACH = 32
MEMORY_BYTES = 400e6
CGROUPS = Path("/sys/fs/cgroup")
# One application may have all slots, and nine workers have room on two cores.
SETTINGS = """
apiVersion: kubehaven.io/v1alpha1
kind: Settings
metadata: {name: default, namespace: kubehaven}
spec: {slots: {exportsPerAction: 10}, workers: {cpu: 50m}}
"""
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-%d}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: kh-csi-immediate
  resources: {requests: {storage: 64Mi}}
---
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: kubehaven.test/busybox:1
    imagePullPolicy: IfNotPresent
    command:
    - sh
    - -c
    - |
      for volume in /data/*; do
        head -c %d000000 /dev/urandom > $volume/large
        for n in $(seq 200); do echo $n of $volume > $volume/$n; done
      done
      touch /tmp/done; exec sleep 100000
    readinessProbe: {exec: {command: [test, -e, /tmp/done]}, periodSeconds: 1}
    volumeMounts: [%s]
  volumes: [%s]
"""


def application() -> str:
    """A pod that has written to all its volumes when it is Ready."""
    mounts = [f"{{name: data-{n}, mountPath: /data/{n}}}" for n in range(VOLUMES)]
    volumes = [
        f"{{name: data-{n}, persistentVolumeClaim: {{claimName: data-{n}}}}}"
        for n in range(VOLUMES)
    ]
    claims = "".join(CLAIM % n for n in range(VOLUMES))
    return claims + POD % (MIB_EACH, ", ".join(mounts), ", ".join(volumes))


@dataclass
class Usage:
    """What one pod has used, by its control groups."""

    memory: int = 0  # the most that can't be taken from it: usage without inactive files
    killed: int = 0
    cpus: float = 0.0  # CPU seconds in a second, from the first look to the last
    first: tuple[float, float] | None = None  # when it was, and the CPU seconds until then

    def look(self, memory: Path, accounts: Path) -> None:
        """Look again; a group that went away meanwhile changes nothing."""
        try:
            used = int((memory / "memory.usage_in_bytes").read_text())
            stat = dict(line.split() for line in (memory / "memory.stat").read_text().splitlines())
            spent = int((accounts / "cpuacct.usage").read_text()) / 1e9
            killed = [
                int(line.split()[1])
                for line in (memory / "memory.oom_control").read_text().splitlines()
                if line.startswith("oom_kill ")
            ]
        except OSError:
            return
        now = time.monotonic()
        self.first = self.first or (now, spent)
        self.cpus = (spent - self.first[1]) / max(now - self.first[0], 0.1)
        self.memory = max(self.memory, used - int(stat["total_inactive_file"]))
        self.killed = sum(killed)


class Workers:
    """The worker pods of one action."""

    def __init__(self, client: KubeClient, cluster: Cluster, ref: ActionRef) -> None:
        self._client = client
        self._name = cluster.name
        self._labels = f"{LABEL_ACTION_UID}={ref.uid}"
        self.usage: dict[str, Usage] = {}

    async def at_work(self) -> int:
        """How many pods run."""
        pods = await self._list(PODS)
        return sum(pod["status"].get("phase") == "Running" for pod in pods)

    async def jobs(self) -> int:
        """How many Jobs are there, at work or not yet."""
        return len([job for job in await self._list(JOBS) if not _has_ended(job)])

    async def look(self) -> None:
        """Look at the control groups of all pods."""
        for pod in await self._list(PODS):
            uid = pod["metadata"]["uid"]
            found = [
                next(iter((CGROUPS / controller / self._name).glob(f"**/pod{uid}")), None)
                for controller in ("memory", "cpuacct")
            ]
            if found[0] is not None and found[1] is not None:
                self.usage.setdefault(uid, Usage()).look(found[0], found[1])

    async def _list(self, kind: Kind) -> list[RawObject]:
        return await self._client.list(kind, WORKERS_NAMESPACE, labels=self._labels)


def _has_ended(job: RawObject) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(
        one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions
    )


class Held:
    """A server that answers nobody from the second Job on, until it is released.

    So nine workers are at work at the same time however fast or slow the machine is: none ends
    before all have begun.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._jobs = 0

    async def on_write(self, write: Write) -> None:
        """After each write of the engine; the first Job makes the repository."""
        if write.method == "POST" and write.path.endswith(f"/{WORKERS_NAMESPACE}/jobs"):
            self._jobs += 1
            if self._jobs == 2:
                os.kill(self._pid, signal.SIGSTOP)

    def release(self) -> None:
        """Answer again."""
        os.kill(self._pid, signal.SIGCONT)


async def test_nine_volumes_are_exported_at_once_within_what_a_worker_may_take(
    cluster_one: RealCluster, bed_one: Cluster, namespace: str, tmp_path: Path
) -> None:
    def kubectl(*words: str, stdin: str = "") -> str:
        return cluster_one.kubectl("-n", namespace, *words, stdin=stdin)

    kubectl("apply", "-f", "-", stdin=application())
    for archive in building.worker_image().glob("*.tar"):
        load_image(bed_one, archive)
    cluster, kit = Subject(cluster_one.kubeconfig, "", "", ""), tmp_path / "kit"
    kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=180s")
    with running_weed(tmp_path, cluster_one.host) as s3, contextlib.ExitStack() as after:
        bucket, held = s3.new_bucket(), Held(s3.pid)
        after.callback(held.release)
        async with open_engine(tmp_path / "home") as engine:
            bench = Bench(engine, cluster, s3, tmp_path)
            await bench.prepare()
            location = await bench.add_location(bucket, kit)
            await bench.back_up(namespace)
            point = await bench.point(namespace, "local")
        cluster_one.kubectl("apply", "-f", "-", stdin=SETTINGS)
        after.callback(cluster_one.kubectl, "delete", "-f", "-", stdin=SETTINGS)
        async with (
            KubeClient(read_kubeconfig(cluster_one.kubeconfig)) as client,
            open_engine(tmp_path / "home", on_write=held.on_write) as engine,
        ):
            bench.engine = engine
            await engine.clusters.watch(bench.name, take_over=True)
            ref = await engine.actions.export(bench.name, point.name, location=location)
            workers = Workers(client, bed_one, ref)
            async with asyncio.timeout(PATIENCE_S):
                while await workers.at_work() < JOBS_AT_ONCE:
                    assert await workers.jobs() <= JOBS_AT_ONCE
                    await asyncio.sleep(0.2)
            assert await workers.jobs() == JOBS_AT_ONCE
            held.release()
            row = await _watched(bench, ref, workers)
        assert (row.outcome, row.error) == ("Complete", None), row
        assert [volume.state for volume in row.volumes] == ["done"] * VOLUMES
        assert check_with_restic(s3, bucket, kit, tmp_path) == 1
    for used in workers.usage.values():
        sys.stderr.write(f"{used.memory / 1e6:.0f} MB, {used.cpus:.2f} of a core\n")
        assert used.memory <= MEMORY_BYTES
        assert not used.killed


async def _watched(bench: Bench, ref: ActionRef, workers: Workers) -> ActionView:
    """The export when it has ended, its workers looked at all the time."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await workers.look()
            assert await workers.jobs() <= JOBS_AT_ONCE
            row = await bench.engine.actions.show(bench.name, ref.kind, ref.namespace, ref.name)
            if row.phase == "Finished":
                return row
            await asyncio.sleep(0.1)
