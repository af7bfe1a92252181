"""What a restore changes in objects: a table per kind, and what holds for all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from console.engine.plan.rules.network import LAST_APPLIED, without_node_ports
from console.engine.plan.sanitise import RestoreContext, sanitise
from tests.builders.objects import claim, deployment, made, namespace, service

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

HERE = RestoreContext(source_namespace="visits", target_namespace="visits", action_uid="a-1")
AWAY = RestoreContext(
    source_namespace="visits",
    target_namespace="copy",
    action_uid="a-1",
    storage_class_map={"standard": "fast", "fast": "slow", "": "plain"},
)


def clean(obj: RawObject, context: RestoreContext = HERE) -> RawObject:
    return sanitise(obj, context=context).obj


def notes(obj: RawObject) -> dict[str, str]:
    return {
        key: value
        for key, value in obj["metadata"].get("annotations", {}).items()
        if not key.startswith("kubehaven.io/")
    }


def test_only_what_somebody_wrote_stays_in_the_metadata() -> None:
    obj = made(
        "Widget",
        "w",
        api="example.test/v1",
        owner=("example.test/v1", "Parent", "p"),
        meta={
            "labels": {"app": "w"},
            "annotations": {"note": "keep"},
            "finalizers": ["example.test/clean", "foregroundDeletion"],
            "generation": 7,
            "selfLink": "/x",
            "generateName": "w-",
            "deletionTimestamp": "2026-11-24T10:00:00Z",
            "deletionGracePeriodSeconds": 0,
        },
        spec={"deep": {"er": [1, {"x": None}]}},
        status={"ready": True},
    )
    found = sanitise(obj, context=HERE)
    assert found.obj == {
        "apiVersion": "example.test/v1",
        "kind": "Widget",
        "metadata": {
            "name": "w",
            "namespace": "visits",
            "labels": {"app": "w"},
            "annotations": {
                "note": "keep",
                "kubehaven.io/restoredBy": "a-1",
                "kubehaven.io/sourceUID": "uid-Widget-w",
            },
            "finalizers": ["example.test/clean"],
        },
        "spec": {"deep": {"er": [1, {"x": None}]}},
    }
    told = "; ".join(found.changes)
    for word in ("uid", "managedFields", "status", "ownerReferences", "foregroundDeletion"):
        assert word in told


def test_the_stamp_of_an_earlier_restore_is_not_taken_along() -> None:
    obj = made("Secret", "s", meta={"annotations": {"kubehaven.io/restoredBy": "old"}})
    assert clean(obj)["metadata"]["annotations"]["kubehaven.io/restoredBy"] == "a-1"
    preview = RestoreContext(source_namespace="visits", target_namespace="visits")
    assert "kubehaven.io/restoredBy" not in clean(obj, preview)["metadata"]["annotations"]


def test_namespace() -> None:
    found = clean(namespace(finalizers=["x/y"]), AWAY)
    assert found["metadata"]["name"] == "copy"
    assert found["metadata"]["labels"] == {"team": "web"}
    assert notes(found) == {"note": "keep"}
    assert "finalizers" not in found["metadata"]
    assert not {"spec", "status"} & found.keys()


def test_a_deployments_template_is_not_touched() -> None:
    obj = deployment()
    found = clean(obj)
    assert found["spec"] == obj["spec"]
    assert notes(found) == {}


def test_claim() -> None:
    data = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
    obj = claim(dataSource=data, dataSourceRef=data, selector={"matchLabels": {"a": "b"}})
    found = clean(obj, AWAY)
    assert notes(found) == {"note": "keep"}
    assert "finalizers" not in found["metadata"]
    assert found["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }


@pytest.mark.parametrize(
    ("storage_class", "context", "expected"),
    [
        (None, HERE, {}),
        (None, AWAY, {"storageClassName": "plain"}),
        ("", HERE, {"storageClassName": "", "selector": {"x": "y"}}),
        ("", AWAY, {"storageClassName": "plain"}),
        ("standard", HERE, {"storageClassName": "standard"}),
        ("standard", AWAY, {"storageClassName": "fast"}),
        ("other", AWAY, {"storageClassName": "other"}),
    ],
)
def test_storage_class_and_selector(
    storage_class: str | None, context: RestoreContext, expected: dict[str, Any]
) -> None:
    spec = clean(claim(storage_class=storage_class, selector={"x": "y"}), context)["spec"]
    assert {key: spec[key] for key in ("storageClassName", "selector") if key in spec} == expected


def test_a_class_said_by_the_old_annotation_is_mapped_too() -> None:
    obj = claim(storage_class=None)
    obj["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"] = "standard"
    found = clean(obj, AWAY)
    assert found["spec"]["storageClassName"] == "fast"
    assert notes(found) == {"note": "keep"}


def test_claim_templates_get_the_mapped_class() -> None:
    template = {"metadata": {"name": "data"}, "spec": {"storageClassName": "standard"}}
    obj = made("StatefulSet", "db", api="apps/v1", spec={"volumeClaimTemplates": [template]})
    found = sanitise(obj, context=AWAY)
    assert found.obj["spec"]["volumeClaimTemplates"][0]["spec"] == {"storageClassName": "fast"}
    assert any("claim template data: standard -> fast" in change for change in found.changes)


def applied(spec: dict[str, Any]) -> dict[str, str]:
    return {LAST_APPLIED: json.dumps({"spec": spec})}


HTTP = {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}
UNNAMED = {"port": 80, "nodePort": 30080}
OWNED: dict[str, Any] = {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}


@pytest.mark.parametrize(
    ("obj", "kept"),
    [
        (service(ports=[HTTP]), False),
        (service(ports=[HTTP], owned=OWNED), True),
        (service(ports=[HTTP], annotations=applied({"ports": [HTTP]})), True),
        (service(ports=[HTTP], annotations=applied({"ports": [{"name": "http"}]})), False),
        (service(ports=[HTTP], annotations=applied({}), owned=OWNED), False),  # annotation wins
        (service(ports=[HTTP], annotations=applied({"ports": [HTTP | {"name": "b"}]})), False),
        (service(ports=[UNNAMED], annotations=applied({"ports": [UNNAMED]})), True),
        (service(ports=[HTTP], annotations={LAST_APPLIED: "{"}), False),
        (service(ports=[HTTP], type="ExternalName"), True),
    ],
    ids=[
        "given",
        "owned",
        "applied",
        "applied-without",
        "wins",
        "other",
        "unnamed",
        "bad",
        "external",
    ],
)
def test_node_ports(obj: RawObject, kept: bool) -> None:
    assert ("nodePort" in clean(obj)["spec"]["ports"][0]) is kept


def test_a_service_gets_addresses_of_its_own() -> None:
    spec = clean(service(healthCheckNodePort=31000, externalTrafficPolicy="Local"))["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & spec.keys()
    assert "healthCheckNodePort" not in spec
    assert spec["externalTrafficPolicy"] == "Local"


def test_a_headless_service_stays_headless() -> None:
    spec = clean(service(clusterIP="None", clusterIPs=["None"]))["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("None", ["None"])


def test_families_and_health_port_that_somebody_asked_for_stay() -> None:
    owned: dict[str, Any] = {
        "f:ipFamilies": {},
        "f:ipFamilyPolicy": {},
        "f:healthCheckNodePort": {},
    }
    spec = clean(service(owned=owned, healthCheckNodePort=31000))["spec"]
    assert spec["ipFamilies"] == ["IPv4"]
    assert spec["healthCheckNodePort"] == 31000


def test_a_service_forgets_the_sources_load_balancer() -> None:
    obj = service(annotations={"service.kubernetes.io/loadbalance-id": "lb-1", "note": "keep"})
    obj["metadata"]["finalizers"] = ["service.kubernetes.io/load-balancer-cleanup", "x/y"]
    found = clean(obj)
    assert notes(found) == {"note": "keep"}
    assert found["metadata"]["finalizers"] == ["x/y"]


def test_service_account() -> None:
    obj = made(
        "ServiceAccount",
        "web",
        secrets=[{"name": "web-token-abcde"}, {"name": "mine"}],
        imagePullSecrets=[{"name": "web-dockercfg-abcde"}],
    )
    found = clean(obj)
    assert found["secrets"] == [{"name": "mine"}]
    assert "imagePullSecrets" not in found


def test_a_token_asked_for_by_hand_is_asked_for_again() -> None:
    obj = made(
        "Secret",
        "t",
        type="kubernetes.io/service-account-token",
        meta={
            "annotations": {
                "kubernetes.io/service-account.name": "web",
                "kubernetes.io/service-account.uid": "u",
            }
        },
        data={"token": "dA==", "ca.crt": "Yw==", "namespace": "dg=="},
    )
    found = sanitise(obj, context=HERE)
    assert "data" not in found.obj
    assert notes(found.obj) == {"kubernetes.io/service-account.name": "web"}
    assert "dA==" not in "".join(found.changes)


def test_other_secrets_keep_their_content() -> None:
    obj = made("Secret", "s", type="Opaque", data={"token": "dA=="}, immutable=True)
    found = clean(obj)
    assert (found["data"], found["immutable"]) == ({"token": "dA=="}, True)


def test_subjects_of_the_old_namespace_become_subjects_of_the_new_one() -> None:
    subjects = [
        {"kind": "ServiceAccount", "name": "web", "namespace": "visits"},
        {"kind": "ServiceAccount", "name": "web", "namespace": "other"},
        {"kind": "Group", "name": "system:serviceaccounts:visits"},
        {"kind": "User", "name": "system:serviceaccount:visits:web"},
        {"kind": "User", "name": "visits"},
    ]
    obj = made("RoleBinding", "b", api="rbac.authorization.k8s.io/v1", subjects=subjects)
    assert clean(obj)["subjects"] == subjects
    assert clean(obj, AWAY)["subjects"] == [
        {"kind": "ServiceAccount", "name": "web", "namespace": "copy"},
        {"kind": "ServiceAccount", "name": "web", "namespace": "other"},
        {"kind": "Group", "name": "system:serviceaccounts:copy"},
        {"kind": "User", "name": "system:serviceaccount:copy:web"},
        {"kind": "User", "name": "visits"},
    ]


def test_a_bare_pod_is_scheduled_anew() -> None:
    mounts = [{"name": "web-token-abcde"}, {"name": "data"}]
    spec = {
        "serviceAccountName": "web",
        "nodeName": "node-1",
        "priority": 0,
        "ephemeralContainers": [{"name": "debug"}],
        "volumes": [{"name": "web-token-abcde"}, {"name": "data"}, {"name": "kube-api-access-x"}],
        "containers": [{"name": "c", "volumeMounts": mounts}],
        "initContainers": [{"name": "i", "volumeMounts": mounts}],
    }
    assert clean(made("Pod", "p", spec=spec))["spec"] == {
        "serviceAccountName": "web",
        "volumes": [{"name": "data"}, {"name": "kube-api-access-x"}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "data"}]}],
        "initContainers": [{"name": "i", "volumeMounts": [{"name": "data"}]}],
    }


def job(**spec: Any) -> RawObject:
    labels = {"batch.kubernetes.io/controller-uid": "u", "controller-uid": "u"}
    body = {
        "selector": {"matchLabels": dict(labels)},
        "template": {"metadata": {"labels": labels | {"app": "j"}}, "spec": {}},
    }
    return made("Job", "j", api="batch/v1", spec=body | spec)


def test_a_jobs_generated_selector_goes_and_a_chosen_one_stays() -> None:
    spec = clean(job())["spec"]
    assert "selector" not in spec
    assert spec["template"]["metadata"]["labels"] == {"app": "j"}
    chosen = job(manualSelector=True)
    assert clean(chosen)["spec"] == chosen["spec"]


def test_a_routes_generated_host_goes() -> None:
    mark = {"annotations": {"openshift.io/host.generated": "true"}}
    generated = made("Route", "r", api="route.openshift.io/v1", meta=mark, spec={"host": "a"})
    chosen = made("Route", "r", api="route.openshift.io/v1", spec={"host": "a"})
    assert clean(generated)["spec"] == {}
    assert clean(chosen)["spec"] == {"host": "a"}


def test_an_ingress_forgets_the_sources_load_balancer() -> None:
    mark = {"annotations": {"ingress.kubernetes.io/url-map": "k8s-um", "note": "keep"}}
    found = clean(made("Ingress", "i", api="networking.k8s.io/v1", meta=mark, spec={"rules": []}))
    assert notes(found) == {"note": "keep"}
    assert found["spec"] == {"rules": []}


def test_a_deployment_config_forgets_the_image_it_deployed_last() -> None:
    params = {"from": {"name": "web:latest"}, "lastTriggeredImage": "registry.example.test/web"}
    spec = {"triggers": [{"type": "ConfigChange"}, {"imageChangeParams": params}]}
    found = clean(made("DeploymentConfig", "d", api="apps.openshift.io/v1", spec=spec))
    assert found["spec"]["triggers"] == [
        {"type": "ConfigChange"},
        {"imageChangeParams": {"from": {"name": "web:latest"}}},
    ]


def test_a_leaders_lock_names_nobody() -> None:
    mark = {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}
    assert notes(clean(made("ConfigMap", "lock", meta=mark))) == {}


def test_an_image_stream_is_imported_anew() -> None:
    tag = {"name": "latest", "generation": 3, "from": {"kind": "DockerImage", "name": "a/b:1"}}
    mark = {"openshift.io/image.dockerRepositoryCheck": "2026-01-01T00:00:00Z", "mine": "1"}
    stream = made(
        "ImageStream",
        "s",
        api="image.openshift.io/v1",
        meta={"annotations": mark},
        spec={"tags": [tag]},
        status={"dockerImageRepository": "inner"},
    )
    found = clean(stream)
    assert found["spec"]["tags"] == [{"name": "latest", "from": tag["from"]}]
    assert notes(found) == {"mine": "1"}
    assert "status" not in found


def test_a_service_can_let_go_of_its_node_ports() -> None:
    ports = [{"port": 80, "nodePort": 30777}, {"port": 81}]
    stored = made("Service", "s", spec={"ports": ports})
    free = without_node_ports(stored)
    assert free is not None
    assert free["spec"]["ports"] == [{"port": 80}, {"port": 81}]
    assert stored["spec"]["ports"] == ports
    assert without_node_ports(free) is None
