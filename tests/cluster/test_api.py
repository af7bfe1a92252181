"""What only a real API server proves, through the engine's own client."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from console.engine import open_engine
from console.engine.errors import Conflict, EngineError, Expired, NotFound
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.kube.listing import Scope
from console.engine.kube.watching import _changes
from console.engine.model.kinds import BACKUP_ACTIONS, NAMESPACES, SECRETS, SNAPSHOTS
from console.engine.model.names import NAMESPACE
from console.engine.model.record import Requester

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from console.engine.model.kinds import RawObject
    from tests.cluster.conftest import RealCluster

LONG_S = 120.0


@pytest.fixture
async def client(cluster_one: RealCluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(read_kubeconfig(cluster_one.kubeconfig)) as opened:
        yield opened


def _secret(namespace: str, **more: object) -> RawObject:
    metadata = {"name": "one", "namespace": namespace, **more}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"a": "MQ=="}}


async def test_a_version_that_the_server_forgot_is_expired(
    client: KubeClient, namespace: str
) -> None:
    # a kind that came after the cluster's first moments: nobody ever knew its version 1
    changes = _changes(client._connection, Scope(SNAPSHOTS, namespace), "1")
    async with aclosing(changes):
        with pytest.raises(Expired):
            await anext(changes)


async def test_a_field_of_another_manager_conflicts_until_it_is_forced(
    client: KubeClient, cluster_one: RealCluster, namespace: str
) -> None:
    await client.apply(SECRETS, _secret(namespace))
    patch = '{"data":{"a":"Mg=="}}'
    where = ("patch", "secret/one", "-n", namespace, "--type=merge", "-p", patch)
    cluster_one.kubectl(*where, "--field-manager=somebody")
    with pytest.raises(Conflict):
        await client.apply(SECRETS, _secret(namespace))
    made = await client.apply(SECRETS, _secret(namespace), force=True)
    assert made["data"] == {"a": "MQ=="}
    owners = {entry["manager"] for entry in made["metadata"]["managedFields"]}
    assert "kubehaven" in owners


async def test_a_finalizer_holds_an_object_and_its_namespace(client: KubeClient) -> None:
    namespace = await _own_namespace(client)
    made = await client.create(SECRETS, _secret(namespace, finalizers=["example.com/hold"]))
    assert await client.delete(NAMESPACES, namespace)
    held = await client.wait_for(
        SECRETS,
        "one",
        namespace,
        lambda raw: "deletionTimestamp" in raw["metadata"],
        timeout_s=LONG_S,
    )
    assert held["metadata"]["uid"] == made["metadata"]["uid"]
    await client.patch(SECRETS, "one", namespace, merge={"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await client.wait_for(NAMESPACES, namespace, "", lambda _raw: False, timeout_s=LONG_S)


async def test_a_delete_of_another_object_than_meant_is_refused(
    client: KubeClient, namespace: str
) -> None:
    made = await client.create(SECRETS, _secret(namespace))
    with pytest.raises(Conflict):
        await client.delete(SECRETS, "one", namespace, uid=str(uuid.uuid4()))
    with pytest.raises(Conflict):
        await client.delete(SECRETS, "one", namespace, resource_version="1")
    assert await client.delete(SECRETS, "one", namespace, uid=made["metadata"]["uid"])


async def test_reviews_know_who_may_do_what(client: KubeClient, namespace: str) -> None:
    nobody = Requester(username="nobody@example.com")
    assert await client.may(None, "create", SECRETS, namespace)
    assert not await client.may(nobody, "create", SECRETS, namespace)
    assert (await client.whoami()).username


async def test_what_an_action_is_asked_to_do_never_changes(
    client: KubeClient, cluster_one: RealCluster, namespace: str, tmp_path: Path
) -> None:
    """By CEL in the CRD; cancelling stays possible."""
    async with open_engine(tmp_path / "home") as engine:
        await engine.clusters.add("one", str(cluster_one.kubeconfig))
        plan = await engine.clusters.plan_prepare("one")
        await engine.clusters.prepare("one", plan_hash=plan.hash)
        ref = await engine.actions.back_up("one", namespace)
    subject = {"spec": {"subject": {"name": "another"}}}
    with pytest.raises(EngineError, match="subject may not change"):
        await client.patch(BACKUP_ACTIONS, ref.name, NAMESPACE, merge=subject)
    cancel = {"spec": {"cancel": True}}
    await client.patch(BACKUP_ACTIONS, ref.name, NAMESPACE, merge=cancel)
    await client.delete(BACKUP_ACTIONS, ref.name, NAMESPACE)


async def _own_namespace(client: KubeClient) -> str:
    """A namespace that the test itself lets go."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.create(NAMESPACES, body)
    return name
