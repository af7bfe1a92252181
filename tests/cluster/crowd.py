"""Many small applications on a real cluster, and how much a process and the API server do there.

Nothing of it needs a fake node: the engine follows no pods. So these are made as they are, with
a scheduling gate, and cost neither a controller, a scheduler nor a kubelet anything.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.catalog import contents, local
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    RESTORE_POINT_CONTENTS,
)
from console.engine.model.points import Application, PointManifest, RestorePointContentSpec
from console.engine.model.wire import encode
from console.repository.object_packs import seal_objects
from tests.cluster.bed.clusters import kubectl
from tests.cluster.bed.processes import wait_until

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.repository.object_packs import SealedPack
    from tests.cluster.bed.places import Cluster

COUNTED = "counted"  # what this namespace's accounts ask for is in the audit log, reads too
WRITES_AT_ONCE = 16
_POD = {
    "schedulingGates": [{"name": "kubehaven.test/never"}],
    "containers": [{"name": "web", "image": "kubehaven.test/busybox:1"}],
}
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Size(NamedTuple):
    """How many of everything."""

    namespaces: int
    pods_each: int
    applications: int  # with points
    points_each: int
    objects: int  # in the one large namespace


ORDINARY = Size(100, 10, 10, 54, 2000)
FULL = Size(1000, 10, 100, 54, 10000)


def wanted_size() -> Size:
    """Full where KUBEHAVEN_SCALE=full says so; the ordinary one takes two minutes."""
    return FULL if os.environ.get("KUBEHAVEN_SCALE") == "full" else ORDINARY


@dataclass
class Crowd:
    """A cluster of its own, full of small applications."""

    cluster: Cluster
    size: Size

    def client(self) -> KubeClient:
        """The administrator's."""
        return KubeClient(read_kubeconfig(self.cluster.kubeconfig))

    def counted_kubeconfig(self, path: Path) -> Path:
        """An administrator whose every request is in the audit log."""
        kubectl(self.cluster, "create", "namespace", COUNTED)
        kubectl(self.cluster, "create", "serviceaccount", "engine", "-n", COUNTED)
        who = f"--serviceaccount={COUNTED}:engine"
        role = "--clusterrole=cluster-admin"
        kubectl(self.cluster, "create", "clusterrolebinding", COUNTED, role, who)
        token = kubectl(self.cluster, "create", "token", "engine", "-n", COUNTED).strip()
        shown = kubectl(self.cluster, "config", "view", "--raw", "--flatten", "-o", "json")
        config = json.loads(shown)
        config["users"] = [
            {"name": user["name"], "user": {"token": token}} for user in config["users"]
        ]
        path.write_text(json.dumps(config))
        return path

    async def fill(self) -> None:
        """The namespaces, each with a Deployment, and pods that run nowhere."""

        async def make(client: KubeClient, number: int) -> None:
            name = application(number)
            await client.create(NAMESPACES, _named("Namespace", name))
            await client.create(
                CONFIG_MAPS, _named("ConfigMap", "settings", name) | {"data": {"a": "b"}}
            )
            await client.create(DEPLOYMENTS, _deployment(name))
            for nth in range(self.size.pods_each):
                await client.create(PODS, _pod(name, nth))

        async with self.client() as client:
            calls = (partial(make, client, number) for number in range(self.size.namespaces))
            await side_by_side(calls, at_once=WRITES_AT_ONCE)

    async def add_points(self, objects: list[tuple[str, bytes]]) -> None:
        """Local points, each with objects of which one has changed since the last."""
        async with self.client() as client:
            key = await local.objects_key(client)
            uids = {
                raw["metadata"]["name"]: raw["metadata"]["uid"]
                for raw in await client.list(NAMESPACES, metadata_only=True)
            }

            async def add(number: int, nth: int) -> None:
                name = application(number)
                about = Application(namespace=name, namespaceUID=uids[name], name=name)
                manifest = PointManifest(
                    id=f"{name}-{nth}",
                    application=about,
                    clusterUID=uids["default"],
                    actionTime=f"2026-01-{1 + nth % 28:02}T00:00:00Z",
                    objectCount=len(objects) + 1,
                )
                noise = json.dumps({"nth": nth, "noise": os.urandom(700).hex()}).encode()
                changed = ("core/v1/configmaps/changed.json", noise)
                await _add_point(client, manifest, seal_objects(key, [*objects, changed]))

            calls = (
                partial(add, number, nth)
                for number in range(self.size.applications)
                for nth in range(self.size.points_each)
            )
            await side_by_side(calls, at_once=WRITES_AT_ONCE)


def application(number: int) -> str:
    """The name of one."""
    return f"crowd-{number:04}"


async def _add_point(client: KubeClient, manifest: PointManifest, packs: list[SealedPack]) -> None:
    """As a backup does, but for the handle in the application's namespace: no list shows it."""
    manifest = msgspec.structs.replace(manifest, packs=tuple(pack.digest for pack in packs))
    secret = await local.write_manifest(client, manifest)
    await local.write_packs(client, secret, packs)
    spec = RestorePointContentSpec(
        id=manifest.id,
        kind="local",
        application=manifest.application,
        clusterUID=manifest.clusterUID,
    )
    content = await contents.make_content(client, manifest.id, spec, {})
    status = contents.local_status(manifest, secret=secret["metadata"]["name"])
    ready = encode(msgspec.structs.replace(content, status=status))
    await client.replace(RESTORE_POINT_CONTENTS, ready, subresource="status")
    await local.mark_manifest_ready(client, manifest)


def _named(kind: str, name: str, namespace: str = "") -> RawObject:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **where}}


def _deployment(namespace: str) -> RawObject:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": _POD}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {**_named("Deployment", "web", namespace), "apiVersion": "apps/v1", "spec": spec}


def _pod(namespace: str, nth: int) -> RawObject:
    return {**_named("Pod", f"pod-{nth}", namespace), "spec": _POD}


class Calls:
    """What the counted accounts asked the API server for since this was made."""

    def __init__(self, cluster: Cluster) -> None:
        self._log = cluster.audit_log
        self._begin = self._log.stat().st_size

    def told(self) -> list[tuple[str, str, str]]:
        """Verb, path, and the name of the object if it was about one; watches as they begin."""
        with self._log.open("rb") as log:
            log.seek(self._begin)
            events = [json.loads(line) for line in log.read().splitlines()]
        return [
            (
                event["verb"],
                event["requestURI"].partition("?")[0],
                (event.get("objectRef") or {}).get("name", ""),
            )
            for event in events
            if event["user"]["username"].startswith(f"system:serviceaccount:{COUNTED}:")
            and (event["stage"] == "ResponseStarted") == (event["verb"] == "watch")
        ]


class Process:
    """A process of ours, as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc", str(pid))

    def cpu_s(self) -> float:
        """User and system time so far."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND

    def memory_mib(self) -> float:
        """What it holds in RAM."""
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def until_quiet(self) -> None:
        """Wait until it has done what its start makes it do."""

        def is_quiet() -> bool:
            before = self.cpu_s()
            time.sleep(3)  # what is measured is this while, nothing is waited for
            return self.cpu_s() - before < 0.3

        wait_until("the process has come to rest", is_quiet, limit_s=240)

    def share_of_a_core(self, seconds: float) -> float:
        """By its CPU time: another load on the machine changes it little."""
        before, began = self.cpu_s(), time.monotonic()
        time.sleep(seconds)  # the while that is measured
        return (self.cpu_s() - before) / (time.monotonic() - began)
