"""Claims, volumes and snapshots: what the engine builds on, tried through kubectl."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.contract.kubernetes import Cluster, Raw, claim, pod

if TYPE_CHECKING:
    from collections.abc import Iterator

_SNAPSHOT_API = "snapshot.storage.k8s.io/v1"
pytestmark = pytest.mark.timeout(300)  # real clusters take their time


@pytest.fixture
def home(cluster: Cluster) -> Iterator[str]:
    """A namespace."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def storage(cluster: Cluster) -> str:
    """A storage class that binds at once."""
    return cluster.need("STORAGE_CLASS", cluster.storage_class)


@pytest.fixture
def snapshot_class(cluster: Cluster) -> str:
    """A snapshot class for it, policy Delete."""
    return cluster.need("SNAPSHOT_CLASS", cluster.snapshot_class)


def _phase(cluster: Cluster, what: str, phase: str, *where: str) -> None:
    cluster.wait(f"jsonpath={{.status.phase}}={phase}", what, *where)


def _bound(cluster: Cluster, home: str, name: str, storage: str, **more: object) -> Raw:
    cluster.create(claim(home, name, storage, **more))
    _phase(cluster, f"pvc/{name}", "Bound", "-n", home)
    return cluster.read(f"pvc/{name}", "-n", home)


def _patch(cluster: Cluster, what: str, patch: Raw, *where: str) -> None:
    cluster.run("patch", what, *where, "--type=merge", f"-p={json.dumps(patch)}")


def _policy(cluster: Cluster, volume: str, policy: str) -> None:
    _patch(cluster, f"pv/{volume}", {"spec": {"persistentVolumeReclaimPolicy": policy}})


def _gone(cluster: Cluster, what: str, *where: str) -> None:
    cluster.run("wait", "--for=delete", what, *where, "--timeout=90s")


def _snapshot(home: str, name: str, source: Raw, snapshot_class: str) -> Raw:
    spec: Raw = {"source": source, "volumeSnapshotClassName": snapshot_class}
    return {
        "apiVersion": _SNAPSHOT_API,
        "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": home},
        "spec": spec,
    }


def _ready(cluster: Cluster, home: str, name: str) -> tuple[Raw, Raw]:
    """A snapshot that is ready, and its content."""
    cluster.wait("jsonpath={.status.readyToUse}=true", f"vs/{name}", "-n", home)
    snapshot = cluster.read(f"vs/{name}", "-n", home)
    return snapshot, cluster.read(f"vsc/{snapshot['status']['boundVolumeSnapshotContentName']}")


def test_a_claim_gets_a_volume_of_its_own(cluster: Cluster, home: str, storage: str) -> None:
    found = _bound(cluster, home, "one", storage)
    volume = cluster.read(f"pv/{found['spec']['volumeName']}")
    assert found["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    assert found["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert "kubernetes.io/pv-protection" in volume["metadata"]["finalizers"]
    assert volume["spec"]["claimRef"]["uid"] == found["metadata"]["uid"]
    assert volume["status"]["phase"] == "Bound"
    told = cluster.refused(
        "patch", "pvc/one", "-n", home, "--type=merge", '-p={"spec":{"accessModes":["x"]}}'
    )
    assert "is immutable after creation" in told
    cluster.run("delete", "pvc/one", "-n", home)
    _gone(cluster, f"pv/{volume['metadata']['name']}")


def test_a_claim_in_use_stays(cluster: Cluster, home: str, storage: str) -> None:
    image = cluster.need("PAUSE_IMAGE", cluster.pause_image)
    _bound(cluster, home, "one", storage)
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "one"}}]
    cluster.create(pod(home, "user", image, volumes=volumes))
    cluster.wait("condition=Ready", "pod/user", "-n", home)
    cluster.run("delete", "pvc/one", "-n", home, "--wait=false")
    assert cluster.read("pvc/one", "-n", home)["metadata"]["deletionTimestamp"]
    cluster.run("delete", "pod/user", "-n", home)
    _gone(cluster, "pvc/one", "-n", home)


def test_a_volume_is_handed_over_while_it_is_bound(
    cluster: Cluster, home: str, storage: str
) -> None:
    """One patch of claimRef moves it; the first claim is Lost and deleting it frees nothing."""
    name = _bound(cluster, home, "first", storage)["spec"]["volumeName"]
    _policy(cluster, name, "Retain")
    target = cluster.create(claim(home, "target", storage, volumeName=name))
    meta = {"uid": target["metadata"]["uid"], "name": "target"}
    version = {"resourceVersion": target["metadata"]["resourceVersion"]}
    _patch(cluster, f"pv/{name}", {"spec": {"claimRef": {**meta, **version}}})
    _phase(cluster, "pvc/target", "Bound", "-n", home)
    _phase(cluster, "pvc/first", "Lost", "-n", home)
    cluster.run("delete", "pvc/first", "-n", home)
    assert cluster.read(f"pv/{name}")["status"]["phase"] == "Bound"
    _policy(cluster, name, "Delete")
    assert cluster.read("pvc/target", "-n", home)["status"]["phase"] == "Bound"


def test_a_released_volume_is_bound_again(cluster: Cluster, home: str, storage: str) -> None:
    """Retain keeps it; without uid and resourceVersion in claimRef it is there for a claim."""
    name = _bound(cluster, home, "first", storage)["spec"]["volumeName"]
    _policy(cluster, name, "Retain")
    cluster.run("delete", "pvc/first", "-n", home)
    _phase(cluster, f"pv/{name}", "Released")
    ref = {"namespace": home, "name": "second", "uid": None, "resourceVersion": None}
    _patch(cluster, f"pv/{name}", {"spec": {"claimRef": ref}})
    _phase(cluster, f"pv/{name}", "Available")
    found = _bound(cluster, home, "second", storage, volumeName=name)
    assert found["spec"]["volumeName"] == name
    _phase(cluster, f"pv/{name}", "Bound")
    _policy(cluster, name, "Delete")


def test_a_claim_for_a_volume_of_another_waits(cluster: Cluster, home: str, storage: str) -> None:
    name = _bound(cluster, home, "first", storage)["spec"]["volumeName"]
    cluster.create(claim(home, "second", storage, volumeName=name))
    about = "--field-selector=involvedObject.name=second"
    cluster.wait("jsonpath={.reason}=FailedBinding", "events", "-n", home, about)
    assert cluster.read("pvc/second", "-n", home)["status"]["phase"] == "Pending"


def test_a_volume_is_cloned(cluster: Cluster, home: str, storage: str) -> None:
    _bound(cluster, home, "first", storage)
    source = {"kind": "PersistentVolumeClaim", "name": "first"}
    found = _bound(cluster, home, "copy", storage, dataSource=source)
    assert found["spec"]["dataSourceRef"]["name"] == "first"


def test_a_snapshot_becomes_a_volume(
    cluster: Cluster, home: str, storage: str, snapshot_class: str
) -> None:
    _bound(cluster, home, "first", storage)
    source = {"persistentVolumeClaimName": "first"}
    cluster.create(_snapshot(home, "snap", source, snapshot_class))
    snapshot, content = _ready(cluster, home, "snap")
    assert content["spec"]["volumeSnapshotRef"]["uid"] == snapshot["metadata"]["uid"]
    assert content["spec"]["sourceVolumeMode"] == "Filesystem"
    assert content["status"]["snapshotHandle"]
    assert isinstance(content["status"]["creationTime"], int)
    assert snapshot["status"]["creationTime"].endswith("Z")
    origin = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "snap"}
    _bound(cluster, home, "again", storage, dataSource=origin)
    cluster.run("delete", "vs/snap", "-n", home)
    _gone(cluster, f"vsc/{content['metadata']['name']}")


def test_a_snapshot_moves_to_another_namespace(
    cluster: Cluster, home: str, storage: str, snapshot_class: str
) -> None:
    """Adoption: a static pair elsewhere, then the first pair goes and the data stays."""
    _bound(cluster, home, "first", storage)
    source = {"persistentVolumeClaimName": "first"}
    cluster.create(_snapshot(home, "snap", source, snapshot_class))
    _, content = _ready(cluster, home, "snap")
    first = f"vsc/{content['metadata']['name']}"
    _patch(cluster, first, {"spec": {"deletionPolicy": "Retain"}})
    with cluster.namespace() as other:
        own = f"contract-{uuid.uuid4().hex[:8]}"
        static = {
            "apiVersion": _SNAPSHOT_API,
            "kind": "VolumeSnapshotContent",
            "metadata": {"name": own},
            "spec": {
                "deletionPolicy": "Retain",
                "driver": content["spec"]["driver"],
                "source": {"snapshotHandle": content["status"]["snapshotHandle"]},
                "sourceVolumeMode": "Filesystem",
                "volumeSnapshotClassName": snapshot_class,
                "volumeSnapshotRef": {"name": "moved", "namespace": other},
            },
        }
        cluster.create(static)
        by_hand = {"volumeSnapshotContentName": own}
        cluster.create(_snapshot(other, "moved", by_hand, snapshot_class))
        moved, _ = _ready(cluster, other, "moved")
        assert moved["status"]["restoreSize"]
        cluster.run("delete", "vs/snap", "-n", home)
        assert cluster.read(first)["metadata"]["name"]
        cluster.run("delete", first)
        origin = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "moved"}
        _bound(cluster, other, "again", storage, dataSource=origin)
        _patch(cluster, f"vsc/{own}", {"spec": {"deletionPolicy": "Delete"}})
        cluster.run("delete", "vs/moved", "-n", other)
        _gone(cluster, f"vsc/{own}")


def test_a_content_stays_as_long_as_its_snapshot(
    cluster: Cluster, home: str, storage: str, snapshot_class: str
) -> None:
    _bound(cluster, home, "first", storage)
    source = {"persistentVolumeClaimName": "first"}
    cluster.create(_snapshot(home, "snap", source, snapshot_class))
    _, content = _ready(cluster, home, "snap")
    name = f"vsc/{content['metadata']['name']}"
    cluster.run("delete", name, "--wait=false")
    assert cluster.read(name)["metadata"]["deletionTimestamp"]
    cluster.run("delete", "vs/snap", "-n", home)
    _gone(cluster, name)
