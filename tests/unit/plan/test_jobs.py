"""Worker Jobs: the right arguments and mounts, few rights, no secret where it can be read."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from console.engine.model.intent import WorkerProxy, WorkerSettings
from console.engine.plan.jobs import (
    DEFAULT_IMAGE,
    Command,
    PackSource,
    WorkerRequest,
    image_of,
    job_secret,
    pack_copy,
    trusting,
    worker_job,
)
from console.engine.plan.placement import placement_of
from console.engine.plan.snapshots import Origin
from tests.builders.objects import deployment, made

ORIGIN = Origin(action_uid="a-1", point="visits-1", application="visits", attempt=1)
SECRETS = {"password": b"hush-hush", "ca.crt": b"PEM"}
COMMANDS: tuple[Command, ...] = get_args(Command)


def request(command: Command = "backup", **more: Any) -> WorkerRequest:
    return WorkerRequest(
        command=command,
        origin=ORIGIN,
        step="export",
        subject="data",
        job={"version": 1, "point": "visits-1"},
        secrets=SECRETS,
        **more,
    )


def pod(asked: WorkerRequest, settings: WorkerSettings | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = worker_job(asked, settings or WorkerSettings())["spec"]["template"][
        "spec"
    ]
    return spec


def test_the_arguments_are_the_contracts() -> None:
    assert pod(request(claim="kh-1"))["containers"][0]["args"] == [
        "worker",
        "backup",
        "--job",
        "/kubehaven/job/job.json",
        "--secrets",
        "/kubehaven/secrets",
        "--termination-log",
        "/dev/termination-log",
        "--volume",
        "/kubehaven/volume",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_path_in_the_arguments_is_mounted(command: Command) -> None:
    asked = request(
        command, claim="kh-1" if command in {"backup", "restore", "place", "own", "probe"} else ""
    )
    container = pod(asked)["containers"][0]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    for argument in container["args"]:
        if argument.startswith("/kubehaven"):
            assert any(argument == path or argument.startswith(f"{path}/") for path in mounts)
    names = [volume["name"] for volume in pod(asked)["volumes"]]
    assert sorted(names) == sorted(mount["name"] for mount in container["volumeMounts"])


def test_a_volume_is_read_only_for_a_backup_alone() -> None:
    expected: dict[Command, bool] = {"backup": True, "restore": False}
    for command, read_only in expected.items():
        spec = pod(request(command, claim="kh-1"))
        (volume,) = [v for v in spec["volumes"] if v["name"] == "volume"]
        (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "volume"]
        assert volume["persistentVolumeClaim"] == {"claimName": "kh-1", "readOnly": read_only}
        assert mount.get("readOnly", False) is read_only


@pytest.mark.parametrize(
    ("command", "folder", "capabilities"),
    [
        ("init", "", None),
        ("verify", "", None),
        ("place", "", None),
        ("objects", "/srv/backups", ["DAC_OVERRIDE"]),
        ("backup", "", ["DAC_OVERRIDE"]),
        ("own", "", ["DAC_OVERRIDE", "CHOWN", "FOWNER", "FSETID", "SETFCAP", "MKNOD"]),
        ("probe", "", ["DAC_OVERRIDE", "CHOWN", "FOWNER", "FSETID", "SETFCAP", "MKNOD"]),
        ("restore", "", ["DAC_OVERRIDE", "CHOWN", "FOWNER", "FSETID", "SETFCAP", "MKNOD"]),
    ],
)
def test_only_the_named_capabilities(
    command: Command, folder: str, capabilities: list[str] | None
) -> None:
    spec = pod(request(command, folder=folder))
    context = spec["containers"][0]["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"]
    assert context["capabilities"].get("add") == capabilities
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False


def test_a_volume_is_placed_without_repository_or_secret() -> None:
    asked = WorkerRequest(
        command="place",
        origin=ORIGIN,
        step="place",
        subject="data",
        job={"version": 1},
        claim="kh-1",
    )
    assert list(job_secret(asked)["data"]) == ["job.json"]
    spec = pod(asked)
    by_name = {volume.pop("name"): volume for volume in spec["volumes"]}
    assert by_name["secrets"] == {"emptyDir": {}}
    claim = {"claimName": "kh-1", "readOnly": False}
    assert by_name["volume"] == {"persistentVolumeClaim": claim}
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "volume"]
    assert mount == {"name": "volume", "mountPath": "/kubehaven/volume", "readOnly": True}
    assert spec["containers"][0]["args"][-2:] == ["--volume", "/kubehaven/volume"]


def test_a_folder_has_the_same_path_in_the_pod() -> None:
    spec = pod(request("init", folder="/srv/backups"))
    (volume,) = [v for v in spec["volumes"] if "hostPath" in v]
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == volume["name"]]
    assert volume["hostPath"]["path"] == mount["mountPath"] == "/srv/backups"


def test_packs_lie_in_one_folder() -> None:
    packs = (PackSource("kh-a", "pack", "1"), PackSource("kh-b", "pack", "2"))
    spec = pod(request("objects", packs=packs))
    (volume,) = [v for v in spec["volumes"] if v["name"] == "packs"]
    assert [s["secret"]["name"] for s in volume["projected"]["sources"]] == ["kh-a", "kh-b"]
    assert volume["projected"]["sources"][1]["secret"]["items"] == [{"key": "pack", "path": "2"}]


def test_a_job_is_retried_by_kubernetes_but_never_beside_itself_or_in_vain() -> None:
    spec = worker_job(request(), WorkerSettings())["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert not {"ttlSecondsAfterFinished", "activeDeadlineSeconds"} & spec.keys()
    assert spec["backoffLimit"] > 0
    ignore, fail = spec["podFailurePolicy"]["rules"]
    assert ignore["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert 0 not in fail["onExitCodes"]["values"]
    assert 1 not in fail["onExitCodes"]["values"]


def test_settings_reach_the_pod() -> None:
    settings = WorkerSettings(
        image="registry.example.test/kubehaven@sha256:1",
        imagePullSecrets=("pull",),
        nodeSelector={"disk": "fast"},
        tolerations=({"key": "backup"},),
        priorityClassName="low",
        cpu="2",
        memory="1Gi",
    )
    spec = pod(request(), settings)
    container = spec["containers"][0]
    assert container["image"] == "registry.example.test/kubehaven@sha256:1"
    assert container["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"memory": "1Gi"},
    }
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["nodeSelector"] == {"disk": "fast"}
    assert spec["tolerations"] == [{"key": "backup"}]
    assert spec["priorityClassName"] == "low"
    assert pod(request())["containers"][0]["image"] == DEFAULT_IMAGE


@pytest.mark.parametrize(
    ("image", "mirrored"),
    [
        ("", f"mirror.example.test/kh/{DEFAULT_IMAGE}"),
        ("quay.example.test/a/b@sha256:1", "mirror.example.test/kh/a/b@sha256:1"),
        ("localhost/a:1", "mirror.example.test/kh/a:1"),
        ("registry:5000/a:1", "mirror.example.test/kh/a:1"),
        ("kubehaven:1", "mirror.example.test/kh/kubehaven:1"),
    ],
)
def test_a_mirror_stands_in_place_of_the_registry(image: str, mirrored: str) -> None:
    assert image_of(WorkerSettings(image=image, mirrorPrefix="mirror.example.test/kh/")) == mirrored
    assert image_of(WorkerSettings(image=image)) == (image or DEFAULT_IMAGE)


def test_a_proxy_is_told_in_both_spellings() -> None:
    proxy = WorkerProxy(https="http://proxy.example.test:3128", noProxy="10.0.0.0/8")
    container = pod(request(), WorkerSettings(proxy=proxy))["containers"][0]
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "HTTPS_PROXY": "http://proxy.example.test:3128",
        "https_proxy": "http://proxy.example.test:3128",
        "NO_PROXY": "10.0.0.0/8",
        "no_proxy": "10.0.0.0/8",
    }
    assert "env" not in pod(request())["containers"][0]


def test_authorities_of_settings_and_location_are_trusted_both() -> None:
    settings = WorkerSettings(caBundle="OTHER\n")
    assert trusting(request(), settings).secrets == {**SECRETS, "ca.crt": b"PEM\nOTHER\n"}
    assert trusting(request(), WorkerSettings()) == request()
    without_store = replace(request("place"), secrets={})
    assert trusting(without_store, settings) == without_store


@pytest.mark.parametrize("command", ["backup", "restore", "objects", "place"])
def test_the_pod_for_openshift_is_as_it_was_reviewed(command: Command) -> None:
    settings = WorkerSettings(
        image="registry.example.test/kubehaven/kubehaven@sha256:1",
        requiredSCC="kubehaven-workers",
        seLinuxType="spc_t",
    )
    claim = "" if command == "objects" else "kh-1"
    made_pod = worker_job(request(command, claim=claim), settings)["spec"]["template"]
    golden = Path(__file__).parents[2] / "data" / "openshift" / f"{command}.json"
    assert made_pod == json.loads(golden.read_text())


def test_secrets_are_in_the_jobs_secret_and_nowhere_else() -> None:
    asked = request()
    secret = job_secret(asked)
    data = {name: base64.b64decode(value) for name, value in secret["data"].items()}
    assert data.pop("job.json") == b'{"point":"visits-1","version":1}'
    assert data == SECRETS
    assert secret["immutable"]
    shown = repr(asked) + json.dumps(worker_job(asked, WorkerSettings()))
    assert "hush" not in shown
    assert base64.b64encode(b"hush-hush").decode() not in shown


def test_job_and_secret_have_one_name_which_is_derived() -> None:
    asked = request()
    names = {worker_job(asked, WorkerSettings())["metadata"]["name"]}
    names.add(job_secret(asked)["metadata"]["name"])
    assert names == {asked.name, ORIGIN.name("export", "data")}


def test_packs_are_copied_for_one_job() -> None:
    pack = made("Secret", "kh-pack", namespace="kubehaven", data={"pack": "eA=="})
    copy = pack_copy(pack, request())
    assert copy["metadata"]["namespace"] == "kubehaven-workers"
    assert copy["data"] == {"pack": "eA=="}
    assert copy["metadata"]["name"] not in {"kh-pack", request().name}


def test_a_volume_is_filled_where_its_pods_may_run() -> None:
    affinity: dict[str, Any] = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
    }
    web = deployment(
        nodeSelector={"zone": "a"},
        affinity={"nodeAffinity": affinity, "podAffinity": {"x": 1}},
        tolerations=[{"key": "t"}],
    )
    found = placement_of("data", [deployment("other", claim="log"), web])
    assert found.node_selector == {"zone": "a"}
    spec = pod(
        request("restore", claim="kh-1", placement=found), WorkerSettings(nodeSelector={"b": "c"})
    )
    assert spec["nodeSelector"] == {"b": "c", "zone": "a"}
    assert spec["affinity"] == {"nodeAffinity": affinity}
    assert spec["tolerations"] == [{"key": "t"}]


def test_claims_of_a_set_are_found_by_their_template() -> None:
    template = {"metadata": {"name": "data"}, "spec": {}}
    body = {"containers": [{"name": "c"}], "nodeSelector": {"zone": "b"}}
    db = made(
        "StatefulSet",
        "db",
        api="apps/v1",
        spec={"volumeClaimTemplates": [template], "template": {"spec": body}},
    )
    assert placement_of("data-db-1", [db]).node_selector == {"zone": "b"}
    assert placement_of("data-db-x", [db]).node_selector == {}


def test_pods_of_schedules_count_too() -> None:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    body = {"containers": [{"name": "c"}], "volumes": volumes, "nodeSelector": {"zone": "c"}}
    template = {"spec": {"template": {"spec": body}}}
    nightly = made("CronJob", "nightly", api="batch/v1", spec={"jobTemplate": template})
    assert placement_of("data", [nightly]).node_selector == {"zone": "c"}


def test_a_block_volume_is_a_device_and_no_mount() -> None:
    asked = WorkerRequest(
        command="place",
        origin=ORIGIN,
        step="place",
        subject="data",
        job={"version": 1},
        claim="kh-1",
        block=True,
    )
    spec = pod(asked)
    container = spec["containers"][0]
    assert container["volumeDevices"] == [{"name": "volume", "devicePath": "/kubehaven/volume"}]
    assert "volume" not in {mount["name"] for mount in container["volumeMounts"]}
    claims = [v["persistentVolumeClaim"] for v in spec["volumes"] if v["name"] == "volume"]
    assert claims == [{"claimName": "kh-1", "readOnly": False}]
