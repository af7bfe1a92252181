"""Which rights a restore needs: each once, and more than `create` where RBAC asks for more."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from console.engine.model import kinds
from console.engine.model.kinds import Kind
from console.engine.model.record import RetiredPoint, StoppedWorkload, SwappedVolume
from console.engine.plan.engine_rights import (
    backup_engine_needs,
    restore_engine_needs,
    retire_engine_needs,
    swap_engine_needs,
)
from console.engine.plan.grants import Rule
from console.engine.plan.restore_plan import PlannedItem, RestorePlan
from console.engine.plan.rights import (
    MAX_NAMED,
    RBAC,
    Need,
    Right,
    lacking,
    part_of,
    restore_needs,
    retire_needs,
    swap_needs,
)
from console.engine.plan.swap_plan import SwapPlan
from tests.builders.objects import made

ROLES = Kind(RBAC, "v1", "roles", "Role")
CLUSTER_ROLES = Kind(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Kind(RBAC, "v1", "rolebindings", "RoleBinding")
PODS_READER = [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]}]


def item(kind: Kind, name: str, **body: Any) -> PlannedItem:
    obj = made(kind.kind, name, api=kind.api_version, namespace="shop", **body)
    return PlannedItem(kind=kind, obj=obj)


def plan(*items: PlannedItem, namespace: str = "keep") -> RestorePlan:
    target = made("Namespace", "shop", namespace="")
    kept = PlannedItem(kind=kinds.NAMESPACES, obj=target)
    return RestorePlan(
        point="p",
        target="shop",
        namespace=msgspec.structs.replace(kept, verb=namespace),
        waves=(items,),
        volumes=(),
    )


def binding(to: str, name: str) -> PlannedItem:
    ref = {"apiGroup": RBAC, "kind": to, "name": name}
    return item(BINDINGS, "b", roleRef=ref, subjects=[])


def test_each_right_is_needed_once() -> None:
    two = (item(kinds.SECRETS, "a"), item(kinds.SECRETS, "b"), item(kinds.DEPLOYMENTS, "web"))
    rights = [need.right for need in restore_needs(plan(*two))]
    assert rights == [
        Right("create", kinds.SECRETS, "shop"),
        Right("create", kinds.DEPLOYMENTS, "shop"),
    ]


def test_a_new_namespace_is_a_right_of_its_own() -> None:
    needs = restore_needs(plan(namespace="create"))
    assert needs == (Need(Right("create", kinds.NAMESPACES)),)


def test_attack_d_a_role_needs_escalate_or_all_that_it_gives() -> None:
    needs = restore_needs(plan(item(ROLES, "reader", rules=PODS_READER)))
    assert needs[0] == Need(Right("create", ROLES, "shop"))
    assert needs[1].right == Right("escalate", ROLES, "shop")
    assert needs[1].instead == ((Right("escalate", ROLES, "shop", "reader"),),)
    assert needs[1].role.name == "reader"
    assert needs[1].gives == (Rule(("get",), ("",), ("pods", "pods/log")),)


def test_attack_d_a_binding_needs_bind_on_what_it_names() -> None:
    needs = restore_needs(plan(binding("ClusterRole", "cluster-admin")))
    there = CLUSTER_ROLES._replace(namespaced=True)  # bound in a namespace, asked for there
    named = Right("bind", there, "shop", "cluster-admin")
    assert needs[1] == Need(Right("bind", there, "shop"), ((named,),), "RoleBinding b")
    assert needs[1].gives is None  # what the cluster says it gives
    role = item(ROLES, "reader", rules=PODS_READER)
    own = restore_needs(plan(role, binding("Role", "reader")))[-1]
    assert own.right == Right("bind", ROLES, "shop")
    assert own.gives == (Rule(("get",), ("",), ("pods", "pods/log")),)
    there_already = restore_needs(plan(binding("Role", "there")))[-1]
    assert there_already.instead == ((Right("bind", ROLES, "shop", "there"),),)


def test_a_binding_for_the_whole_cluster_is_asked_for_there() -> None:
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
    kind = Kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
    obj = made("ClusterRoleBinding", "b", api=kind.api_version, namespace="", roleRef=ref)
    needs = restore_needs(plan(PlannedItem(kind=kind, obj=obj)))
    assert [need.right for need in needs] == [
        Right("create", kind),
        Right("bind", CLUSTER_ROLES),
    ]


@pytest.mark.parametrize(
    ("ref", "wanted"),
    [({"name": "edit"}, "clusterroles"), ({"name": "own", "namespace": "shop"}, "roles")],
)
def test_openshifts_second_face_of_rbac_is_no_way_round(ref: dict[str, Any], wanted: str) -> None:
    kind = Kind("authorization.openshift.io", "v1", "rolebindings", "RoleBinding")
    needs = restore_needs(plan(item(kind, "b", roleRef=ref)))
    assert (needs[1].right.verb, needs[1].right.kind.plural) == ("bind", wanted)


def test_a_routes_own_host_is_a_right_of_its_own() -> None:
    routes = Kind("route.openshift.io", "v1", "routes", "Route")
    plain, own = item(routes, "a", spec={"to": {}}), item(routes, "b", spec={"host": "shop.test"})
    assert len(restore_needs(plan(plain))) == 1
    assert restore_needs(plan(own))[1].right == Right(
        "create", part_of(routes, "custom-host"), "shop"
    )


def test_ten_thousand_objects_are_a_few_questions() -> None:
    many = tuple(item(kinds.CONFIG_MAPS, f"c{n}") for n in range(10_000))
    bindings = tuple(binding("ClusterRole", f"r{n % 3}") for n in range(200))
    needs = restore_needs(plan(*many, *bindings))
    assert len({need.right for need in needs}) == 3
    assert len({right for need in needs for right in need.instead}) == 3


def test_what_stays_as_it_is_needs_nothing() -> None:
    kept = msgspec.structs.replace(binding("ClusterRole", "cluster-admin"), verb="keep")
    assert restore_needs(plan(kept)) == ()


WEB = StoppedWorkload(
    apiVersion="apps/v1", kind="Deployment", plural="deployments", name="web", uid="1", replicas=2
)
NIGHTLY = StoppedWorkload(
    apiVersion="batch/v1", kind="CronJob", plural="cronjobs", name="nightly", uid="2"
)
SWAP = SwapPlan((WEB, NIGHTLY), (SwappedVolume(pvc="data", claimUID="3", old="pv"),))


def test_a_swap_needs_what_kubectl_needs_to_scale_suspend_and_exchange() -> None:
    scale, suspend, *claims = swap_needs(SWAP, "shop")
    assert scale.right == Right("patch", kinds.DEPLOYMENTS, "shop")
    assert scale.instead == ((Right("patch", part_of(kinds.DEPLOYMENTS, "scale"), "shop"),),)
    assert (str(suspend.right), suspend.instead) == (
        "patch cronjobs.batch in the namespace shop",
        (),
    )
    assert [need.right for need in claims] == [
        Right("delete", kinds.CLAIMS, "shop"),
        Right("create", kinds.CLAIMS, "shop"),
    ]
    in_place = msgspec.structs.replace(plan(), in_place=True, swap=SWAP)
    assert restore_needs(in_place) == swap_needs(SWAP, "shop")


def test_volumes_are_the_engines_and_not_the_requesters() -> None:
    asked = {need.right.kind for need in swap_needs(SWAP, "shop")}
    assert kinds.VOLUMES not in asked
    ours = [need.right for need in swap_engine_needs(SWAP, "shop")]
    assert Right("patch", kinds.VOLUMES) in ours
    assert Right("patch", kinds.DEPLOYMENTS, "shop") in ours
    assert swap_engine_needs(SwapPlan(), "shop") == ()


def test_a_retirement_needs_delete_on_contents_one_for_all_or_each() -> None:
    points = [RetiredPoint(name=name, uid="u", id="i", kind="local") for name in ("a", "b")]
    (need,) = retire_needs(points)
    every = Right("delete", kinds.RESTORE_POINT_CONTENTS)
    assert need.right == every
    assert need.instead == ((every._replace(name="a"), every._replace(name="b")),)
    assert retire_needs(points * MAX_NAMED)[0].instead == ()


def test_an_engine_asks_for_snapshots_and_jobs_only_where_they_are_needed() -> None:
    def asked(needs: tuple[Need, ...]) -> set[Kind]:
        return {need.right.kind for need in needs}

    assert kinds.SNAPSHOTS not in asked(backup_engine_needs("shop", volumes=False))
    assert kinds.SNAPSHOTS in asked(backup_engine_needs("shop", volumes=True))
    assert kinds.JOBS not in asked(retire_engine_needs(local=True, exported=False))
    assert kinds.JOBS in asked(retire_engine_needs(local=False, exported=True))


def test_without_volumes_an_engine_needs_nothing_beside() -> None:
    assert restore_engine_needs(plan(item(kinds.SECRETS, "a"))) == ()


def test_what_is_missing_says_verb_resource_and_namespace() -> None:
    (found,) = lacking([Need(Right("create", ROLES, "shop"))], who="ann")
    assert found.code == "restore.rights"
    assert (
        found.message == "ann may not create roles.rbac.authorization.k8s.io in the namespace shop"
    )
    assert found.hint
    (found,) = lacking([Need(Right("bind", ROLES, "shop"), why="RoleBinding b")], who="ann")
    assert found.code == "restore.grants"
    assert found.message.endswith("in the namespace shop, which RoleBinding b needs")
