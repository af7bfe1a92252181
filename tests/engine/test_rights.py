"""Who lacks a right is told before anything is written."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from console.engine import RestoreRequest, open_engine
from console.engine.actions.authorising import missing_rights
from console.engine.controller.asking import KIND_OF
from console.engine.model import kinds
from console.engine.model.kinds import NAMESPACES
from console.engine.model.names import API_VERSION, NAMESPACE
from console.engine.model.record import Requester
from console.engine.plan.rights import RBAC, Need, Right
from console.sandbox.access import EVERYTHING, Rule
from tests.engine.story import CLUSTER, Stage
from tests.engine.test_swap import restored_in_place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from console.engine.kube import KubeClient, Write
    from console.engine.model.kinds import RawObject

ASK = Rule(("create",), ("kubehaven.io",), ("*",))


def user(stage: Stage, name: str, *rules: Rule) -> Path:
    """The kubeconfig of somebody with these rights and no others."""
    token = stage.sandbox.access.add(name, rules=rules)
    path = stage.folder / f"kubeconfig-{name}"
    stage.sandbox.write_kubeconfig(path, token)
    return path


async def test_rights_are_asked_once_each_and_an_alternative_counts(stage: Stage) -> None:
    nobody = Requester(username="nobody")
    secrets = Right("create", kinds.SECRETS, "shop")
    needs = [Need(secrets), Need(secrets, ((Right("get", kinds.PODS, "shop"),),), "x")]
    async with stage.client() as client:
        assert await missing_rights(client, needs, user=None) == ()
        assert await missing_rights(client, needs, user=nobody) == tuple(needs)


async def test_a_restore_by_who_may_not_create_is_blocked_in_preview_and_action(
    stage: Stage, tmp_path: Path
) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    point = await stage.point("local")
    request = RestoreRequest(point=point.name, target="elsewhere")
    kubeconfig = user(stage, "reader", Rule(("get", "list", "watch"), ("*",), ("*",)), ASK)
    async with open_engine(tmp_path / "reader") as engine:
        await engine.clusters.add(CLUSTER, str(kubeconfig))
        preview = await engine.restore_points.preview(CLUSTER, request)
        lacks = {blocker.message for blocker in preview.blockers}
        assert {blocker.code for blocker in preview.blockers} == {"restore.rights"}
        assert "this account may not create namespaces" in lacks
    async with stage.client() as client:
        assert await client.find(NAMESPACES, "elsewhere") is None


BINDINGS = kinds.Kind(RBAC, "v1", "rolebindings", "RoleBinding")
TO_ADMIN: RawObject = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "mighty", "namespace": "visits"},
    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "visits"}],
}


@contextlib.asynccontextmanager
async def engine_in_the_cluster(stage: Stage) -> AsyncIterator[list[Write]]:
    """An engine with every right drives instead of the stage's; what it writes."""
    await stage.engine.clusters.forget(CLUSTER)
    writes: list[Write] = []

    async def note(write: Write) -> None:
        writes.append(write)

    home = stage.folder / "in-cluster"
    async with open_engine(home, host_kind="cluster", on_write=note) as engine:
        await engine.clusters.add(CLUSTER, str(stage.sandbox.kubeconfig))
        await engine.clusters.watch(CLUSTER)
        yield writes


async def decided(client: KubeClient, kind: Any, who: str, **spec: Any) -> RawObject:
    """The status of an action that `who` asked for, when it has ended."""
    body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"generateName": f"{who}-", "namespace": NAMESPACE},
        "spec": {**spec, "requestedBy": {"username": who, "verified": True}},
    }
    made = await client.create(KIND_OF[kind], body)
    raw = await client.wait_for(
        KIND_OF[kind],
        made["metadata"]["name"],
        NAMESPACE,
        lambda raw: raw.get("status", {}).get("phase") == "Finished",
        timeout_s=60,
    )
    status: RawObject = raw["status"]
    return status


def retirement(content: RawObject) -> dict[str, Any]:
    """The spec of a RetireAction of a local point, without who asks."""
    meta = content["metadata"]
    freed = [
        {"point": meta["name"], "id": one["snapshot"]["handle"], "pvc": one["pvc"]}
        | {key: one["snapshot"][key] for key in ("driver", "name")}
        for one in content["status"]["volumes"]
    ]
    point = {"name": meta["name"], "uid": meta["uid"], "id": content["spec"]["id"]}
    return {
        "subject": {"kind": "Namespace", "name": "visits", "namespace": "visits"},
        "points": [{**point, "kind": "local"}],
        "data": freed,
        "allowMany": True,
        "allowLast": True,
    }


async def test_an_engine_in_the_cluster_asks_what_the_requester_may_do(stage: Stage) -> None:
    async with stage.client() as client:
        await client.create(BINDINGS, TO_ADMIN)
        row = await restored_in_place(stage, "local")
        assert row.outcome == "Complete", row
        name = (await stage.point("local")).name
        content = await client.get(kinds.RESTORE_POINT_CONTENTS, name)
        point = {"kind": "RestorePointContent", "name": name}
        undone = {"kind": "RestoreAction", "name": row.name, "namespace": row.namespace}
        in_place = {"subject": point, "targetNamespace": "visits", "inPlace": True}
        elsewhere = {"subject": point, "targetNamespace": "elsewhere"}
        undo = {"subject": undone, "targetNamespace": "visits"}
        user(stage, "eve", ASK)
        # what cluster-admin gives is more than to create everything
        user(stage, "maker", ASK, Rule(("create",), ("*",), ("*",)))
        user(stage, "owner", EVERYTHING)
        async with engine_in_the_cluster(stage) as writes:
            for kind, who, code, reason, spec in (
                ("RestoreAction", "eve", "restore.blocked", "restore.rights", in_place),
                ("RestoreAction", "maker", "restore.blocked", "restore.grants", elsewhere),
                ("RestoreAction", "eve", "undo.rights", "undo.rights", undo),
                ("RetireAction", "eve", "retire.blocked", "retire.rights", retirement(content)),
            ):
                status = await decided(client, kind, who, **spec)
                assert status["error"]["code"] == code, status
                assert {failure["code"] for failure in status["failures"]} == {reason}, status
            assert [write for write in writes if not write.path.endswith("/status")] == []
            status = await decided(client, "RestoreAction", "owner", **elsewhere)
            assert status["outcome"] == "Complete", status
