"""What *prepare* would do, as a value: pure, from what is shipped and what is there."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import msgspec
import pytest

from console import __version__, resources_path
from console.engine import errors
from console.engine.kube.manifests import (
    ADMISSION_BINDINGS,
    ADMISSION_POLICIES,
    ANNOTATION_VERSION,
    wanted,
)
from console.engine.kube.node_path import with_node_path
from console.engine.kube.prepare import draft, printed, shown
from console.engine.model import kinds
from console.engine.model.intent import Settings, SettingsSpec
from console.engine.model.wire import decode

if TYPE_CHECKING:
    from console.engine.kube.manifests import Wanted
    from console.engine.model.kinds import RawObject

ALL = wanted()
SERVED = {one.kind for one in ALL}
OPTIONAL = {one.kind.group for one in ALL if one.absent_because}

Live = dict[tuple[str, str, str], "RawObject"]


def key(one: Wanted) -> tuple[str, str, str]:
    return one.kind.resource, one.namespace, one.name


@pytest.fixture
def live() -> Live:
    """A prepared cluster, with what a server adds."""
    found = {key(one): copy.deepcopy(one.obj) for one in ALL}
    for obj in found.values():
        obj["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": [{}]}
        obj["status"] = {"conditions": []}
        for version in obj.get("spec", {}).get("versions", []):
            version["schema"]["openAPIV3Schema"]["x-server-default"] = True
    return found


def test_crds_come_first_and_the_settings_last() -> None:
    order = [one.kind.kind for one in ALL]
    count = len(list((resources_path() / "crds").iterdir()))
    assert order[:count] == ["CustomResourceDefinition"] * count
    assert order[count : count + 2] == ["Namespace", "Namespace"]
    assert order[-1] == "Settings"


def test_an_empty_cluster_gets_everything() -> None:
    plan = shown("c", draft(ALL, {}, SERVED))
    assert {row.verb for row in plan.objects} == {"create"}
    assert len(plan.objects) == len(ALL)
    assert plan.objects[0].resource == "customresourcedefinitions.apiextensions.k8s.io"


def test_a_prepared_cluster_is_left_alone(live: Live) -> None:
    assert {one.verb for one in draft(ALL, live, SERVED)} == {"keep"}


def test_changes_are_said_in_words(live: Live) -> None:
    live["namespaces", "", "kubehaven"]["metadata"]["labels"][
        "pod-security.kubernetes.io/enforce"
    ] = "privileged"
    del live["clusterroles.rbac.authorization.k8s.io", "", "kubehaven-viewer"]["rules"]
    rows = [row for row in shown("c", draft(ALL, live, SERVED)).objects if row.verb != "keep"]
    assert [(row.verb, row.name, row.changes) for row in rows] == [
        (
            "update",
            "kubehaven",
            (
                "metadata.labels.pod-security.kubernetes.io/enforce: "
                '"privileged" becomes "restricted"',
            ),
        ),
        ("update", "kubehaven-viewer", ("rules is added",)),
    ]


def test_settings_are_the_users_once_they_are_there(live: Live) -> None:
    live["settings.kubehaven.io", "kubehaven", "default"]["spec"] = {"slots": {"jobs": 1}}
    assert {one.verb for one in draft(ALL, live, SERVED)} == {"keep"}


def test_node_paths_are_off_until_asked_for_and_then_stay(live: Live) -> None:
    settings = live["settings.kubehaven.io", "kubehaven", "default"]
    settings["spec"] |= {"slots": {"jobs": 2}, "nodePath": {"kubeletDirectory": "/data/kubelet"}}
    assert with_node_path(ALL, settings, asked=False) == ALL
    asked = draft(with_node_path(ALL, settings, asked=True), live, SERVED)
    changed = {one.wanted.name: one for one in asked if one.verb != "keep"}
    assert changed.keys() == {"kubehaven-workers", "default"}
    assert changed["default"].changes == ("spec.nodePath.allowed is added",)
    spec = changed["default"].wanted.obj["spec"]
    assert spec == settings["spec"] | {
        "nodePath": {"allowed": True, "kubeletDirectory": "/data/kubelet"}
    }
    labels = changed["kubehaven-workers"].wanted.obj["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    for one in changed.values():
        live[key(one.wanted)] = copy.deepcopy(one.wanted.obj)
    settings = live["settings.kubehaven.io", "kubehaven", "default"]
    for again in (False, True):
        later = draft(with_node_path(ALL, settings, asked=again), live, SERVED)
        assert {one.verb for one in later} == {"keep"}
    settings["spec"]["nodePath"]["allowed"] = False
    closed = draft(with_node_path(ALL, settings, asked=False), live, SERVED)
    assert [one.wanted.name for one in closed if one.verb != "keep"] == ["kubehaven-workers"]


def test_a_new_cluster_may_be_prepared_with_node_paths() -> None:
    made = {one.name: one.obj for one in with_node_path(ALL, None, asked=True)}
    assert decode(made["default"], Settings).spec.nodePath.allowed


def test_the_shipped_settings_are_the_structs() -> None:
    shipped = next(one.obj for one in ALL if one.kind == kinds.SETTINGS)
    assert decode(shipped, Settings).spec == SettingsSpec()
    slots = msgspec.structs.asdict(SettingsSpec().slots)
    assert shipped["spec"]["slots"] == slots


def test_without_admission_policies_they_are_skipped_and_it_is_said() -> None:
    old = {one for one in SERVED if "admission" not in one.group}
    rows = shown("c", draft(ALL, {}, old)).objects
    skipped = [row for row in rows if row.verb == "skip"]
    assert {row.name for row in skipped} == {
        "kubehaven-requested-by",
        "kubehaven-own-restore",
        "kubehaven-own-backup",
        "kubehaven-own-export",
        "kubehaven-retire",
    }
    assert "1.30" in skipped[0].reason


def test_every_admission_policy_is_bound_and_refuses() -> None:
    by_kind = {
        kind.kind: {one.name: one.obj["spec"] for one in ALL if one.kind == kind}
        for kind in (ADMISSION_POLICIES, ADMISSION_BINDINGS)
    }
    policies, bindings = by_kind.values()
    assert policies.keys() == bindings.keys()
    for name, spec in bindings.items():
        assert spec == {"policyName": name, "validationActions": ["Deny"]}
    for spec in policies.values():
        assert spec["failurePolicy"] == "Fail"
        assert not any("\n" in rule["message"] for rule in spec["validations"])


def test_what_is_printed_is_what_kubectl_can_apply(live: Live) -> None:
    """Neither the user's settings nor a kind that the cluster does not know."""
    bare = {one for one in SERVED if one.group not in {"kubehaven.io", *OPTIONAL}}
    new = printed("c", draft(ALL, {}, bare), bare)
    assert {row.resource.partition(".")[2] for row in new.left_out} == {"kubehaven.io", *OPTIONAL}
    assert len(new.objects) + len(new.left_out) == len(ALL)
    again = printed("c", draft(ALL, live, SERVED), SERVED)
    assert [(row.name, row.reason) for row in again.left_out] == [
        ("default", "it is there, and yours")
    ]
    assert [obj["metadata"]["name"] for obj in again.objects] == [one.name for one in ALL[:-1]]


def test_the_hash_is_of_exactly_what_would_be_written(live: Live) -> None:
    empty = shown("c", draft(ALL, {}, SERVED)).hash
    assert empty == shown("c", draft(ALL, {}, SERVED)).hash
    one = dict(live)
    del one["namespaces", "", "kubehaven"]
    assert (
        len(
            {
                empty,
                shown("c", draft(ALL, one, SERVED)).hash,
                shown("c", draft(ALL, live, SERVED)).hash,
            }
        )
        == 3
    )


def test_a_newer_engine_is_not_undone(live: Live) -> None:
    crd = live["customresourcedefinitions.apiextensions.k8s.io", "", "locations.kubehaven.io"]
    crd["metadata"]["annotations"][ANNOTATION_VERSION] = "99.0.0"
    with pytest.raises(errors.PlanError, match=r"99\.0\.0") as caught:
        draft(ALL, live, SERVED)
    assert caught.value.code == "prepare.newer"


def test_an_older_engine_is_updated(live: Live) -> None:
    crd = live["customresourcedefinitions.apiextensions.k8s.io", "", "locations.kubehaven.io"]
    crd["metadata"]["annotations"][ANNOTATION_VERSION] = "0.0.9"
    (row,) = [row for row in draft(ALL, live, SERVED) if row.verb == "update"]
    assert row.changes == (
        f'metadata.annotations.{ANNOTATION_VERSION}: "0.0.9" becomes "{__version__}"',
    )


def test_no_role_reaches_people_by_itself() -> None:
    for one in ALL:
        assert not any("aggregate" in label for label in one.obj["metadata"].get("labels", {}))
        assert "aggregationRule" not in one.obj
        assert one.kind.kind not in {"ClusterRoleBinding", "RoleBinding"}
    account = next(one.obj for one in ALL if one.kind == kinds.SERVICE_ACCOUNTS)
    assert account["automountServiceAccountToken"] is False
