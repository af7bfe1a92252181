"""Volumes that nothing can snapshot: how they are copied, what is refused, what a twin can't do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.engine.model.intent import NodePathSettings, WorkerSettings
from console.engine.model.views import Blocker
from console.engine.plan.copies import (
    NodePath,
    Twin,
    check_copy,
    check_recorded,
    twin_claim,
    twin_volume,
    without_snapshot,
)
from console.engine.plan.jobs import WorkerRequest, worker_job
from console.engine.plan.snapshots import Origin
from tests.builders.objects import claim, made

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

ORIGIN = Origin(action_uid="a-1", point="visits-1", application="visits")
CSI = {"csi": {"driver": "csi.example.test", "volumeHandle": "v-1", "fsType": "ext4"}}
ON, OFF = NodePathSettings(allowed=True), NodePathSettings()
RWO, RWX = ["ReadWriteOnce"], ["ReadWriteMany"]


def volume(source: dict[str, Any], modes: list[str]) -> RawObject:
    spec = {
        **source,
        "accessModes": modes,
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "plain",
        "claimRef": {"namespace": "visits", "name": "data", "uid": "uid-1"},
        "mountOptions": ["noatime"],
        "nodeAffinity": {"required": {"nodeSelectorTerms": []}},
    }
    annotations = {"pv.kubernetes.io/provisioned-by": "csi.example.test"}
    finalizers = ["external-provisioner.volume.kubernetes.io/finalizer"]
    meta = {"annotations": annotations, "finalizers": finalizers}
    return made("PersistentVolume", "pv-data", namespace="", meta=meta, spec=spec)


def pod(*, phase: str = "Running", node: str = "n1", uses: str = "data") -> RawObject:
    spec = {
        "nodeName": node,
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": uses}}],
    }
    return made("Pod", "web", spec=spec, status={"phase": phase})


@pytest.mark.parametrize(
    ("source", "modes", "pods"),
    [
        (CSI, RWO, []),
        (CSI, RWO, [pod(phase="Succeeded")]),
        (CSI, RWO, [pod(uses="other")]),
        (CSI, RWO, [pod(phase="Pending", node="")]),
        (CSI, RWX, [pod()]),
        (CSI, [*RWO, "ReadOnlyMany"], [pod()]),
        ({"nfs": {"server": "s", "path": "/x"}}, RWO, [pod()]),
        ({"local": {"path": "/x"}}, RWO, [pod()]),
    ],
)
def test_what_may_be_mounted_a_second_time_gets_a_twin(
    source: dict[str, Any], modes: list[str], pods: list[RawObject]
) -> None:
    found = check_copy(claim(), volume(source, modes), pods, node_path=OFF)
    assert isinstance(found, Twin)


@pytest.mark.parametrize(
    ("source", "pods", "settings", "code"),
    [
        (CSI, [pod()], OFF, "copy.node_path_off"),
        (CSI, [pod(phase="Pending")], ON, "copy.pod_starts"),
        ({"hostPath": {"path": "/x"}}, [], ON, "copy.source"),
        ({"rbd": {"image": "x"}}, [pod()], ON, "copy.source"),
        ({}, [], ON, "copy.source"),
    ],
)
def test_what_can_not_be_copied(
    source: dict[str, Any], pods: list[RawObject], settings: NodePathSettings, code: str
) -> None:
    found = check_copy(claim(), volume(source, RWO), pods, node_path=settings)
    assert isinstance(found, Blocker)
    assert (found.code, found.object) == (code, "PersistentVolumeClaim visits/data")
    assert found.hint


def test_a_volume_in_use_is_read_on_its_pods_node_alone() -> None:
    settings = NodePathSettings(allowed=True, kubeletDirectory="/data/kubelet/")
    found = check_copy(claim(), volume(CSI, RWO), [pod(phase="Pending"), pod()], node_path=settings)
    assert isinstance(found, NodePath)
    folder = "/data/kubelet/pods/uid-Pod-web/volumes/kubernetes.io~csi/pv-data/mount"
    assert (found.pod, found.pod_uid, found.path) == ("web", "uid-Pod-web", folder)
    request = WorkerRequest(
        command="backup",
        origin=ORIGIN,
        step="backup",
        subject="data",
        job={},
        node_path=found.path,
        placement=found.placement,
    )
    job = worker_job(request, WorkerSettings(nodeSelector={"only": "backups"}))
    spec = job["spec"]["template"]["spec"]
    assert {"name": "volume", "hostPath": {"path": folder, "type": "Directory"}} in spec["volumes"]
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "volume"]
    assert mount == {"name": "volume", "mountPath": "/kubehaven/volume", "readOnly": True}
    assert "nodeSelector" not in spec
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchFields"][0]["values"] == ["n1"]
    assert spec["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (CSI, {"csi": CSI["csi"] | {"readOnly": True}}),
        ({"nfs": {"server": "s"}}, {"nfs": {"server": "s", "readOnly": True}}),
        ({"local": {"path": "/x"}}, {"local": {"path": "/x"}}),
    ],
)
def test_a_twin_can_be_deleted_without_its_data(
    source: dict[str, Any], wanted: dict[str, Any]
) -> None:
    original = volume(source, RWX)
    before = msgspec.json.encode(original)
    artifact = without_snapshot(claim(modes=("ReadWriteMany",)))
    ours = twin_claim(artifact, Twin(volume=original), origin=ORIGIN)
    twin = twin_volume(artifact, Twin(volume=original), origin=ORIGIN, claim_uid="uid-2")
    assert twin["spec"] == wanted | {
        "accessModes": RWX,
        "capacity": {"storage": "1Gi"},
        "mountOptions": ["noatime"],
        "nodeAffinity": {"required": {"nodeSelectorTerms": []}},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": "kubehaven-workers",
            "name": ours["metadata"]["name"],
            "uid": "uid-2",
        },
    }
    assert "finalizers" not in twin["metadata"]
    assert all("provisioned-by" not in key for key in twin["metadata"]["annotations"])
    assert ours["metadata"]["namespace"] == "kubehaven-workers"
    assert ours["spec"]["volumeName"] == twin["metadata"]["name"]
    assert ours["spec"]["storageClassName"] == ""
    assert msgspec.json.encode(original) == before


@pytest.mark.parametrize(
    ("there", "now", "code"),
    [
        (claim(), "2026-11-24T10:00:00Z", ""),
        (claim(), "2026-11-25T09:00:00Z", ""),
        (claim(), "2026-11-25T09:00:01Z", "copy.too_late"),
        (claim("other"), "2026-11-24T10:00:00Z", "copy.replaced"),
        (None, "2026-11-24T10:00:00Z", "copy.replaced"),
    ],
)
def test_only_the_points_own_claim_is_copied_and_within_a_day(
    there: RawObject | None, now: str, code: str
) -> None:
    found = check_recorded(
        without_snapshot(claim()), there, taken_at="2026-11-24T09:00:00Z", now=now
    )
    assert (found.code if found else "") == code
