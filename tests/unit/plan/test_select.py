"""What a backup takes: one table of kinds, one of objects, each left out with its reason."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest

from console.engine.model.kinds import Kind, RawObject
from console.engine.plan.select import decide, kinds_to_collect, surroundings_of
from tests.builders.objects import claim, deployment, made, service

ALL = ("create", "delete", "get", "list", "watch")


class Served(NamedTuple):
    kind: Kind
    verbs: tuple[str, ...] = ALL
    preferred: bool = True


def resources(*served: Served) -> list[str]:
    return [f"{kind.resource}/{kind.version}" for kind in kinds_to_collect(served)]


def test_each_kind_is_listed_once_in_its_preferred_version() -> None:
    assert resources(
        Served(Kind("batch", "v1beta1", "cronjobs", "CronJob"), preferred=False),
        Served(Kind("batch", "v1", "cronjobs", "CronJob")),
        Served(Kind("", "v1", "services", "Service")),
    ) == ["cronjobs.batch/v1", "services/v1"]


def test_a_kind_that_the_preferred_version_lacks_is_listed_in_the_newest_that_has_it() -> None:
    assert resources(
        Served(Kind("batch", "v1alpha1", "cronjobs", "CronJob"), preferred=False),
        Served(Kind("batch", "v1beta1", "cronjobs", "CronJob"), preferred=False),
        Served(Kind("batch", "v1", "jobs", "Job")),
    ) == ["cronjobs.batch/v1beta1", "jobs.batch/v1"]


def test_a_version_of_no_known_form_is_the_last_choice() -> None:
    odd = Served(Kind("x.io", "release7", "things", "Thing"), preferred=False)
    alpha = Served(Kind("x.io", "v1alpha1", "things", "Thing"), preferred=False)
    assert resources(odd, alpha) == resources(alpha, odd) == ["things.x.io/v1alpha1"]
    assert resources(odd) == ["things.x.io/release7"]


def test_the_old_group_gives_way_to_the_new_one() -> None:
    old = Served(Kind("extensions", "v1beta1", "ingresses", "Ingress"))
    new = Served(Kind("networking.k8s.io", "v1", "ingresses", "Ingress"))
    assert resources(old, new) == ["ingresses.networking.k8s.io/v1"]
    assert resources(old) == ["ingresses.extensions/v1beta1"]


@pytest.mark.parametrize(
    "served",
    [
        Served(Kind("", "v1", "events", "Event")),
        Served(Kind("events.k8s.io", "v1", "events", "Event")),
        Served(Kind("coordination.k8s.io", "v1", "leases", "Lease")),
        Served(Kind("apps", "v1", "controllerrevisions", "ControllerRevision")),
        Served(Kind("metrics.k8s.io", "v1beta1", "pods", "PodMetrics"), ("get", "list")),
        Served(Kind("snapshot.storage.k8s.io", "v1", "volumesnapshots", "VolumeSnapshot")),
        Served(Kind("kubehaven.io", "v1alpha1", "backupactions", "BackupAction")),
        Served(Kind("kubehaven.io", "v1alpha1", "restorepoints", "RestorePoint")),
        Served(Kind("velero.io", "v1", "restores", "Restore")),
        Served(Kind("", "v1", "nodes", "Node", namespaced=False)),
        Served(Kind("", "v1", "pods/status", "Pod")),
        Served(Kind("", "v1", "bindings", "Binding"), ("create",)),
        Served(Kind("x.io", "v1", "readonlies", "ReadOnly"), ("get", "list", "watch")),
    ],
    ids=lambda served: served.kind.resource,
)
def test_kinds_that_are_never_listed(served: Served) -> None:
    assert kinds_to_collect([served]) == ()


def test_a_policy_of_ours_is_intent_and_is_taken() -> None:
    assert resources(Served(Kind("kubehaven.io", "v1alpha1", "policies", "Policy")))


def token(name: str) -> RawObject:
    notes = {"kubernetes.io/service-account.name": "web"}
    return made(
        "Secret", name, type="kubernetes.io/service-account-token", meta={"annotations": notes}
    )


def labelled(kind: str, label: str, value: str = "true", api: str = "v1") -> RawObject:
    return made(kind, "x", api=api, meta={"labels": {label: value}})


def noted(kind: str, note: str, **body: Any) -> RawObject:
    return made(kind, "web-dockercfg-abcde", meta={"annotations": {note: "x"}}, **body)


RS = ("apps/v1", "ReplicaSet", "web-1")
LEFT_OUT: list[tuple[str, RawObject]] = [
    ("kubehaven.io/exclude", labelled("Secret", "kubehaven.io/exclude")),
    ("velero.io/exclude-from-backup", labelled("Pod", "velero.io/exclude-from-backup")),
    ("deleted", made("Secret", "s", meta={"deletionTimestamp": "2026-11-24T10:00:00Z"})),
    (
        "Deployment web",
        made("ReplicaSet", "web-1", api="apps/v1", owner=("apps/v1", "Deployment", "web")),
    ),
    ("ReplicaSet web-1", made("Pod", "web-1-x", owner=RS)),
    ("StatefulSet db", made("Pod", "db-0", owner=("apps/v1", "StatefulSet", "db"))),
    ("DaemonSet d", made("Pod", "d-x", owner=("apps/v1", "DaemonSet", "d"))),
    ("Job j", made("Pod", "j-x", owner=("batch/v1", "Job", "j"))),
    ("CronJob c", made("Job", "c-1", api="batch/v1", owner=("batch/v1", "CronJob", "c"))),
    (
        "Service web",
        made("EndpointSlice", "web-x", api="discovery.k8s.io/v1", owner=("v1", "Service", "web")),
    ),
    (
        "Pod web-1-x",
        made("CiliumEndpoint", "web-1-x", api="cilium.io/v2", owner=("v1", "Pod", "web-1-x")),
    ),
    ("Pod web-0", made("PersistentVolumeClaim", "web-0-scratch", owner=("v1", "Pod", "web-0"))),
    ("finished pod", made("Pod", "p", status={"phase": "Succeeded"})),
    ("finished pod", made("Pod", "p", status={"phase": "Failed"})),
    ("static pod", noted("Pod", "kubernetes.io/config.mirror")),
    (
        "finished Job",
        made("Job", "j", api="batch/v1", status={"completionTime": "2026-11-24T10:00:00Z"}),
    ),
    (
        "finished Job",
        made(
            "Job",
            "j",
            api="batch/v1",
            status={"conditions": [{"type": "Failed", "status": "True"}]},
        ),
    ),
    ("its own", made("ServiceAccount", "default")),
    (
        "(mine) are not set again",
        made("ServiceAccount", "default", imagePullSecrets=[{"name": "mine"}]),
    ),
    ("OpenShift", made("ServiceAccount", "builder", secrets=[{"name": "builder-dockercfg-abcde"}])),
    ("new one", token("web-token-abcde")),
    ("join", made("Secret", "bootstrap-token-x", type="bootstrap.kubernetes.io/token")),
    ("registry", noted("Secret", "openshift.io/token-secret.name", type="kubernetes.io/dockercfg")),
    ("every namespace", made("ConfigMap", "kube-root-ca.crt")),
    ("every namespace", made("ConfigMap", "openshift-service-ca.crt")),
    ("every project", made("RoleBinding", "system:deployers", api="rbac.authorization.k8s.io/v1")),
    (
        "copy",
        labelled("ClusterServiceVersion", "olm.copiedFrom", api="operators.coreos.com/v1alpha1"),
    ),
    ("moment", made("Event", "e")),
    ("moment", made("Lease", "l", api="coordination.k8s.io/v1")),
    ("another moment", made("VolumeSnapshot", "s", api="snapshot.storage.k8s.io/v1")),
    ("record of ours", made("BackupAction", "b", api="kubehaven.io/v1alpha1")),
]
TAKEN: list[RawObject] = [
    deployment(),
    claim(),
    made("PersistentVolumeClaim", "old", meta={"deletionTimestamp": "2026-11-24T10:00:00Z"}),
    service(),
    made("Pod", "bare", status={"phase": "Running"}),
    made("Pod", "of-a-database", owner=("postgres.example/v1", "Cluster", "db")),
    made("StatefulSet", "db", api="apps/v1", owner=("postgres.example/v1", "Cluster", "db")),
    made("PersistentVolumeClaim", "data-db-0", owner=("v1", "Pod", "db-0")),
    made("PersistentVolumeClaim", "data-db-0", owner=("apps/v1", "StatefulSet", "db")),
    made("Job", "j", api="batch/v1", status={"active": 1}),
    made("ServiceAccount", "web"),
    made("ServiceAccount", "builder"),
    token("my-token"),
    made("Secret", "pull", type="kubernetes.io/dockerconfigjson"),
    made("Secret", "sh.helm.release.v1.x.v1", type="helm.sh/release.v1"),
    labelled("ConfigMap", "kubehaven.io/exclude", "false"),
    made("Endpoints", "outside"),
    made("EndpointSlice", "outside", api="discovery.k8s.io/v1"),
]


@pytest.mark.parametrize(("reason", "obj"), LEFT_OUT, ids=[row[0] for row in LEFT_OUT])
def test_what_is_left_out_and_why(reason: str, obj: RawObject) -> None:
    before = copy.deepcopy(obj)
    decision = decide(obj)
    assert not decision.take
    assert reason in decision.reason
    assert obj == before


@pytest.mark.parametrize("obj", TAKEN, ids=lambda obj: f"{obj['kind']}-{obj['metadata']['name']}")
def test_what_is_taken(obj: RawObject) -> None:
    assert decide(obj) == (True, "")


def test_endpoints_follow_a_service_with_a_selector_only() -> None:
    managed = made("Endpoints", "web")
    slice_ = made(
        "EndpointSlice",
        "web-x",
        api="discovery.k8s.io/v1",
        meta={"labels": {"kubernetes.io/service-name": "web"}},
    )
    outside = service("outside", selector={})
    by_hand = made("Endpoints", "outside")
    objects = [managed, slice_, outside, by_hand, service("web")]
    around = surroundings_of(objects)
    decided = [decide(obj, around) for obj in objects]
    assert [decision.take for decision in decided] == [False, False, True, True, True]
    assert "Service web makes it again" in decided[0].reason


@pytest.mark.parametrize("broken", [{}, {"metadata": None}, {"kind": "Pod", "status": None}])
def test_objects_with_nothing_in_them_are_decided_too(broken: RawObject) -> None:
    assert decide(broken).take
