"""Pods, Deployments, StatefulSets and Jobs, tried through kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.kubernetes import Cluster, Raw, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

VISITS = Path("console/sandbox/manifests/visits.yaml")
pytestmark = pytest.mark.timeout(300)  # real clusters take their time


@pytest.fixture
def home(cluster: Cluster) -> Iterator[str]:
    """A namespace."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def pause(cluster: Cluster) -> str:
    """An image that does nothing until it is told to end."""
    return cluster.need("PAUSE_IMAGE", cluster.pause_image)


def _workload(home: str, kind: str, pause: str, **more: object) -> Raw:
    spec = pod(home, "app", pause)
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "app", "namespace": home},
        "spec": {
            "selector": {"matchLabels": {"app": "app"}},
            "template": {"metadata": spec["metadata"], "spec": spec["spec"]},
            **more,
        },
    }


def _names(cluster: Cluster, home: str) -> set[str]:
    return {item["metadata"]["name"] for item in cluster.read("pods", "-n", home)["items"]}


def test_a_pod_runs_and_ends(cluster: Cluster, home: str, pause: str) -> None:
    cluster.create(pod(home, "one", pause))
    cluster.wait("condition=Ready", "pod/one", "-n", home)
    head, row = cluster.run("get", "pods", "-n", home).splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row.split()[:4] == ["one", "1/1", "Running", "0"]
    found = cluster.read("pods", "-n", home, "--field-selector=status.phase=Running")
    assert len(found["items"]) == 1
    cluster.run("delete", "pod/one", "-n", home)
    assert not _names(cluster, home)


def test_a_deployment_is_rolled_out_scaled_and_deleted(
    cluster: Cluster, home: str, pause: str
) -> None:
    cluster.create(_workload(home, "Deployment", pause, replicas=2))
    cluster.run("rollout", "status", "deploy/app", "-n", home, "--timeout=90s")
    first = _names(cluster, home)
    assert len(first) == 2
    cluster.run("scale", "deploy/app", "-n", home, "--replicas=1")
    cluster.run("rollout", "status", "deploy/app", "-n", home, "--timeout=90s")
    patch = '-p={"spec":{"template":{"metadata":{"annotations":{"turn":"2"}}}}}'
    cluster.run("patch", "deploy/app", "-n", home, patch)
    cluster.run("rollout", "status", "deploy/app", "-n", home, "--timeout=90s")
    new = cluster.read("pods", "-n", home)["items"]
    living = {p["metadata"]["name"] for p in new if "deletionTimestamp" not in p["metadata"]}
    assert not living & first
    owner = new[0]["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"]) == ("ReplicaSet", True)
    cluster.run("delete", "deploy/app", "-n", home, "--cascade=foreground")
    assert not _names(cluster, home)


def test_a_stateful_set_numbers_its_pods(cluster: Cluster, home: str, pause: str) -> None:
    storage = cluster.need("STORAGE_CLASS", cluster.storage_class)
    template = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage,
            "resources": {"requests": {"storage": "16Mi"}},
        },
    }
    more = {"serviceName": "app", "replicas": 2, "volumeClaimTemplates": [template]}
    cluster.create(_workload(home, "StatefulSet", pause, **more))
    cluster.wait("jsonpath={.status.readyReplicas}=2", "sts/app", "-n", home)
    assert _names(cluster, home) == {"app-0", "app-1"}
    cluster.run("scale", "sts/app", "-n", home, "--replicas=1")
    cluster.run("wait", "--for=delete", "pod/app-1", "-n", home, "--timeout=90s")
    claims = {item["metadata"]["name"] for item in cluster.read("pvc", "-n", home)["items"]}
    assert claims == {"data-app-0", "data-app-1"}


def test_a_job_is_stopped_at_its_deadline(cluster: Cluster, home: str, pause: str) -> None:
    job = _workload(home, "Job", pause, activeDeadlineSeconds=1, backoffLimit=0)
    del job["spec"]["selector"]
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    cluster.create(job)
    cluster.wait("condition=Failed", "job/app", "-n", home)
    conditions = cluster.read("job/app", "-n", home)["status"]["conditions"]
    assert {c["reason"] for c in conditions if c["type"] == "Failed"} == {"DeadlineExceeded"}
    cluster.run("delete", "job/app", "-n", home)
    cluster.run("wait", "--for=delete", "pods", "--all", "-n", home, "--timeout=90s")


def test_a_pod_that_asks_for_a_missing_claim_waits(cluster: Cluster, home: str, pause: str) -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]
    cluster.create(pod(home, "one", pause, volumes=volumes))
    cluster.wait("condition=PodScheduled=false", "pod/one", "-n", home)
    events = cluster.run("get", "events", "-n", home)
    assert "FailedScheduling" in events
    assert 'persistentvolumeclaim "none" not found' in events


def test_the_sample_is_applied_seen_and_deleted(cluster: Cluster) -> None:
    if cluster.pause_image != "sandbox.kubehaven.io/pause:1":
        pytest.skip("the sample's image is the sandbox's own: pytest -k 'sample and sandbox'")
    with cluster.namespace() as home:
        cluster.run("apply", "-n", home, "-f", str(VISITS))
        cluster.run("rollout", "status", "deploy/visits", "-n", home, "--timeout=90s")
        assert "unchanged" in cluster.run("apply", "-n", home, "-f", str(VISITS))
        shown = cluster.run("get", "pods,pvc,svc,deploy", "-n", home)
        assert "1/1     Running" in shown
        assert shown.count("Bound") == 2
        watched = cluster.run("get", "pods", "-n", home, "-w", "--request-timeout=1s")
        assert "visits-" in watched
        assert "views so far: 0" in cluster.run("logs", "deploy/visits", "-n", home)
        cluster.run("delete", "-n", home, "-f", str(VISITS))
        assert not _names(cluster, home)
