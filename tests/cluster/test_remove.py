"""Kubehaven is taken out of a real cluster and put back; the data of its points stays."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from console.engine import RestoreRequest, open_engine
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model import kinds
from console.engine.model.names import NAMESPACE, WORKERS_NAMESPACE
from tests.cluster.sample import with_workers
from tests.cluster.test_retirement import IMAGE, Desk, write_something

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import RealCluster


async def test_remove_and_prepare_bring_the_points_back_with_their_data(
    cluster_one: RealCluster, namespace: str, tmp_path: Path
) -> None:
    with_workers(cluster_one)
    write_something(cluster_one, namespace)
    async with (
        open_engine(tmp_path / "home") as engine,
        KubeClient(read_kubeconfig(cluster_one.kubeconfig)) as client,
    ):
        desk = Desk(engine, client, f"c{uuid.uuid4().hex[:6]}")
        await engine.clusters.add(desk.cluster, str(cluster_one.kubeconfig))
        await prepared(desk)
        await there_and_back(desk, cluster_one, namespace)


async def prepared(desk: Desk) -> tuple[str, ...]:
    """Prepare as shown, and drive; the local points that were found again."""
    clusters = desk.engine.clusters
    plan = await clusters.plan_prepare(desk.cluster)
    done = await clusters.prepare(desk.cluster, plan_hash=plan.hash)
    await clusters.watch(desk.cluster, take_over=True)
    return done.recovered


async def there_and_back(desk: Desk, cluster: RealCluster, namespace: str) -> None:
    """A backup; all of ours goes but data; it comes back and restores the same."""
    clusters = desk.engine.clusters
    token = uuid.uuid4().hex
    cluster.kubectl(
        "exec", "-n", namespace, "writer", "--", "sh", "-c", f"echo {token} > /data/token; sync"
    )
    point = (await desk.back_up(namespace))["metadata"]["name"]
    before = await standing(desk.client, namespace)
    plan = await clusters.plan_remove(desk.cluster)
    assert plan.blockers == ()
    await clusters.remove(desk.cluster, plan_hash=plan.hash)

    gone = {(one.resource, one.namespace, one.name) for one in plan.objects if one.verb == "delete"}
    after = await standing(desk.client, namespace)
    assert {key for key in before.keys() - after.keys() if key not in gone} == set()
    assert not {key for key in after if key in gone}
    assert all(before[key] == uid for key, uid in after.items() if key in before)
    assert not [key for key in after if key[0] == CRDS and key[2].endswith(".kubehaven.io")]

    assert point in await prepared(desk)
    target = f"{namespace[:50]}-again"
    try:
        ref = await desk.engine.actions.restore(
            desk.cluster, RestoreRequest(point=point, target=target)
        )
        await desk.ended(ref)
        cluster.kubectl("apply", "-n", target, "-f", "-", stdin=json.dumps(READER))
        cluster.kubectl(
            "wait", "-n", target, "pod/reader", "--for=condition=Ready", "--timeout=180s"
        )
        said = cluster.kubectl("exec", "-n", target, "reader", "--", "cat", "/data/token")
        assert said.strip() == token
    finally:
        cluster.kubectl("delete", "namespace", target, "--wait=false", "--ignore-not-found")


CRDS = kinds.CRDS.resource
READER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "reader"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "reader",
                "image": IMAGE,
                "command": ["sleep", "100000"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    },
}
PASSING = {
    "apiservices.apiregistration.k8s.io",  # the API server makes one for each group
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "namespaces",
    "persistentvolumes",
    "volumeattachments.storage.k8s.io",
}


async def standing(client: KubeClient, namespace: str) -> dict[tuple[str, str, str], str]:
    """The uid of every object of the cluster, ours and an application's namespace.

    Not of our own kinds, and not what comes and goes by itself or with other tests.
    """
    found = {}
    homes = {"", NAMESPACE, WORKERS_NAMESPACE, namespace}
    for one in await client.discover():
        kind = one.kind
        if not one.preferred or "list" not in one.verbs or kind.group == "kubehaven.io":
            continue
        if kind.resource in PASSING or kind.group.startswith("metrics"):
            continue
        for raw in await client.list(kind, metadata_only=True):
            meta = raw["metadata"]
            if "uid" not in meta or "deletionTimestamp" in meta:
                continue  # what the cut's adoption has let go is on its way out
            if kind == kinds.SNAPSHOT_CONTENTS and meta["name"].startswith("snapcontent-"):
                continue  # of a cut's original; an adopted snapshot's has a name of ours
            if kind == kinds.SNAPSHOTS and meta["namespace"] == namespace:
                continue
            if meta.get("namespace", "") in homes:
                found[kind.resource, meta.get("namespace", ""), meta["name"]] = meta["uid"]
    return found
