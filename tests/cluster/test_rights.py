"""Who may ask for what, on a real API server: accounts with few rights ask, and are told why not.

The engine has the rights of the shipped role, as it would in the cluster; whoever asks is a
ServiceAccount with a token.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from console.engine import open_engine
from console.engine.model.names import API_VERSION, NAMESPACE
from console.engine.plan.rights import RBAC
from tests.cluster.accounts import CLUSTER, FORGED, SELF_SERVICE, Account, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import RealCluster

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: kh-csi-immediate
  resources: {requests: {storage: 64Mi}}
---
"""
APPLICATION = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: not-a-real-one}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "kubehaven.test/busybox:1"}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [rolebindings], verbs: [list]}  # edit can't
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default}]
"""
MADE = [
    "deployment/web",
    "configmap/settings",
    "secret/password",
    "role/reader",
    "rolebinding/reader",
]


@pytest.fixture
def bench(cluster_one: RealCluster, namespace: str, tmp_path: Path) -> Iterator[Bench]:
    """The application in a namespace of its own."""
    made = Bench(cluster_one, namespace, tmp_path)
    text = (CLAIM if made.bed else "") + APPLICATION
    made.admin.run("apply", "-n", namespace, "-f", "-", given=text)
    try:
        yield made
    finally:
        made.close()


async def test_self_service_with_enough_rights_backs_up_and_restores(bench: Bench) -> None:
    """Attack (e) on the way: a forged name is refused, and a desktop drives its own user only."""
    namespace = bench.home
    async with open_engine(bench.folder / "desk") as desk:
        await bench.prepare(desk)
        owner = bench.account("owner")
        for role in (SELF_SERVICE, "admin"):
            bench.bind(owner, role)
        other = Account(owner.cluster, "system:admin")
        subject = {"kind": "Namespace", "name": namespace}
        forged = other.action("BackupAction", namespace, subject=subject)
        told = owner.cluster.refused("create", "-f", "-", given=forged)
        assert FORGED in told

        await desk.clusters.watch(CLUSTER, take_over=True)
        action = await owner.ask("BackupAction", namespace, subject=subject)
        status = await bench.waits(action, "OtherRequester")
        assert status["phase"] == "Pending"
    async with bench.engine_in_the_cluster():
        status = await bench.ended(action)
        assert status["outcome"] == "Complete", status
        point = {"kind": "RestorePoint", "name": status["restorePoint"]["name"]}
        await asyncio.to_thread(bench.admin.run, "delete", "-n", namespace, *MADE)
        # in place: the owner's own RoleBindings are there, and the claim gets another volume
        restore = await owner.ask("RestoreAction", namespace, subject=point, inPlace=True)
        status = await bench.ended(restore)
        assert status["outcome"] == "Complete", status
    there = bench.admin.run("get", "-n", namespace, *MADE, "-o", "name").split()
    assert len(there) == len(MADE)


class Attack(NamedTuple):
    """An action that must be refused: with which codes, or with which words at admission."""

    who: Account
    kind: str
    namespace: str
    spec: dict[str, Any]
    code: str = ""  # the engine's
    failures: frozenset[str] = frozenset()
    words: str = ""  # the API server's


class Cast(NamedTuple):
    """Who attacks, where, and what they want."""

    eve: Account  # an administrator of her own namespace, who may ask for work in ours
    mallory: str  # that namespace; her point `stolen` names the shop's content
    heir: Account  # owner of a namespace that was made anew
    anew: str  # with a point that names the content of its former owner
    inherited: str
    viewer: Account
    grantor: Account  # may make Roles and RoleBindings, but bind and escalate nothing
    point: str  # of the shop
    content: str


async def cast(bench: Bench) -> Cast:
    """Everybody, and a point of the shop, whose objects are gone."""
    shop = bench.home
    owner, viewer, grantor = (bench.account(name) for name in ("owner", "viewer", "grantor"))
    mallory = bench.another("mallory")
    eve = bench.account("eve", mallory)
    for account, role, where in (
        (owner, SELF_SERVICE, shop),
        (viewer, SELF_SERVICE, shop),
        (viewer, "view", shop),
        (grantor, SELF_SERVICE, shop),
        (grantor, "edit", shop),
        (eve, SELF_SERVICE, mallory),
        (eve, "admin", mallory),
        (eve, SELF_SERVICE, NAMESPACE),
    ):
        bench.bind(account, role, where)
    bench.allow(grantor, "granting", shop, "create", f"roles.{RBAC}", f"rolebindings.{RBAC}")
    bench.allow(eve, "pointing", mallory, "create", "restorepoints.kubehaven.io")
    point = await bench.back_up(owner)
    wanted = content_of(bench, point, shop)
    heir, anew, inherited = await made_anew(bench)
    for account, where, name, ref in (
        (eve, mallory, "stolen", wanted),
        (heir, anew, inherited["name"], inherited),
    ):
        named = {
            "apiVersion": API_VERSION,
            "kind": "RestorePoint",
            "metadata": {"name": name, "namespace": where},
            "spec": {"restorePointContentRef": ref},
        }
        await asyncio.to_thread(account.cluster.create, named)
    await asyncio.to_thread(bench.admin.run, "delete", "-n", shop, *MADE)
    return Cast(
        *(eve, mallory, heir, anew, inherited["name"], viewer, grantor, point, wanted["name"])
    )


def attacks(shop: str, who: Cast) -> Iterator[Attack]:
    """The letters are architecture's: who may ask for what."""
    eve, mallory = who.eve, who.mallory
    stolen = {"kind": "RestorePoint", "name": "stolen"}
    inherited = {"kind": "RestorePoint", "name": who.inherited}
    content = {"kind": "RestorePointContent", "name": who.content}
    mine, theirs = ({"kind": "Namespace", "name": name} for name in (mallory, shop))
    # a
    yield Attack(eve, "RestoreAction", mallory, {"subject": stolen}, "point.not_bound")
    yield Attack(who.heir, "RestoreAction", who.anew, {"subject": inherited}, "point.not_bound")
    # b
    other = {"subject": stolen, "targetNamespace": shop}
    told = "spec.targetNamespace names another namespace"
    yield Attack(eve, "RestoreAction", mallory, other, words=told)
    told = "spec.subject must be a RestorePoint of this namespace"
    yield Attack(eve, "RestoreAction", mallory, {"subject": content}, words=told)
    told = "spec.subject must be the namespace that the action is in"
    yield Attack(eve, "BackupAction", mallory, {"subject": theirs}, words=told)
    # d
    own = {"subject": {"kind": "RestorePoint", "name": who.point}, "inPlace": True}
    grants, both = frozenset({"restore.grants"}), frozenset({"restore.grants", "restore.rights"})
    yield Attack(who.grantor, "RestoreAction", shop, own, "restore.blocked", grants)
    yield Attack(who.viewer, "RestoreAction", shop, own, "restore.blocked", both)
    # f
    hook = {"podSelector": "app=web", "pre": ["true"]}
    told = "spec.hooks are allowed in the namespace kubehaven only"
    yield Attack(eve, "BackupAction", mallory, {"subject": mine, "hooks": [hook]}, words=told)
    elsewhere = {"subject": mine, "hooks": [{**hook, "namespace": shop}]}
    yield Attack(eve, "BackupAction", NAMESPACE, elsewhere, "action.hook_elsewhere")
    asked = {"subject": theirs, "hooks": [hook]}
    yield Attack(eve, "BackupAction", NAMESPACE, asked, "action.hook_rights")


async def test_attacks_are_refused_with_their_reasons_before_anything_is_written(
    bench: Bench,
) -> None:
    async with open_engine(bench.folder / "desk") as desk:
        await bench.prepare(desk)
    async with bench.engine_in_the_cluster():
        who = await cast(bench)
        begun = len(bench.writes)
        for attack in attacks(bench.home, who):
            if attack.words:
                body = attack.who.action(attack.kind, attack.namespace, **attack.spec)
                tried = ("create", "-f", "-")
                said = await asyncio.to_thread(attack.who.cluster.refused, *tried, given=body)
                assert attack.words in said, (attack, said)
                continue
            action = await attack.who.ask(attack.kind, attack.namespace, **attack.spec)
            status = await bench.ended(action)
            assert status["outcome"] == "Failed", (attack, status)
            assert status["error"]["code"] == attack.code, (attack, status)
            assert status["error"]["message"], (attack, status)
            failures = {failure["code"] for failure in status.get("failures", ())}
            assert failures == attack.failures, (attack, status)
        written = [write for write in bench.writes[begun:] if not write.path.endswith("/status")]
        assert written == []


def content_of(bench: Bench, point: str, namespace: str) -> dict[str, str]:
    """The content of a point, as a RestorePoint names it."""
    raw = bench.admin.read(f"restorepoints.kubehaven.io/{point}", "-n", namespace)
    ref: dict[str, str] = raw["spec"]["restorePointContentRef"]
    return ref


async def made_anew(bench: Bench) -> tuple[Account, str, dict[str, str]]:
    """A namespace that was backed up, deleted, and made again by somebody else.

    Returns:
        Who has it now, the namespace, and the content of its former owner.
    """
    namespace = bench.another("anew")
    before = bench.account("owner", namespace)
    bench.bind(before, SELF_SERVICE, namespace)
    point = await bench.back_up(before, namespace)
    ref = content_of(bench, point, namespace)
    gone = ("delete", "namespace", namespace, "--timeout=100s")
    await asyncio.to_thread(bench.admin.run, *gone)
    bench.admin.run("create", "namespace", namespace)
    after = bench.account("heir", namespace)
    for role in (SELF_SERVICE, "admin"):
        bench.bind(after, role, namespace)
    bench.allow(after, "pointing", namespace, "create", "restorepoints.kubehaven.io")
    return after, namespace, ref
