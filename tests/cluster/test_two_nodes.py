"""A second node, in another zone: volumes are filled where their pods can mount them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from console.engine import RestoreRequest, open_engine
from tests.cluster.bed import building
from tests.cluster.bed.machine import load_image
from tests.cluster.bed.nodes import second_node
from tests.cluster.repositories import check_with_restic
from tests.cluster.sample import Bench
from tests.contract.kubernetes import Cluster as Subject
from tests.fakes.weed import running_weed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.bed.places import Cluster, Node
    from tests.cluster.conftest import RealCluster

NAMES = ("pinned", "zoned")
# One pod has to run on the second node, and its volume comes to it; the other one's volume has
# to be in the second zone, and the pod goes there.
APPLICATION = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %(name)s}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: %(storage_class)s
  resources: {requests: {storage: 64Mi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %(name)s}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: %(name)s}}
  template:
    metadata: {labels: {app: %(name)s}}
    spec:
      terminationGracePeriodSeconds: 1
      nodeSelector: %(selector)s
      containers:
      - name: main
        image: kubehaven.test/busybox:1
        imagePullPolicy: IfNotPresent
        command: [httpd, -f, -p, "8080", -h, /data]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: %(name)s}}]
---
apiVersion: v1
kind: Service
metadata: {name: %(name)s}
spec: {selector: {app: %(name)s}, ports: [{port: 80, targetPort: 8080}]}
---
"""
VISITOR = """
apiVersion: v1
kind: Pod
metadata: {name: visitor}
spec:
  terminationGracePeriodSeconds: 1
  nodeSelector: {kubernetes.io/hostname: %s}
  containers:
  - name: main
    image: kubehaven.test/busybox:1
    imagePullPolicy: IfNotPresent
    command: [sleep, "100000"]
"""


@pytest.fixture(scope="module")
def two_nodes(bed_one: Cluster) -> Iterator[Node]:
    """The second node of the first cluster, for the tests of this file."""
    with second_node(bed_one) as node:
        for archive in building.worker_image().glob("*.tar"):
            for machine in (bed_one, node):
                load_image(machine, archive)
        yield node


class Application(NamedTuple):
    """Both workloads, in one namespace."""

    cluster: RealCluster
    namespace: str

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """In its namespace."""
        return self.cluster.kubectl("-n", self.namespace, *words, stdin=stdin)

    def apply(self, node: str) -> None:
        """Make it."""
        pin = json.dumps({"kubernetes.io/hostname": node})
        facts = (("pinned", "kh-csi", pin), ("zoned", "kh-csi-zone-b", "{}"))
        for name, storage_class, selector in facts:
            made = {"name": name, "storage_class": storage_class, "selector": selector}
            self.kubectl("apply", "-f", "-", stdin=APPLICATION % made)

    def write(self, text: str) -> None:
        """Into both volumes."""
        for name in NAMES:
            self._run(name, f"echo {text} > /data/f; sync")

    def read(self) -> list[str]:
        """What stands in both."""
        return [self._run(name, "cat /data/f").strip() for name in NAMES]

    def nodes(self) -> set[str]:
        """Where its pods run."""
        path = "jsonpath={range .items[*]}{.spec.nodeName} {end}"
        return set(self.kubectl("get", "pods", "-l", "app in (pinned, zoned)", "-o", path).split())

    def zones(self) -> list[str]:
        """Where each volume can be mounted."""
        found = []
        for name in NAMES:
            volume = self.kubectl("get", "pvc", name, "-o", "jsonpath={.spec.volumeName}")
            path = (
                "jsonpath={.spec.nodeAffinity.required"
                ".nodeSelectorTerms[*].matchExpressions[*].values[*]}"
            )
            found.append(self.kubectl("get", "pv", volume, "-o", path))
        return found

    def _run(self, name: str, command: str) -> str:
        where = f"deployment/{name}"
        self.kubectl("rollout", "status", where, "--timeout=180s")
        return self.kubectl("exec", where, "--", "sh", "-c", command)


def test_pods_reach_pods_of_the_other_node(
    cluster_one: RealCluster, bed_one: Cluster, two_nodes: Node, namespace: str
) -> None:
    made = Application(cluster_one, namespace)
    made.apply(two_nodes.name)
    made.kubectl("apply", "-f", "-", stdin=VISITOR % bed_one.name)
    made.write("hello")
    made.kubectl("wait", "--for=condition=Ready", "pod/visitor", "--timeout=180s")
    for name in NAMES:
        fetch = ("wget", "-qO-", f"http://{name}.{namespace}.svc.cluster.local/f")
        assert made.kubectl("exec", "visitor", "--", *fetch) == "hello\n"
    made.kubectl("delete", "deployment,pod", "--all", "--timeout=100s")


async def test_volumes_of_the_second_node_are_exported_and_come_back_to_it(
    cluster_one: RealCluster, two_nodes: Node, namespace: str, tmp_path: Path
) -> None:
    made, there = Application(cluster_one, namespace), {two_nodes.name}
    made.apply(two_nodes.name)
    made.write("two")
    assert made.nodes() == there
    cluster, kit = Subject(cluster_one.kubeconfig, "", "", ""), tmp_path / "kit"
    with running_weed(tmp_path, cluster_one.host) as s3:
        bucket = s3.new_bucket()
        async with open_engine(tmp_path / "home") as engine:
            bench = Bench(engine, cluster, s3, tmp_path)
            await bench.prepare()
            await bench.back_up(namespace, await bench.add_location(bucket, kit))
            made.write("four")
            local = await bench.point(namespace, "local")
            exported = await bench.point(namespace, "exported")

            request = RestoreRequest(point=local.name, in_place=True)
            row = await bench.finished(await engine.actions.restore(bench.name, request))
            assert made.read() == ["two", "two"], row
            assert made.nodes() == there
            assert made.zones() == ["zone-b", "zone-b"]
            undo = await engine.actions.undo(bench.name, row.namespace, row.name)
            await bench.finished(undo)
            assert made.read() == ["four", "four"]

            for point in (local, exported):
                other = made._replace(namespace=f"{namespace}-{point.kind}")
                try:
                    await bench.restore(point, other.namespace)
                    assert other.read() == ["two", "two"]
                    assert other.nodes() == there
                    assert other.zones() == ["zone-b", "zone-b"]
                finally:
                    cluster.run("delete", "namespace", other.namespace, "--timeout=100s")
        assert check_with_restic(s3, bucket, kit, tmp_path) == 1
    made.kubectl("delete", "deployment", "--all", "--timeout=100s")
