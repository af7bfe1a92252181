"""A small application to break things around, an engine that works on it, and what must hold after.

One volume, one busybox: the faults are what is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from console.engine import ExecHook, LocationDraft, RestoreRequest, open_engine
from console.engine.aiokit import TaskOwner
from console.engine.errors import EngineError
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model.kinds import (
    CLAIMS,
    JOBS,
    PODS,
    RESTORE_POINT_CONTENTS,
    SECRETS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
    VOLUMES,
)
from console.engine.model.names import (
    ANNOTATION_RECLAIM_POLICY,
    LABEL_ACTION_UID,
    WORKERS_NAMESPACE,
)
from tests.cluster.bed import building
from tests.cluster.bed.machine import load_image
from tests.cluster.repositories import remember
from tests.engine.driven import KILLED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from console.engine import ActionRef, ActionView, Engine
    from console.engine.kube import Write
    from console.engine.model.kinds import Kind, RawObject
    from tests.cluster.conftest import RealCluster
    from tests.fakes.weed import S3Server

T = TypeVar("T")

CLUSTER = "bed"
PATIENCE_S = 240.0
EVERY = os.environ.get("KUBEHAVEN_EVERY_WRITE") == "1"  # the whole matrices of kills and stops
FROZEN = "/frozen"  # in the container, beside its volume: a backup must not hold it
LIMIT_S = 60
HOOK = ExecHook(
    podSelector="app=box", pre=("touch", FROZEN), post=("rm", FROZEN), limitSeconds=LIMIT_S
)
APPLICATION = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: kh-csi-immediate
  resources: {requests: {storage: 64Mi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: box}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: {app: box}}
  template:
    metadata: {labels: {app: box}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: box
        image: kubehaven.test/busybox:1
        imagePullPolicy: IfNotPresent
        command: [sh, -c, "[ -e /data/f ] || echo first > /data/f; exec sleep 100000"]
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
"""


@dataclass(frozen=True)
class Box:
    """The application in its namespace, and what its engines share."""

    cluster: RealCluster
    namespace: str
    s3: S3Server
    folder: Path
    location: str

    @property
    def home(self) -> Path:
        """Of the engines, which know the cluster as `CLUSTER`."""
        return self.folder / "home"

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """In the application's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *words, stdin=stdin)

    def ready(self, namespace: str = "") -> None:
        """Wait until the application runs."""
        where = ("-n", namespace or self.namespace)
        self.cluster.kubectl(*where, "rollout", "status", "deployment/box", "--timeout=180s")

    def data(self, write: str = "", namespace: str = "") -> str:
        """What stands in its file; with `write`, that first."""
        self.ready(namespace)
        command = f"echo {write} > /data/f; sync; cat /data/f" if write else "cat /data/f"
        where = ("-n", namespace or self.namespace, "exec", "deployment/box", "--")
        return self.cluster.kubectl(*where, "sh", "-c", command).strip()

    def is_frozen(self) -> bool:
        """Whether the hook's pre command has run and its post command has not."""
        told = self.kubectl("exec", "deployment/box", "--", "sh", "-c", f"ls {FROZEN} || true")
        return bool(told.strip())


@contextlib.contextmanager
def box_on(cluster: RealCluster, s3: S3Server, folder: Path) -> Iterator[Box]:
    """The application, a prepared cluster, and a location in which a point of it lies."""
    if cluster.bed is not None:
        for archive in building.worker_image().glob("*.tar"):
            load_image(cluster.bed, archive)
    namespace = f"box-{uuid.uuid4().hex[:6]}"
    location = f"bucket-{uuid.uuid4().hex[:6]}"
    box = Box(cluster, namespace, s3, folder, location)
    cluster.kubectl("create", "namespace", namespace)
    try:
        box.kubectl("apply", "-f", "-", stdin=APPLICATION)
        asyncio.run(_prepare(box))
        yield box
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


async def _prepare(box: Box) -> None:
    keys, credentials = box.folder / "keys.ini", box.s3.credentials
    keys.write_text(
        f"[default]\naws_access_key_id={credentials.access_key_id}\n"
        f"aws_secret_access_key={credentials.secret_access_key}\n"
    )
    bucket, kit = box.s3.new_bucket(), box.folder / "kit"
    remember(box.s3, bucket, kit)
    draft = LocationDraft(
        name=box.location,
        bucket=bucket,
        endpoint=box.s3.endpoint,
        region="us-east-1",
        credentials_file=str(keys),
        recovery_kit=str(kit),
    )
    async with open_engine(box.home) as engine:
        await engine.clusters.add(CLUSTER, str(box.cluster.kubeconfig))
        plan = await engine.clusters.plan_prepare(CLUSTER)
        await engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
        await engine.locations.add(CLUSTER, draft)
    await asyncio.to_thread(box.ready)
    async with desk_at(box) as desk:
        backup = await desk.complete(await desk.back_up())
        await desk.complete(await desk.export(backup))


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Desk:
    """An engine at work, and a reader of its own."""

    box: Box
    engine: Engine
    client: KubeClient
    tasks: TaskOwner
    _fault: Callable[[], AbstractContextManager[None]] | None = None
    _at: str = ""
    _for_s: float = 0.0
    _whole: asyncio.Event = field(default_factory=_set)

    def strike(
        self, fault: Callable[[], AbstractContextManager[None]], *, at: str, for_s: float
    ) -> None:
        """Break something right after the next write to a path that holds the text."""
        self._whole.clear()
        self._fault, self._at, self._for_s = fault, at, for_s

    async def mended(self) -> None:
        """Wait until what was to be struck is over."""
        async with asyncio.timeout(PATIENCE_S):
            await self._whole.wait()

    async def on_write(self, write: Write) -> None:
        """After each write of the engine."""
        if self._fault is None or self._at not in write.path:
            return
        fault, self._fault = self._fault, None
        held = contextlib.ExitStack()
        held.enter_context(fault())
        self.tasks.start(self._mend(held), name="mend")

    async def _mend(self, held: contextlib.ExitStack) -> None:
        await asyncio.sleep(self._for_s)  # the fault's own length
        await asyncio.to_thread(held.close)
        self._whole.set()

    async def back_up(self, *, hooks: tuple[ExecHook, ...] = ()) -> ActionRef:
        """Ask for a backup."""
        return await self.engine.actions.back_up(CLUSTER, self.box.namespace, hooks=hooks)

    async def export(self, backup: ActionView) -> ActionRef:
        """Ask for the export of what a backup has made."""
        return await self.engine.actions.export(CLUSTER, backup.point, location=self.box.location)

    async def restore(self, point: str, *, target: str = "", in_place: bool = False) -> ActionRef:
        """Ask for a restore."""
        request = RestoreRequest(point=point, target=target, in_place=in_place)
        return await self.engine.actions.restore(CLUSTER, request)

    async def driven(self, ref: ActionRef, *, kill_after: int = 0) -> int:
        """An engine of its own drives until the action has ended or it is killed; its exit code."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.engine.driven", str(self.box.home), CLUSTER, ref.uid),
            f"--kill-after={kill_after}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                _, err = await process.communicate()
        except TimeoutError:
            process.kill()
            _, err = await process.communicate()
            row = await self.shown(ref)
            raise AssertionError(
                f"stuck (kill after {kill_after}): {row}\n{err.decode()}"
            ) from None
        code = process.returncode or 0
        assert code in {0, KILLED}, err.decode()[-3000:]
        return code

    async def backed_up(self) -> ActionView:
        """A new point, made by an engine of its own."""
        ref = await self.back_up()
        await self.driven(ref)
        return await self.shown(ref)

    async def shown(self, ref: ActionRef) -> ActionView:
        """The action as it stands."""
        return await self.engine.actions.show(CLUSTER, ref.kind, ref.namespace, ref.name)

    async def free_old(self, row: ActionView) -> None:
        """Let the volumes that a restore in place has kept go: nobody will undo it."""
        assert row.swap is not None
        merge = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
        for volume in row.swap.volumes:
            await self.client.patch(VOLUMES, volume.old, merge=merge)
            find = partial(self.client.find, VOLUMES, volume.old)
            await until(find, lambda found: found is None, "the old volume is freed")

    async def ended(self, ref: ActionRef) -> ActionView:
        """The action when it has ended; an engine that lost its Lease meanwhile takes it anew."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(EngineError):
                row = await self.engine.actions.show(CLUSTER, ref.kind, ref.namespace, ref.name)
                if row.phase == "Finished":
                    return row
                await self.engine.clusters.watch(CLUSTER, take_over=True)
            await asyncio.sleep(0.3)
        raise AssertionError(f"it does not end: {ref}")

    async def complete(self, ref: ActionRef) -> ActionView:
        """The action when it has ended well."""
        row = await self.ended(ref)
        assert (row.outcome, row.error) == ("Complete", None), row
        return row

    async def failed(self, ref: ActionRef, code: str) -> ActionView:
        """The action when it has failed as it should."""
        row = await self.ended(ref)
        assert row.outcome == "Failed", row
        assert row.error is not None
        assert row.error.code == code, row
        assert row.error.message
        return row

    async def running_worker(self, ref: ActionRef) -> RawObject:
        """A pod of an action's worker, as soon as it is there."""
        labels = f"{LABEL_ACTION_UID}={ref.uid}"

        async def there() -> list[RawObject]:
            return await self.client.list(PODS, WORKERS_NAMESPACE, labels=labels)

        return (await until(there, bool, "a worker's pod"))[0]

    async def nothing_is_left(self, ref: ActionRef) -> None:
        """Of an action that has ended: no Job, pod, claim, Secret, half point or lost policy."""
        labels = f"{LABEL_ACTION_UID}={ref.uid}"
        for kind in (JOBS, PODS, CLAIMS, SECRETS):
            left = partial(self._names, kind, labels)
            await until(left, lambda names: not names, f"{kind.plural} of {ref.name} are gone")
        await self._snapshots_are_a_points(labels)
        for volume in await self.client.list(VOLUMES):
            notes = volume["metadata"].get("annotations") or {}
            claim = volume["spec"].get("claimRef", {})
            if claim.get("namespace") in {WORKERS_NAMESPACE, self.box.namespace}:
                assert ANNOTATION_RECLAIM_POLICY not in notes, volume["metadata"]

    async def _names(self, kind: Kind, labels: str) -> list[str]:
        found = await self.client.list(kind, WORKERS_NAMESPACE, labels=labels)
        return [raw["metadata"]["name"] for raw in found]

    async def _snapshots_are_a_points(self, labels: str) -> None:
        contents = await self.client.list(RESTORE_POINT_CONTENTS, labels=labels)
        assert {raw["status"]["state"] for raw in contents} <= {"Ready"}
        kept = {
            volume["snapshot"]["name"]
            for raw in contents
            for volume in raw["status"]["volumes"]
            if volume.get("snapshot")
        }

        async def snapshots() -> list[tuple[str, str]]:
            return [
                (kind.plural, raw["metadata"]["name"])
                for kind in (SNAPSHOTS, SNAPSHOT_CONTENTS)
                for raw in await self.client.list(kind, labels=labels)
                if raw["metadata"]["name"] not in kept
            ]

        await until(snapshots, lambda names: not names, "snapshots of no point are gone")


@contextlib.asynccontextmanager
async def desk_at(box: Box, *, drives: bool = True) -> AsyncIterator[Desk]:
    """An engine that drives the cluster, or only asks."""
    desks: list[Desk] = []

    async def on_write(write: Write) -> None:
        if desks:
            await desks[0].on_write(write)

    async with (
        KubeClient(read_kubeconfig(box.cluster.kubeconfig)) as client,
        open_engine(box.home, on_write=on_write) as engine,
        TaskOwner("desk") as tasks,
    ):
        desk = Desk(box, engine, client, tasks)
        desks.append(desk)
        if drives:
            await engine.clusters.watch(CLUSTER, take_over=True)
        yield desk


async def until(read: Callable[[], Awaitable[T]], holds: Callable[[T], bool], what: str) -> T:
    """What was read, as soon as it is as it should be."""
    seen: object = None
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(EngineError):
            found = await read()
            if holds(found):
                return found
            seen = found
        await asyncio.sleep(0.2)
    raise AssertionError(f"{what}: not in time; last seen: {seen}")
