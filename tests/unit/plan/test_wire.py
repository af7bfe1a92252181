"""What we build is what the Kubernetes API knows: its own client reads every field of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from console.engine.model.intent import WorkerSettings
from console.engine.model.points import VolumeArtifact
from console.engine.plan.jobs import PackSource, WorkerRequest, job_secret, pack_copy, worker_job
from console.engine.plan.placement import Placement
from console.engine.plan.sanitise import RestoreContext, sanitise
from console.engine.plan.snapshots import Origin, target_claim, work_claim
from tests.builders.objects import claim, made

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

ORIGIN = Origin(action_uid="a-1", point="visits-1", application="visits", attempt=1)
TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
REQUEST = WorkerRequest(
    command="objects",
    origin=ORIGIN,
    step="export",
    subject="data",
    job={"version": 1},
    secrets={"password": b"p"},
    claim="kh-1",
    folder="/srv/backups",
    packs=(PackSource("kh-a", "pack", "1"),),
    placement=Placement(
        node_affinity={
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]}
        }
    ),
)
SETTINGS = WorkerSettings(
    imagePullSecrets=("pull",),
    nodeSelector={"disk": "fast"},
    tolerations=({"key": "backup", "operator": "Exists"},),
    priorityClassName="low",
)
HERE = RestoreContext(source_namespace="visits", target_namespace="visits", action_uid="a-1")
PACK = made("Secret", "kh-pack", namespace="kubehaven", data={"pack": "eA=="})
VOLUME = VolumeArtifact(pvc="data", size=1 << 30, storageClass="standard")


@pytest.mark.parametrize(
    ("model", "obj"),
    [
        ("V1Job", worker_job(REQUEST, SETTINGS)),
        ("V1Secret", job_secret(REQUEST)),
        ("V1Secret", pack_copy(PACK, REQUEST)),
        ("V1PersistentVolumeClaim", work_claim(VOLUME, origin=ORIGIN, step="fill")),
        ("V1PersistentVolumeClaim", target_claim(sanitise(claim(), context=HERE).obj, "pv-1")),
    ],
)
def test_the_kubernetes_client_reads_every_field(model: str, obj: RawObject) -> None:
    from kubernetes.client import ApiClient

    with ApiClient() as client:
        read: Any = client.deserialize(json.dumps(obj), model, "application/json")
        written = client.sanitize_for_serialization(read)
    assert written == json.loads(json.dumps(obj))
