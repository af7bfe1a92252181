"""One object of every built-in namespaced kind, backed up and restored into another namespace."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.engine import ActionRef, ActionView, Engine, RestoreRequest, open_engine
from tests.cluster.bed.processes import wait_until

if TYPE_CHECKING:
    from tests.cluster.conftest import RealCluster

CLUSTER = "one"
EVERYTHING = (Path(__file__).parent / "every_kind.yaml").read_text()
KINDS = (
    "configmaps,secrets,serviceaccounts,services,limitranges,resourcequotas,podtemplates,"
    "replicationcontrollers,replicasets,deployments,daemonsets,statefulsets,jobs,cronjobs,"
    "horizontalpodautoscalers,poddisruptionbudgets,ingresses,networkpolicies,roles,rolebindings"
)


async def test_every_kind_comes_back_in_another_namespace(
    cluster_one: RealCluster, namespace: str, tmp_path: Path
) -> None:
    made = EVERYTHING.replace("NAMESPACE", namespace)
    await asyncio.to_thread(cluster_one.kubectl, "-n", namespace, "create", "-f", "-", stdin=made)
    await asyncio.to_thread(is_settled, cluster_one, namespace)
    copy = f"{namespace}-copy"
    try:
        async with open_engine(tmp_path / "home") as engine:
            await engine.clusters.add(CLUSTER, str(cluster_one.kubeconfig))
            plan = await engine.clusters.plan_prepare(CLUSTER)
            await engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
            await engine.clusters.watch(CLUSTER, take_over=True)
            backup = await finished(engine, await engine.actions.back_up(CLUSTER, namespace))
            assert backup.outcome == "Complete", (backup.error, backup.failures)
            request = RestoreRequest(point=backup.point, target=copy)
            preview = await engine.restore_points.preview(CLUSTER, request)
            assert not preview.blockers
            ref = await engine.actions.restore(CLUSTER, request, plan_hash=preview.hash)
            restore = await finished(engine, ref)
            assert restore.outcome == "Complete", restore.failures
        before = await asyncio.to_thread(objects, cluster_one, namespace)
        after = await asyncio.to_thread(objects, cluster_one, copy)
    finally:
        await asyncio.to_thread(
            cluster_one.kubectl, "delete", "namespace", copy, "--wait=false", "--ignore-not-found"
        )
    # a finished Job would run again; the rest is there, and what the platform adds
    assert before.keys() - after.keys() == {("Job", "finished")}
    compare(before, after, copy)


def compare(before: dict[Any, Any], after: dict[Any, Any], copy: str) -> None:
    """What must be the same, and what must not."""
    for key in (
        ("StatefulSet", "sts"),
        ("Deployment", "deploy"),
        ("CronJob", "cron"),
        ("HorizontalPodAutoscaler", "one"),
        ("PodDisruptionBudget", "one"),
        ("NetworkPolicy", "one"),
        ("Ingress", "one"),
    ):
        assert after[key]["spec"] == before[key]["spec"], key
    for name in ("node", "byhand", "headless", "balanced", "outside"):
        old, new = (where["Service", name]["spec"] for where in (before, after))
        for field in ("type", "selector", "sessionAffinity", "externalTrafficPolicy"):
            assert new.get(field) == old.get(field), (name, field)
        headless = old.get("clusterIP") in {None, "None"}
        assert (new.get("clusterIP") == old.get("clusterIP")) == headless, name
    selectors = [where["Job", "running"]["spec"]["selector"] for where in (before, after)]
    assert selectors[0] != selectors[1]  # its own uid is in it
    assert after["RoleBinding", "one"]["subjects"][0]["namespace"] == copy
    assert after["ServiceAccount", "one"]["imagePullSecrets"] == [{"name": "one"}]


def is_settled(cluster: RealCluster, namespace: str) -> None:
    """Wait until the source's workloads stand, and its finished Job is finished."""

    def holds() -> bool:
        found = objects(cluster, namespace)
        ready = (
            found["StatefulSet", "sts"]["status"].get("readyReplicas") == 2
            and found["Deployment", "deploy"]["status"].get("readyReplicas") == 1
        )
        ended = found["Job", "finished"]["status"].get("completionTime")
        return bool(ready and ended and found["Job", "running"]["status"].get("active"))

    wait_until("the source's workloads", holds, limit_s=180)


def objects(cluster: RealCluster, namespace: str) -> dict[tuple[str, str], Any]:
    """The objects that do not belong to another, by kind and name."""
    told = json.loads(cluster.kubectl("-n", namespace, "get", KINDS, "-o", "json"))
    return {
        (obj["kind"], obj["metadata"]["name"]): obj
        for obj in told["items"]
        if "ownerReferences" not in obj["metadata"]
    }


async def finished(engine: Engine, ref: ActionRef) -> ActionView:
    """The action when it has ended."""
    async with asyncio.timeout(300), contextlib.aclosing(engine.events()) as events:
        async for event in events:
            for row in getattr(event, "rows", ()) or getattr(event, "upserts", ()):
                if isinstance(row, ActionView) and row.uid == ref.uid and row.phase == "Finished":
                    return row
    raise AssertionError("the events ended")
