"""An application with volumes of any kind on a real cluster, and an engine that works on it."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine import LocationDraft, open_engine
from console.engine.errors import NotFound
from console.engine.kube import Changed, KubeClient, Listed, read_kubeconfig
from console.engine.model.kinds import (
    CLAIMS,
    JOBS,
    PODS,
    RESTORE_POINT_CONTENTS,
    SETTINGS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import LABEL_APP_NAMESPACE, NAMESPACE, WORKERS_NAMESPACE
from console.engine.model.names import SETTINGS as SETTINGS_NAME
from console.engine.volumes.releasing import is_being_cut
from tests.cluster.bed import building
from tests.cluster.bed.machine import load_image
from tests.cluster.repositories import remember
from tests.contract.kubernetes import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from console.engine import ActionRef, ActionView, Engine, RestoreRequest
    from console.engine.model.kinds import RawObject
    from tests.cluster.bed.places import Cluster as Bed
    from tests.fakes.weed import S3Server

IMAGE = "kubehaven.test/busybox:1"
PATIENCE_S = 300.0


def claim(name: str, storage_class: str, *, size: str = "64Mi", **spec: Any) -> RawObject:
    """A claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
            **spec,
        },
    }


def deployment(claim_name: str, *, block: bool = False, **pod: Any) -> RawObject:
    """A Deployment `app` that mounts a claim at /data, or has it as /dev/raw."""
    mount = (
        {"volumeDevices": [{"name": "v", "devicePath": "/dev/raw"}]}
        if block
        else {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": "main",
                            "image": IMAGE,
                            "imagePullPolicy": "IfNotPresent",
                            "command": ["sh", "-c", "exec sleep 100000"],
                            **mount,
                        }
                    ],
                    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim_name}}],
                    **pod,
                },
            },
        },
    }


def with_worker(bed: Bed) -> Cluster:
    """A cluster of the bed with the worker's image, as kubectl sees it."""
    (archive,) = building.worker_image().glob("*.tar")
    load_image(bed, archive)
    return Cluster(bed.kubeconfig, pause_image="", storage_class="", snapshot_class="")


@dataclass
class Yard:
    """One namespace of a cluster, a second one to restore into, and who works on them."""

    cluster: Cluster
    namespace: str
    engine: Engine
    client: KubeClient
    name: str  # of the cluster, in the engine
    folder: Path

    @property
    def other(self) -> str:
        """Where restores go."""
        return f"{self.namespace}-other"

    def apply(self, *objects: RawObject) -> None:
        """Make them in the application's namespace."""
        for one in objects:
            self.cluster.run("apply", "-n", self.namespace, "-f", "-", given=one)

    def ready(self) -> None:
        """Wait until the application runs."""
        rollout = ("rollout", "status", "deploy/app", "--timeout=110s")
        self.cluster.run(*rollout, "-n", self.namespace)

    def run_there(self, *command: str, where: str = "") -> str:
        """What a command says in the application's container."""
        place = ("exec", "-n", where or self.namespace, "deploy/app", "--")
        return self.cluster.run(*place, *command).strip()

    def sum_of(self, mebibytes: int, where: str = "") -> str:
        """The checksum of the beginning of the application's device."""
        line = f"dd if=/dev/raw bs=1M count={mebibytes} 2>/dev/null | sha256sum"
        return self.run_there("sh", "-c", line, where=where)

    def volumes(self, where: str) -> list[RawObject]:
        """The volumes of a namespace's claims."""
        claims = self.cluster.read("pvc", "-n", where)["items"]
        return [self.cluster.read("pv", one["spec"]["volumeName"]) for one in claims]

    async def finished(self, ref: ActionRef) -> ActionView:
        """The action when it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                row = await self.engine.actions.show(self.name, ref.kind, ref.namespace, ref.name)
                if row.phase == "Finished":
                    return row
                await asyncio.sleep(0.3)

    async def back_up(self) -> ActionView:
        """A backup, however it ends."""
        return await self.finished(await self.engine.actions.back_up(self.name, self.namespace))

    async def taking_a_snapshot(self) -> None:
        """Wait until a driver takes a snapshot of this application, and has not answered."""
        async with asyncio.timeout(PATIENCE_S):
            async with contextlib.aclosing(self.client.follow(SNAPSHOT_CONTENTS)) as changes:
                async for change in changes:
                    seen = change.items if isinstance(change, Listed) else []
                    seen = [change.object] if isinstance(change, Changed) else seen
                    ours = [raw for raw in seen if _names(raw, self.namespace)]
                    if any(is_being_cut(raw) for raw in ours):
                        return

    async def backed_up(self) -> str:
        """The point of a backup that is Complete."""
        row = await self.back_up()
        assert row.outcome == "Complete", row
        return row.point

    async def restored(self, request: RestoreRequest) -> ActionView:
        """A restore, however it ends."""
        return await self.finished(await self.engine.actions.restore(self.name, request))

    async def exported(self, point: str, s3: S3Server | None = None) -> ActionView:
        """An export into a new bucket, or into a folder that no pod reaches; however it ends."""
        name = f"to-{uuid.uuid4().hex[:6]}"
        kit = self.folder / f"{name}.kit"
        draft = LocationDraft(name=name, recovery_kit=str(kit))
        if s3 is None:
            draft = msgspec.structs.replace(draft, folder=str(self.folder / name))
        else:
            keys = self.folder / "keys.ini"
            keys.write_text(
                f"[default]\naws_access_key_id={s3.credentials.access_key_id}\n"
                f"aws_secret_access_key={s3.credentials.secret_access_key}\n"
            )
            bucket = s3.new_bucket()
            remember(s3, bucket, kit)
            draft = msgspec.structs.replace(
                draft,
                bucket=bucket,
                endpoint=s3.endpoint,
                region="us-east-1",
                credentials_file=str(keys),
            )
        await self.engine.locations.add(self.name, draft)
        ref = await self.engine.actions.export(self.name, point, location=name)
        return await self.finished(ref)

    async def nothing_is_left(self, *, points: int) -> None:
        """Of this application only points are there: their contents and adopted snapshots.

        A snapshot that we have deleted is held for a moment by its controller.
        """
        for snapshot in await self.client.list(SNAPSHOTS, self.namespace):
            assert snapshot["metadata"].get("deletionTimestamp"), snapshot
            with contextlib.suppress(NotFound):
                await self.client.wait_for(
                    SNAPSHOTS,
                    snapshot["metadata"]["name"],
                    self.namespace,
                    lambda _raw: False,
                    timeout_s=120,
                )
        mine = f"{LABEL_APP_NAMESPACE}={self.namespace}"
        for kind in (JOBS, PODS, CLAIMS):
            assert await self.client.list(kind, WORKERS_NAMESPACE, labels=mine) == [], kind
        contents = await self.client.list(RESTORE_POINT_CONTENTS)
        kept = [
            raw for raw in contents if raw["spec"]["application"]["namespace"] == self.namespace
        ]
        assert [raw["status"]["state"] for raw in kept] == ["Ready"] * points
        volumes = [volume for raw in kept for volume in raw["status"]["volumes"]]
        snapshots = {v["snapshot"]["name"] for v in volumes if "snapshot" in v}  # or it's copied
        adopted = await self.client.list(SNAPSHOT_CONTENTS, labels=mine)
        assert {raw["metadata"]["name"] for raw in adopted} == snapshots
        held = await self.client.list(SNAPSHOT_CONTENTS)
        refs = [raw["spec"]["volumeSnapshotRef"].get("namespace") for raw in held]
        assert self.namespace not in refs
        for volume in await self.client.list(VOLUMES):
            claimed = volume["spec"].get("claimRef", {})
            if claimed.get("namespace") == self.other:
                assert volume["status"]["phase"] == "Bound", volume


def _names(content: RawObject, namespace: str) -> bool:
    return bool(content["spec"]["volumeSnapshotRef"].get("namespace") == namespace)


@contextlib.asynccontextmanager
async def driving(
    cluster: Cluster, namespace: str, folder: Path, **settings: int
) -> AsyncIterator[Yard]:
    """An engine that drives the cluster; what the test restored is deleted at the end."""
    name = f"c{uuid.uuid4().hex[:6]}"
    access = await asyncio.to_thread(read_kubeconfig, cluster.kubeconfig)
    async with open_engine(folder / name) as engine, KubeClient(access) as client:
        await engine.clusters.add(name, str(cluster.kubeconfig))
        plan = await engine.clusters.plan_prepare(name)
        await engine.clusters.prepare(name, plan_hash=plan.hash)
        unset = dict.fromkeys(settings)
        await client.patch(SETTINGS, SETTINGS_NAME, NAMESPACE, merge={"spec": settings})
        yard = Yard(cluster, namespace, engine, client, name, folder)
        try:
            await engine.clusters.watch(name, take_over=True)
            yield yard
        finally:
            await client.patch(SETTINGS, SETTINGS_NAME, NAMESPACE, merge={"spec": unset})
            gone = ("--ignore-not-found", "--wait=false")
            cluster.run("delete", "namespace", yard.other, *gone)
