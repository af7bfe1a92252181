"""Who may do what, asked of a real API server: the shipped roles, and what admission refuses."""

from __future__ import annotations

import asyncio
import json
import uuid
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from console.engine import RestoreRequest, open_engine
from console.engine.aiokit import side_by_side
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.kube.manifests import ADMISSION_POLICIES, wanted
from console.engine.model import kinds
from console.engine.model.kinds import Kind
from console.engine.model.names import API_VERSION, NAMESPACE, WORKERS_NAMESPACE
from console.engine.model.record import Requester
from tests.cluster.bed.processes import BedFault
from tests.cluster.sample import with_workers
from tests.cluster.test_retirement import Desk, write_something

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from console.engine import Engine
    from console.engine.model.kinds import RawObject
    from tests.cluster.conftest import RealCluster

ELSEWHERE = "kube-public"
RBAC = "rbac.authorization.k8s.io"
LONG_S = 120.0
ROLES = ("viewer", "operator", "admin", "self-service", "engine")


class Prepared(NamedTuple):
    """A prepared cluster as its administrator sees it."""

    cluster: RealCluster
    engine: Engine
    client: KubeClient
    name: str
    folder: Path


@pytest.fixture
async def prepared(cluster_one: RealCluster, tmp_path: Path) -> AsyncIterator[Prepared]:
    name = f"c{uuid.uuid4().hex[:6]}"
    async with (
        open_engine(tmp_path / "home") as engine,
        KubeClient(read_kubeconfig(cluster_one.kubeconfig)) as client,
    ):
        await engine.clusters.add(name, str(cluster_one.kubeconfig))
        plan = await engine.clusters.plan_prepare(name)
        await engine.clusters.prepare(name, plan_hash=plan.hash)
        yield Prepared(cluster_one, engine, client, name, tmp_path)


def user(role: str) -> str:
    """Who has a role."""
    return f"{role}@example.com"


@pytest.fixture
async def bound(prepared: Prepared, namespace: str) -> AsyncIterator[str]:
    """Each role has a user; self-service in one namespace, which is the result."""
    bindings: list[RawObject] = []
    for role in ROLES:
        subject = {"kind": "User", "name": user(role), "apiGroup": RBAC}
        bindings += bind(role, subject, namespace if role == "self-service" else "")
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": bindings})
    prepared.cluster.kubectl("apply", "-f", "-", stdin=text)
    for role in ROLES:
        await bindings_hold(prepared.client, role, user(role), namespace)
    yield namespace
    prepared.cluster.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=text)


def bind(role: str, subject: RawObject, namespace: str = "") -> Iterator[RawObject]:
    """What gives somebody a role of ours, in one namespace or in all."""
    name = f"kubehaven-{role}"
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    yield binding(kind, {"namespace": namespace} if namespace else {}, ref, subject)
    for one in wanted():
        if one.kind.plural == "roles" and one.name == name:
            ref = {"apiGroup": RBAC, "kind": "Role", "name": name}
            yield binding("RoleBinding", {"namespace": one.namespace}, ref, subject)


async def bindings_hold(client: KubeClient, role: str, name: str, namespace: str) -> None:
    """Wait until the authorizer has heard of every binding of a role."""
    signs = [(kinds.BACKUP_ACTIONS, namespace, "list")]
    if role == "admin":
        signs += [(kinds.SECRETS, NAMESPACE, "patch")]
    if role == "engine":
        signs += [(kinds.SECRETS, where, "delete") for where in (NAMESPACE, WORKERS_NAMESPACE)]
    async with asyncio.timeout(LONG_S):
        for kind, where, verb in signs:
            while True:
                if await client.may(Requester(username=name), verb, kind, where):
                    break
                await asyncio.sleep(0.2)


def binding(kind: str, where: dict[str, str], ref: RawObject, subject: RawObject) -> RawObject:
    """A binding of the tests' own."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": f"t-{subject['kind'].lower()}-{ref['name']}", **where},
        "roleRef": ref,
        "subjects": [subject],
    }


READ = ("get", "list", "watch")
ASK = (*READ, "create", "update", "patch", "delete")
NOTHING: tuple[str, ...] = ()
CREATED = (*READ, "create", "patch")
ROLE_KIND = Kind(RBAC, "v1", "roles", "Role")
BINDING_KIND = Kind(RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES = Kind(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
EXEC = Kind("", "v1", "pods/exec", "PodExecOptions")
STATUS = Kind("kubehaven.io", "v1alpha1", "restorepointcontents/status", "x", namespaced=False)
POINT_STATUS = Kind("kubehaven.io", "v1alpha1", "restoreactions/status", "x")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "bind", "escalate")

# kind, namespace ("" = the application's own), and what each role may, in the order of ROLES
MATRIX: tuple[tuple[Kind, str, tuple[tuple[str, ...], ...]], ...] = (
    (kinds.BACKUP_ACTIONS, "", (READ, ASK, ASK, ASK, ASK)),
    (kinds.EXPORT_ACTIONS, "", (READ, ASK, ASK, ASK, ASK)),
    (kinds.RESTORE_ACTIONS, "", (READ, ASK, ASK, ASK, ASK)),
    (kinds.RETIRE_ACTIONS, "", (READ, READ, ASK, NOTHING, ASK)),
    (kinds.BACKUP_ACTIONS, NAMESPACE, (READ, ASK, ASK, NOTHING, ASK)),
    (kinds.RESTORE_ACTIONS, NAMESPACE, (READ, ASK, ASK, NOTHING, ASK)),
    (kinds.RETIRE_ACTIONS, NAMESPACE, (READ, READ, ASK, NOTHING, ASK)),
    (kinds.RESTORE_ACTIONS, ELSEWHERE, (READ, ASK, ASK, NOTHING, ASK)),
    (POINT_STATUS, "", (READ, READ, READ, NOTHING, ASK)),
    (kinds.RESTORE_POINTS, "", (READ, READ, (*READ, "delete"), READ, ASK)),
    (kinds.RESTORE_POINTS, ELSEWHERE, (READ, READ, (*READ, "delete"), NOTHING, ASK)),
    (kinds.RESTORE_POINT_CONTENTS, "", (READ, READ, (*READ, "delete"), NOTHING, ASK)),
    (STATUS, "", (READ, READ, READ, NOTHING, ASK)),
    (kinds.LOCATIONS, NAMESPACE, (READ, READ, ASK, NOTHING, ASK)),
    (kinds.SETTINGS, NAMESPACE, (READ, READ, ASK, NOTHING, ASK)),
    (
        kinds.SECRETS,
        NAMESPACE,
        (
            NOTHING,
            NOTHING,
            ("get", "list", "create", "patch"),
            NOTHING,
            (*CREATED, "delete"),
        ),
    ),
    (kinds.SECRETS, WORKERS_NAMESPACE, (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "delete"))),
    (kinds.SECRETS, "", (NOTHING, NOTHING, NOTHING, NOTHING, CREATED)),
    (
        kinds.JOBS,
        WORKERS_NAMESPACE,
        (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "delete")),
    ),
    (kinds.JOBS, "", (NOTHING, NOTHING, NOTHING, NOTHING, CREATED)),
    (kinds.PODS, "", (NOTHING, NOTHING, NOTHING, NOTHING, CREATED)),
    (EXEC, "", (NOTHING, NOTHING, NOTHING, NOTHING, CREATED)),
    (kinds.CLAIMS, "", (READ, READ, READ, NOTHING, (*CREATED, "delete"))),
    (kinds.VOLUMES, "", (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "delete"))),
    (
        kinds.SNAPSHOTS,
        WORKERS_NAMESPACE,
        (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "delete")),
    ),
    (
        kinds.SNAPSHOT_CONTENTS,
        "",
        (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "delete")),
    ),
    (kinds.DEPLOYMENTS, "", (READ, READ, READ, NOTHING, CREATED)),
    (kinds.NAMESPACES, "", (READ, READ, READ, NOTHING, CREATED)),
    (kinds.LEASES, NAMESPACE, (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "update"))),
    (kinds.CRDS, "", (NOTHING, NOTHING, NOTHING, NOTHING, CREATED)),
    (ROLE_KIND, "", (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "bind", "escalate"))),
    (CLUSTER_ROLES, "", (NOTHING, NOTHING, NOTHING, NOTHING, (*CREATED, "bind", "escalate"))),
    (BINDING_KIND, "", (NOTHING, NOTHING, NOTHING, NOTHING, CREATED)),
)


async def test_the_matrix_of_roles_verbs_and_kinds(prepared: Prepared, bound: str) -> None:
    async def differs(kind: Kind, where: str, role: str, allowed: tuple[str, ...]) -> str:
        who = Requester(username=user(role))
        namespace = (where or bound) if kind.namespaced else ""
        may = {verb for verb in VERBS if await prepared.client.may(who, verb, kind, namespace)}
        wrong = sorted(may ^ set(allowed))
        return f"{role} {kind.resource} in {where!r}: {wrong}" if wrong else ""

    questions = [
        partial(differs, kind, where, role, allowed)
        for kind, where, row in MATRIX
        for role, allowed in zip(ROLES, row, strict=True)
    ]
    assert not [answer for answer in await side_by_side(questions, at_once=16) if answer]


async def test_nobody_gets_a_role_of_ours_by_itself(prepared: Prepared) -> None:
    for name in ("admin", "edit", "view"):
        raw = await prepared.client.get(CLUSTER_ROLES, name)
        assert not any("kubehaven.io" in rule.get("apiGroups", ()) for rule in raw["rules"])


async def test_what_is_printed_is_taken_by_kubectl(prepared: Prepared) -> None:
    manifests = await prepared.engine.clusters.manifests(prepared.name)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests.objects})
    said = prepared.cluster.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert len(said.splitlines()) == len(manifests.objects)
    for raw in await prepared.client.list(ADMISSION_POLICIES):
        if raw["metadata"]["name"].startswith("kubehaven"):
            assert not raw.get("status", {}).get("typeChecking", {}).get("expressionWarnings"), raw


def asked(kind: str, namespace: str, **spec: object) -> RawObject:
    """An action as somebody writes it."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"generateName": "t-", "namespace": namespace},
        "spec": spec,
    }


def point(name: str = "p", **more: str) -> RawObject:
    return {"kind": "RestorePoint", "name": name, **more}


SELF = {"username": "self-service@example.com"}
FORGED = {"requestedBy": {"username": "admin@example.com"}}
TRANSFORM = {
    "name": "make-me-admin",
    "subject": {"group": RBAC, "resource": "rolebindings"},
    "json": [{"op": "replace", "path": "/roleRef/name", "value": '"cluster-admin"'}],
}
RETIRED: RawObject = {
    "subject": {"name": "shop"},
    "points": [{"name": "p", "uid": "u", "id": "i", "kind": "local"}],
}
HOOK = {"podSelector": "a=b", "pre": ["true"]}
# attack (architecture: Who may ask for what), kind, what differs from an honest action, the reason
REFUSED: tuple[tuple[str, str, RawObject, str], ...] = (
    ("e", "RestoreAction", {"subject": point(), **FORGED}, "is not the user of this request"),
    (
        "e",
        "RestoreAction",
        {"subject": point(), "requestedBy": {**SELF, "groups": ["system:masters"]}},
        "a group that the user of this request is not in",
    ),
    ("e", "RestoreAction", {"subject": point(), "requestedBy": None}, "requestedBy is missing"),
    ("c", "RestoreAction", {"subject": point(), "transforms": [TRANSFORM]}, "spec.transforms are"),
    ("b", "RestoreAction", {"subject": point(), "targetNamespace": ELSEWHERE}, "another namespace"),
    ("b", "RestoreAction", {"subject": point(namespace=ELSEWHERE)}, "names another namespace"),
    (
        "a",
        "RestoreAction",
        {"subject": {"kind": "RestorePointContent", "name": "p"}},
        "must be a RestorePoint of this namespace",
    ),
    ("b", "BackupAction", {"subject": {"name": ELSEWHERE}}, "must be the namespace"),
    ("f", "BackupAction", {"hooks": [HOOK]}, "spec.hooks are allowed in the namespace kubehaven"),
    (
        "b",
        "ExportAction",
        {"subject": point(namespace=ELSEWHERE), "profile": {"name": "x"}},
        "must be a RestorePoint of the namespace",
    ),
)


async def test_attacks_are_refused_at_admission(prepared: Prepared, bound: str) -> None:
    who = user("self-service")
    me = SELF
    honest: dict[str, RawObject] = {
        "RestoreAction": {"subject": point(), "requestedBy": me},
        "BackupAction": {"subject": {"name": bound}, "requestedBy": me},
        "ExportAction": {"subject": point(), "profile": {"name": "x"}, "requestedBy": me},
    }
    await admission_works(prepared, bound)
    for kind, spec in honest.items():
        create(prepared, who, asked(kind, bound, **spec))
    for attack, kind, more, reason in REFUSED:
        spec = {key: value for key, value in (honest[kind] | more).items() if value is not None}
        with pytest.raises(BedFault) as caught:
            create(prepared, who, asked(kind, bound, **spec))
        assert "denied request" in str(caught.value), (attack, kind, more)
        assert reason in str(caught.value), (attack, kind, more)
    who = user("admin")
    body = asked("RetireAction", bound, **RETIRED, requestedBy={"username": who})
    with pytest.raises(BedFault, match="retired from the namespace kubehaven only"):
        create(prepared, who, body)


def create(prepared: Prepared, who: str, body: RawObject, *words: str) -> None:
    """Create as somebody."""
    prepared.cluster.kubectl("create", f"--as={who}", *words, "-f", "-", stdin=json.dumps(body))


async def admission_works(prepared: Prepared, namespace: str) -> None:
    """Wait until each of our policies is active, which it is a moment after it was written."""
    foreign, who = point(namespace=ELSEWHERE), {"username": user("engine")}
    tries: tuple[tuple[str, str, RawObject], ...] = (
        ("requested-by", "RestoreAction", {"subject": point(), **FORGED}),
        ("own-restore", "RestoreAction", {"subject": foreign, "requestedBy": who}),
        ("own-backup", "BackupAction", {"subject": {"name": ELSEWHERE}, "requestedBy": who}),
        (
            "own-export",
            "ExportAction",
            {"subject": foreign, "profile": {"name": "x"}, "requestedBy": who},
        ),
        ("retire", "RetireAction", {**RETIRED, "requestedBy": who}),
    )
    async with asyncio.timeout(LONG_S):
        for name, kind, spec in tries:
            body = asked(kind, namespace, **spec)
            while True:
                try:
                    create(prepared, user("engine"), body, "--dry-run=server")
                except BedFault as error:
                    if f"'kubehaven-{name}'" in str(error):
                        break
                await asyncio.sleep(0.2)


async def test_the_engines_role_is_enough_on_a_real_cluster(
    prepared: Prepared, namespace: str
) -> None:
    """A backup and a restore with a Role that gives more than the engine may do itself."""
    with_workers(prepared.cluster)
    write_something(prepared.cluster, namespace)
    account = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    for words in (
        ("create", "role", "boss", "--verb=deletecollection", "--resource=pods"),
        ("create", "rolebinding", "boss", "--role=boss", f"--serviceaccount={namespace}:default"),
        ("create", "serviceaccount", "engine"),
    ):
        prepared.cluster.kubectl("-n", namespace, *words)
    subject = {"kind": "ServiceAccount", "name": "engine", "namespace": namespace}
    bindings = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*bind("engine", subject)]})
    prepared.cluster.kubectl("apply", "-f", "-", stdin=bindings)
    who = f"system:serviceaccount:{namespace}:engine"
    await bindings_hold(prepared.client, "engine", who, namespace)
    target = f"{namespace[:50]}-again"
    try:
        async with open_engine(prepared.folder / "engine") as engine:
            path = kubeconfig_of(prepared, namespace)
            desk = Desk(engine, prepared.client, "engine")
            await engine.clusters.add(desk.cluster, str(path))
            await engine.clusters.watch(desk.cluster, take_over=True)
            point = (await desk.back_up(namespace))["metadata"]["name"]
            request = RestoreRequest(point=point, target=target)
            await desk.ended(await engine.actions.restore(desk.cluster, request))
        restored = await prepared.client.get(BINDING_KIND, "boss", target)
        assert restored["subjects"] == [{**account, "namespace": target}]
    finally:
        prepared.cluster.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=bindings)
        prepared.cluster.kubectl(
            "delete", "namespace", target, "--wait=false", "--ignore-not-found"
        )


def kubeconfig_of(prepared: Prepared, namespace: str) -> Path:
    """A kubeconfig for the account `engine`, and for nobody else."""
    token = prepared.cluster.kubectl("create", "token", "engine", "-n", namespace).strip()
    text = prepared.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json")
    config = json.loads(text)
    config["users"] = [{"name": one["name"], "user": {"token": token}} for one in config["users"]]
    path = prepared.folder / "engine.kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path
