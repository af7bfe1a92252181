"""The hand-over of a filled volume, stopped after every write: its data is never deleted.

Runs on the sandbox and on a real cluster (KUBECONFIG_CONTRACT). That the data is
there is proven by a pod that mounts it: a destroyed volume can't be mounted,
though its claim goes on saying Bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from console.engine.aiokit import BoundedExecutor, TaskOwner
from console.engine.errors import EngineError, NotFound
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.kube.watching import Changed, Listed
from console.engine.model.intent import SettingsSpec, Slots
from console.engine.model.kinds import CLAIMS, EVENTS, NAMESPACES, PODS, STORAGE_CLASSES, VOLUMES
from console.engine.model.names import ANNOTATION_RESTORED_BY, WORKERS_NAMESPACE
from console.engine.model.points import VolumeArtifact
from console.engine.plan.snapshots import SNAPSHOT_GROUP, Origin
from console.engine.volumes.cutting import ensure
from console.engine.volumes.drive import Drive
from console.engine.volumes.handover import (
    drop_unfinished,
    finish_hand_over,
    give_policy_back,
    hand_over,
    is_given,
    make_work_claim,
    take_back_unbound,
    wait_bound,
)
from console.engine.volumes.jobs import clean_up
from console.engine.volumes.slots import SlotTable
from tests.contract.kubernetes import pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from console.engine.kube import Write
    from console.engine.model.kinds import Kind, RawObject
    from tests.contract.kubernetes import Cluster

pytestmark = pytest.mark.timeout(600)

WAIT_S = 120.0
WRITES = 5  # volume to Retain, target claim, claimRef, our claim away, policy back
MIB = 1 << 20


class Stopped(Exception):
    """The engine ends here."""


@dataclass
class Engine:
    """What a hand-over works with, and how many writes it may still make."""

    drive: Drive
    budget: int | None = None
    seen: list[tuple[str, str, str]] = field(default_factory=list)  # volume, phase, policy


@dataclass(frozen=True)
class Case:
    """One volume on its way to one claim."""

    origin: Origin
    target: RawObject
    volume: str
    handle: object


@pytest.fixture
async def engine(cluster: Cluster) -> AsyncIterator[Engine]:
    """A client that can be stopped after any write, with a witness of all volumes."""
    made: list[Engine] = []

    async def on_write(_write: Write) -> None:
        one = made[0]
        if one.budget is None:
            return
        one.budget -= 1
        if one.budget == 0:
            raise Stopped

    access = await asyncio.to_thread(read_kubeconfig, cluster.kubeconfig)
    async with (
        KubeClient(access, on_write=on_write) as client,
        BoundedExecutor("hand-over", threads=1) as threads,
    ):
        made.append(
            Engine(
                Drive(
                    client=client,
                    cluster_uid="",
                    holder="test",
                    epoch=1,
                    settings=SettingsSpec(),
                    slots=SlotTable(Slots()),
                    threads=threads,
                )
            )
        )
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WORKERS_NAMESPACE}}
        await ensure(made[0].drive, NAMESPACES, body)
        async with TaskOwner("witness") as witness:
            witness.start(_watch_volumes(made[0]), name="volumes")
            yield made[0]


async def _watch_volumes(engine: Engine) -> None:
    async with contextlib.aclosing(engine.drive.client.follow(VOLUMES)) as events:
        async for event in events:
            found = event.items if isinstance(event, Listed) else []
            if isinstance(event, Changed):
                found = [event.object]
            for raw in found:
                phase = raw.get("status", {}).get("phase", "")
                policy = raw["spec"]["persistentVolumeReclaimPolicy"]
                engine.seen.append((raw["metadata"]["name"], phase, policy))


@asynccontextmanager
async def storage_class(
    engine: Engine, cluster: Cluster, *, binding: str, reclaim: str
) -> AsyncIterator[str]:
    """A class like the cluster's own, with another binding mode and reclaim policy."""
    client = engine.drive.client
    model = await client.get(STORAGE_CLASSES, cluster.need("STORAGE_CLASS", cluster.storage_class))
    name = f"hand-over-{uuid.uuid4().hex[:8]}"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": model["provisioner"],
        "parameters": model.get("parameters") or {},
        "reclaimPolicy": reclaim,
        "volumeBindingMode": binding,
    }
    await client.create(STORAGE_CLASSES, body)
    yield name
    await client.delete(STORAGE_CLASSES, name)


async def filled(engine: Engine, cluster: Cluster, namespace: str, class_name: str) -> Case:
    """A volume of ours that a pod has mounted, and the claim that shall have it."""
    client = engine.drive.client
    origin = Origin(action_uid=str(uuid.uuid4()), point="p1", application=namespace)
    name = f"data-{uuid.uuid4().hex[:8]}"
    volume = VolumeArtifact(pvc=name, size=MIB, storageClass=class_name)
    ours = await make_work_claim(engine.drive, volume, origin=origin, step="fill")
    await mount(engine, cluster, WORKERS_NAMESPACE, ours)
    claim = await client.get(CLAIMS, ours, WORKERS_NAMESPACE)
    volume_name = claim["spec"]["volumeName"]
    target = claim_of(namespace, name, class_name)
    target["metadata"]["annotations"] = {ANNOTATION_RESTORED_BY: origin.action_uid}
    raw = await client.get(VOLUMES, volume_name)
    return Case(origin, target, volume_name, storage_of(raw))


def claim_of(namespace: str, name: str, class_name: str) -> RawObject:
    """A claim of a megabyte."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": class_name,
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }


def storage_of(volume: RawObject) -> object:
    """What the storage knows a volume by."""
    spec = volume["spec"]
    return spec.get("csi", {}).get("volumeHandle") or spec.get("hostPath")


async def mount(engine: Engine, cluster: Cluster, namespace: str, claim: str) -> None:
    """A pod mounts the claim, runs, and goes."""
    client = engine.drive.client
    body: dict[str, Any] = pod(namespace, f"see-{uuid.uuid4().hex[:8]}", need_image(cluster))
    body["spec"]["terminationGracePeriodSeconds"] = 0
    body["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    body["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    made = await client.create(PODS, body)
    name = made["metadata"]["name"]
    await client.wait_for(
        PODS, name, namespace, lambda raw: raw["status"].get("phase") == "Running", timeout_s=WAIT_S
    )
    await client.delete(PODS, name, namespace, uid=made["metadata"]["uid"])


def need_image(cluster: Cluster) -> str:
    """The image of a pod that does nothing."""
    return cluster.need("PAUSE_IMAGE", cluster.pause_image)


async def bring(engine: Engine, case: Case) -> None:
    """What a restore does with one filled volume; safe to repeat."""
    if await is_given(engine.drive, case.target, origin=case.origin):
        await finish_hand_over(engine.drive, case.target, origin=case.origin, step="fill")
    else:
        await hand_over(engine.drive, case.target, origin=case.origin, step="fill")


async def stop_after(engine: Engine, case: Case, writes: int) -> None:
    """Hand over until the engine ends after so many writes."""
    engine.budget = writes
    with pytest.raises(Stopped):
        await bring(engine, case)
    engine.budget = None


async def the_target_has_it(engine: Engine, cluster: Cluster, case: Case, policy: str) -> None:
    """The very same volume, mountable, with its reclaim policy; nothing of ours is left."""
    client = engine.drive.client
    meta = case.target["metadata"]
    claim = await client.get(CLAIMS, meta["name"], meta["namespace"])
    assert claim["spec"]["volumeName"] == case.volume
    assert claim["status"]["phase"] == "Bound"
    volume = await client.get(VOLUMES, case.volume)
    assert storage_of(volume) == case.handle
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == policy
    assert not [key for key in volume["metadata"]["annotations"] if key.startswith("kubehaven.io")]
    await mount(engine, cluster, meta["namespace"], meta["name"])
    await gone(engine, CLAIMS, case.origin.name("fill", meta["name"]), WORKERS_NAMESPACE)


async def gone(engine: Engine, kind: Kind, name: str, namespace: str = "") -> None:
    """Wait until an object is away."""
    with contextlib.suppress(NotFound):
        await engine.drive.client.wait_for(
            kind, name, namespace, lambda _raw: False, timeout_s=WAIT_S
        )
    assert await engine.drive.client.find(kind, name, namespace) is None


def never_at_risk(engine: Engine, case: Case) -> None:
    """No moment in which the reclaim policy could have destroyed the volume."""
    states = {(phase, policy) for name, phase, policy in engine.seen if name == case.volume}
    assert ("Released", "Delete") not in states
    assert ("Failed", "Delete") not in states


@pytest.mark.parametrize("reclaim", ["Delete", "Retain"])
@pytest.mark.parametrize("binding", ["Immediate", "WaitForFirstConsumer"])
async def test_stopped_after_every_write(
    engine: Engine, cluster: Cluster, binding: str, reclaim: str
) -> None:
    with cluster.namespace() as namespace:
        async with storage_class(engine, cluster, binding=binding, reclaim=reclaim) as class_name:
            for writes in range(1, WRITES + 1):
                case = await filled(engine, cluster, namespace, class_name)
                await stop_after(engine, case, writes)
                if writes < WRITES:
                    there = await engine.drive.client.get(VOLUMES, case.volume)
                    assert there["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
                await bring(engine, case)
                await the_target_has_it(engine, cluster, case, reclaim)
                never_at_risk(engine, case)


async def test_a_hand_over_makes_no_more_writes_than_are_stopped(
    engine: Engine, cluster: Cluster
) -> None:
    with cluster.namespace() as namespace:
        async with storage_class(
            engine, cluster, binding="Immediate", reclaim="Delete"
        ) as class_name:
            case = await filled(engine, cluster, namespace, class_name)
            engine.budget = WRITES + 1
            await bring(engine, case)
            assert engine.budget == 1
            engine.budget = None


async def test_a_volume_that_is_not_made_is_told_with_the_storages_words(
    engine: Engine, cluster: Cluster
) -> None:
    with cluster.namespace() as namespace:
        async with storage_class(
            engine, cluster, binding="Immediate", reclaim="Delete"
        ) as class_name:
            source = {"apiGroup": SNAPSHOT_GROUP, "kind": "VolumeSnapshot", "name": "absent"}
            body = claim_of(namespace, "data", class_name)
            body["spec"]["dataSource"] = source
            await engine.drive.client.create(CLAIMS, body)
            await engine.drive.client.wait_for(
                CLAIMS, "data", namespace, lambda raw: "status" in raw, timeout_s=WAIT_S
            )
            async with asyncio.timeout(WAIT_S):
                async with contextlib.aclosing(engine.drive.client.follow(EVENTS, namespace)) as e:
                    async for event in e:
                        if "ProvisioningFailed" in str(event):
                            break
            with pytest.raises(EngineError) as caught:
                await wait_bound(engine.drive, namespace, "data", timeout_s=1)
            assert caught.value.code == "claim.unbound"
            assert "absent" in caught.value.message


async def test_stopped_for_good(engine: Engine, cluster: Cluster) -> None:
    """A cancel between the writes: the volume is freed whole, or it is the target's whole."""
    client = engine.drive.client
    with cluster.namespace() as namespace:
        async with storage_class(
            engine, cluster, binding="Immediate", reclaim="Delete"
        ) as class_name:
            for writes in range(1, WRITES):
                case = await filled(engine, cluster, namespace, class_name)
                await stop_after(engine, case, writes)
                given = writes >= 3  # the volume names the target from then on
                meta = case.target["metadata"]
                if given:
                    await client.wait_for(
                        CLAIMS,
                        meta["name"],
                        namespace,
                        lambda raw: raw.get("status", {}).get("phase") == "Bound",
                        timeout_s=WAIT_S,
                    )
                await take_back_unbound(engine.drive, namespace, case.origin.action_uid)
                await drop_unfinished(engine.drive, case.origin.action_uid)
                await clean_up(engine.drive, case.origin.action_uid)
                if given:
                    await give_policy_back(engine.drive, await client.get(VOLUMES, case.volume))
                    await the_target_has_it(engine, cluster, case, "Delete")
                    never_at_risk(engine, case)
                else:
                    await gone(engine, VOLUMES, case.volume)
                    await gone(engine, CLAIMS, meta["name"], namespace)
