"""Who may ask for what: each attack is refused with its reason, in the order that was promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.model import kinds
from console.engine.model.kinds import Kind
from console.engine.model.record import Requester
from console.engine.plan.authorise import (
    Refusal,
    RequestFacts,
    beyond,
    check_action,
    spec_hash,
)
from console.engine.plan.restore_plan import PlannedItem, RestorePlan
from tests.builders.objects import made

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

OURS = "kubehaven.io/v1alpha1"
ANNA = {"username": "anna", "uid": "7"}


def action(
    kind: str = "RestoreAction",
    *,
    namespace: str = "visits",
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> RawObject:
    subject = {"name": "visits-1", "namespace": namespace, "kind": "RestorePoint"}
    if kind == "BackupAction":
        subject = {"name": namespace}
    body = {"subject": subject, "requestedBy": ANNA} | spec
    return made(kind, "x", api=OURS, namespace=namespace, spec=body, status=status or {})


POINT = made(
    "RestorePoint",
    "visits-1",
    api=OURS,
    spec={"restorePointContentRef": {"name": "content", "uid": "uid-RestorePointContent-content"}},
)
BOUND = {
    "namespace": "visits",
    "name": "visits-1",
    "uid": "uid-RestorePoint-visits-1",
    "namespaceUID": "ns-1",
}
BANKS = {"name": "visits", "namespace": "bank"}
MADE_ANEW = {"name": "content", "uid": "new"}
CONTENT = made(
    "RestorePointContent", "content", api=OURS, namespace="", status={"restorePointRef": BOUND}
)


TRANSFORMS = [{"name": "x", "json": [{"op": "add", "path": "/metadata/labels/a", "value": "1"}]}]


def facts(**more: Any) -> RequestFacts:
    known: dict[str, Any] = {
        "point": POINT,
        "content": CONTENT,
        "point_namespace_uid": "ns-1",
        "driver": Requester(username="anna", uid="7"),
        "desktop": True,
        "admission_policy": True,
        "location_open_to": ("visits",),
    }
    return RequestFacts(**known | more)


def refused(raw: RawObject, known: RequestFacts) -> Refusal:
    found = check_action(raw, facts=known)
    assert found is not None
    assert found.message
    assert found.hint
    return found


def bound_to(**other: str) -> RawObject:
    return CONTENT | {"status": {"restorePointRef": BOUND | other}}


@pytest.mark.parametrize("kind", ["RestoreAction", "ExportAction", "BackupAction"])
@pytest.mark.parametrize("namespace", ["visits", "kubehaven"])
def test_an_honest_action_may_be_driven(kind: str, namespace: str) -> None:
    raw = action(kind, namespace=namespace)
    if kind != "BackupAction":
        raw["spec"]["subject"]["namespace"] = "visits"
    assert check_action(raw, facts=facts()) is None


@pytest.mark.parametrize(
    ("known", "differs"),
    [
        (facts(content=bound_to(namespace="bank", name="bank-1", uid="u")), "bank/bank-1"),
        (facts(content=bound_to(uid="another")), "uid"),
        (facts(point_namespace_uid="ns-2"), "namespaceUID"),
        (facts(point_namespace_uid=""), "namespaceUID"),
        (facts(content=CONTENT | {"status": {}}), "no RestorePoint"),
        (facts(content=CONTENT | {"metadata": MADE_ANEW}), "uid of the content"),
    ],
    ids=["other", "uid", "namespace made anew", "no namespace", "unbound", "content made anew"],
)
@pytest.mark.parametrize("kind", ["RestoreAction", "ExportAction"])
def test_attack_a_a_point_that_names_anothers_content(
    kind: str, known: RequestFacts, differs: str
) -> None:
    found = refused(action(kind), known)
    assert found.code == "point.not_bound"
    assert differs in found.message
    assert not found.pending


def test_a_point_or_content_that_is_not_there_is_told() -> None:
    assert refused(action(), facts(point=None)).code == "point.missing"
    assert refused(action(), facts(content=None)).code == "point.missing"
    other = made("RestorePoint", "other", api=OURS)
    assert refused(action(), facts(point=other)).code == "point.missing"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (action(targetNamespace="bank"), "action.other_target"),
        (action(subject=BANKS), "action.other_subject"),
        (action(subject={"name": "c", "kind": "RestorePointContent"}), "action.other_subject"),
        (action("BackupAction", subject={"name": "bank"}), "action.other_subject"),
        (action("BackupAction", subject=BANKS), "action.other_subject"),
        (action("ExportAction", subject=BANKS), "action.other_subject"),
    ],
)
@pytest.mark.parametrize("policy", [True, False])
def test_attack_b_an_action_on_another_namespace(raw: RawObject, code: str, policy: bool) -> None:
    found = refused(raw, facts(admission_policy=policy))
    assert found.code == code
    assert not found.pending
    assert found.subject == f"{raw['kind']} visits/x"


def test_attack_b_what_belongs_to_the_cluster_is_an_administrators() -> None:
    wide = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
    items = (PlannedItem(kind=wide, obj=made("ClusterRole", "x", namespace="")),)
    for one in (restoring(*items), restoring(namespace="create")):
        (found,) = beyond(one, "visits")
        assert found.code == "restore.cluster_scoped"
        assert beyond(one, "kubehaven") == ()


@pytest.mark.parametrize("home", ["visits", "kubehaven"])
def test_attack_b_a_point_with_objects_of_another_namespace_is_refused_everywhere(
    home: str,
) -> None:
    secret = PlannedItem(kind=kinds.SECRETS, obj=made("Secret", "x", namespace="kube-system"))
    (found,) = beyond(restoring(secret, secret), home)
    assert found.code == "restore.other_namespace"
    assert "2 objects" in found.message
    assert beyond(restoring(msgspec.structs.replace(secret, verb="keep")), home) == ()


def restoring(*items: PlannedItem, namespace: Literal["keep", "create"] = "keep") -> RestorePlan:
    target = PlannedItem(
        kind=kinds.NAMESPACES, obj=made("Namespace", "visits", namespace=""), verb=namespace
    )
    return RestorePlan(point="p", target="visits", namespace=target, waves=(items,), volumes=())


def test_attack_g_an_export_to_a_location_that_is_not_open() -> None:
    raw = action("ExportAction", profile={"name": "vault"})
    found = refused(raw, facts(location_open_to=("bank",)))
    assert found.code == "location.not_open"
    assert "vault" in found.message
    assert not found.pending
    ours = action("ExportAction", namespace="kubehaven", profile={"name": "vault"})
    ours["spec"]["subject"]["namespace"] = "visits"
    assert check_action(ours, facts=facts(location_open_to=())) is None


def test_from_our_own_namespace_other_targets_are_an_administrators() -> None:
    content = {"name": "content", "kind": "RestorePointContent"}
    raw = action(namespace="kubehaven", targetNamespace="bank", subject=content)
    assert check_action(raw, facts=facts(point=None)) is None
    assert refused(raw, facts(content=None)).code == "point.missing"


@pytest.mark.parametrize("policy", [True, False])
def test_an_altered_spec_is_refused_before_all_else(policy: bool) -> None:
    accepted = action()
    status = {"specHash": spec_hash(accepted["spec"])}
    assert check_action(accepted | {"status": status}, facts=facts()) is None
    altered = action(status=status, targetNamespace="bank")
    found = refused(altered, facts(admission_policy=policy))
    assert (found.code, found.pending) == ("action.altered", "")


def test_cancel_pause_and_priority_may_change() -> None:
    spec = action()["spec"]
    changed = spec | {"cancel": True, "paused": True, "priority": 7}
    assert spec_hash(changed) == spec_hash(spec)


@given(st.dictionaries(st.text(), st.text() | st.integers(0, 9)), st.randoms())
def test_the_hash_is_of_content_not_of_order(spec: dict[str, Any], chance: Any) -> None:
    keys = list(spec)
    chance.shuffle(keys)
    assert spec_hash({key: spec[key] for key in keys}) == spec_hash(spec)
    assert spec_hash(spec | {"subject": {"name": "x"}}) != spec_hash(spec)


def test_attack_e_a_desktop_drives_its_own_users_actions_only() -> None:
    for asked in ({"username": "eve"}, {"username": "anna", "uid": "8"}):
        found = refused(action(requestedBy=asked), facts())
        assert (found.code, found.pending) == ("action.other_requester", "OtherRequester")
    assert check_action(action(requestedBy={"username": "eve"}), facts=facts(desktop=False)) is None
    assert check_action(action(requestedBy={"username": "anna"}), facts=facts()) is None


def test_an_action_that_names_nobody_waits() -> None:
    raw = action(requestedBy=None)
    for known in (facts(), facts(desktop=False)):
        assert refused(raw, known).pending == "RequesterMissing"
    admins = action("BackupAction", namespace="kubehaven", requestedBy=None)
    assert check_action(admins, facts=facts(desktop=False)) is None
    assert refused(admins, facts()).pending == "RequesterMissing"


def test_without_the_admission_policy_self_service_waits() -> None:
    known = facts(admission_policy=False)
    assert refused(action(), known).pending == "SelfServiceUnavailable"
    assert check_action(action("BackupAction", namespace="kubehaven"), facts=known) is None


def test_what_is_wrong_for_good_is_said_before_the_gate() -> None:
    known = facts(admission_policy=False, content=bound_to(uid="another"))
    assert refused(action(), known).code == "point.not_bound"


HOOK = {"podSelector": "app=db", "pre": ["true"]}
ELSEWHERE = {**HOOK, "namespace": "bank"}
OF_VISITS = {"name": "visits", "namespace": "visits"}


@pytest.mark.parametrize(
    ("namespace", "hook", "may_exec", "code"),
    [
        ("kubehaven", HOOK, True, ""),
        ("kubehaven", {**HOOK, "namespace": "visits"}, True, ""),
        ("kubehaven", ELSEWHERE, True, "action.hook_elsewhere"),
        ("visits", ELSEWHERE, True, "action.hook_elsewhere"),
        ("visits", HOOK, True, "action.hooks"),
        ("kubehaven", HOOK, False, "action.hook_rights"),
    ],
)
def test_attack_f_hooks_run_in_the_applications_pods_for_who_may_run_them_there(
    namespace: str, hook: dict[str, Any], may_exec: bool, code: str
) -> None:
    raw = action("BackupAction", namespace=namespace, subject=OF_VISITS, hooks=[hook])
    found = check_action(raw, facts=facts(may_exec=may_exec, admission_policy=True))
    assert (found.code if found else "") == code


@pytest.mark.parametrize(
    ("namespace", "code"), [("visits", "action.transforms"), ("kubehaven", "restore.transforms")]
)
def test_attack_c_transforms_are_refused_wherever_they_come_from(namespace: str, code: str) -> None:
    subject = {"name": "visits-1", "namespace": "visits", "kind": "RestorePoint"}
    raw = action(namespace=namespace, subject=subject, transforms=TRANSFORMS)
    found = check_action(raw, facts=facts(admission_policy=True))
    assert found is not None
    assert (found.code, found.pending) == (code, "")
