"""`make bench-engine`: backup and restore of many small objects, beside Velero, on one API server.

The cluster is the one of `KUBECONFIG`; it must be prepared (`kubehaven cluster prepare`)
and have room for two namespaces of objects, which are made and removed here.
Velero is the server that runs on the same cluster, with a location that is Available;
where there is none, only our figures are printed. How to read them: docs/performance.md.

    KUBECONFIG=FILE    the cluster
    BENCH_OBJECTS=N    how many ConfigMaps of 1.4 kB (10,000)
    VELERO_PID=PID     the Velero server's process, for its peak memory
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from functools import partial
from hashlib import shake_128
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import TREE, Cost, Failed, measure
from console.cli.output import table
from console.engine.aiokit import side_by_side
from console.engine.errors import EngineError, NotFound
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.model.kinds import CONFIG_MAPS, NAMESPACES, Kind, RawObject

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE = "kubehaven-bench"
KEYS = 10  # of a ConfigMap: 1.4 kB as JSON
VELERO_NAMESPACE = "velero"
_BACKUPS = Kind("velero.io", "v1", "backups", "Backup")
_RESTORES = Kind("velero.io", "v1", "restores", "Restore")
_STORES = Kind("velero.io", "v1", "backupstoragelocations", "BackupStorageLocation")
_ENDS = {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
LONGEST_S = 1200.0
GONE_S = 600.0


async def fill(client: KubeClient, count: int) -> None:
    """Make the namespace and its objects."""
    await client.create(NAMESPACES, _named("Namespace", SOURCE))

    async def make(number: int) -> None:
        data = {f"key-{n}": shake_128(f"{number}/{n}".encode()).hexdigest(60) for n in range(KEYS)}
        body = _named("ConfigMap", f"settings-{number:05}", SOURCE)
        await client.create(CONFIG_MAPS, {**body, "data": data})

    await side_by_side((partial(make, number) for number in range(count)), at_once=16)


def _named(kind: str, name: str, namespace: str = "") -> RawObject:
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **where}}


class Ours:
    """The command line, with the engine inside, on a home of its own."""

    name = "kubehaven"

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._home = home
        self._run("cluster", "add", "bench", "--kubeconfig", str(kubeconfig))

    def back_up(self) -> Cost:
        """A local restore point of the source."""
        return self._run("backup", SOURCE)

    def restore(self, target: str, point: str) -> Cost:
        """That point into a new namespace."""
        return self._run("restore", point, "--to", target, "--yes")

    def _run(self, *words: str) -> Cost:
        command = [sys.executable, "-m", "console", *words, "--home", str(self._home)]
        return measure(command, cwd=TREE)


async def newest_point(client: KubeClient) -> str:
    """The name of the source's newest restore point."""
    kind = Kind("kubehaven.io", "v1alpha1", "restorepoints", "RestorePoint")
    points = await client.list(kind, SOURCE)
    return str(
        max(points, key=lambda raw: raw["metadata"]["creationTimestamp"])["metadata"]["name"]
    )


class Velero:
    """The Velero server on the same cluster, asked by its custom resources."""

    name = "velero"

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def is_there(self) -> bool:
        """Whether a server answers for a location."""
        try:
            stores = await self._client.list(_STORES, VELERO_NAMESPACE)
        except EngineError:
            return False
        return any(store.get("status", {}).get("phase") == "Available" for store in stores)

    async def back_up(self, name: str) -> float:
        """Seconds until the backup is Completed."""
        spec = {"includedNamespaces": [SOURCE], "snapshotVolumes": False}
        return await self._ask(_BACKUPS, name, spec)

    async def restore(self, name: str, target: str) -> float:
        """Seconds until that backup stands in another namespace."""
        spec = {"backupName": name, "namespaceMapping": {SOURCE: target}}
        return await self._ask(_RESTORES, name, spec)

    async def _ask(self, kind: Kind, name: str, spec: RawObject) -> float:
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "namespace": VELERO_NAMESPACE},
            "spec": spec,
        }
        started = time.perf_counter()
        await self._client.create(kind, body)
        raw = await self._client.wait_for(
            kind, name, VELERO_NAMESPACE, lambda one: _phase(one) in _ENDS, timeout_s=LONGEST_S
        )
        if _phase(raw) != "Completed":
            raise Failed(f"Velero's {kind.kind} {name} ended as {_phase(raw)}")
        return time.perf_counter() - started


def _phase(raw: RawObject) -> str:
    return str(raw.get("status", {}).get("phase", ""))


def peak_of(pid: str) -> float:
    """The most memory that a process ever had in RAM, MiB; 0 where it isn't known."""
    try:
        lines = Path(f"/proc/{int(pid)}/status").read_text().splitlines()
    except (ValueError, OSError):
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


async def _count(client: KubeClient, namespace: str) -> int:
    return len(await client.list(CONFIG_MAPS, namespace, metadata_only=True))


async def measure_all(kubeconfig: Path, home: Path, count: int) -> list[list[str]]:
    """The table's rows: backup and restore, ours and Velero's, in one run."""
    async with KubeClient(read_kubeconfig(kubeconfig)) as client:
        ours, peer = Ours(kubeconfig, home), Velero(client)
        targets = [f"{SOURCE}-ours", f"{SOURCE}-velero"]
        await _remove(client, [SOURCE, *targets])
        try:
            await fill(client, count)
            wanted = await _count(client, SOURCE)
            saved = await asyncio.to_thread(ours.back_up)
            point = await newest_point(client)
            back = await asyncio.to_thread(ours.restore, targets[0], point)
            rows = [_row("backup", ours.name, saved), _row("restore", ours.name, back)]
            done = {targets[0]: await _count(client, targets[0])}
            if await peer.is_there():
                name = f"bench-{int(time.time())}"
                backup_s = await peer.back_up(name)
                restore_s = await peer.restore(name, targets[1])
                done[targets[1]] = await _count(client, targets[1])
                peak = peak_of(os.environ.get("VELERO_PID", ""))
                rows += [
                    _row("backup", peer.name, Cost(backup_s, 0, peak), saved),
                    _row("restore", peer.name, Cost(restore_s, 0, peak), back),
                ]
            else:
                print("no Velero server with an Available location: left out", file=sys.stderr)
            if set(done.values()) != {wanted}:
                raise Failed(f"{wanted} ConfigMaps were backed up, and restored were: {done}")
            return rows
        finally:
            await _remove(client, [SOURCE, *targets])


def _row(work: str, name: str, cost: Cost, ours: Cost | None = None) -> list[str]:
    ratio = f"{cost.wall_s / ours.wall_s:.1f}" if ours else ""
    peak = f"{cost.peak_mib:.0f}" if cost.peak_mib else "-"
    return [work, name, f"{cost.wall_s:.1f}", peak, ratio]


async def _remove(client: KubeClient, namespaces: Sequence[str]) -> None:
    """The namespaces, if they are there; returns when they are gone."""
    for name in namespaces:
        raw = await client.find(NAMESPACES, name)
        if raw is not None:
            await client.delete(NAMESPACES, name, uid=raw["metadata"]["uid"])
    for name in namespaces:
        with suppress(NotFound):
            await client.wait_for(NAMESPACES, name, "", lambda _: False, timeout_s=GONE_S)


def main() -> int:
    """Measure, and print the table; the exit code."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig:
        print("error: say which cluster: KUBECONFIG=FILE make bench-engine", file=sys.stderr)
        return 2
    count = int(os.environ.get("BENCH_OBJECTS", "10000"))
    with tempfile.TemporaryDirectory(prefix="kubehaven-bench-") as home:
        try:
            rows = asyncio.run(measure_all(Path(kubeconfig), Path(home), count))
        except (Failed, EngineError) as fault:
            print(f"error: {fault}", file=sys.stderr)
            return 1
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {count} ConfigMaps of 1.4 kB")
    print(table(["WORK", "TOOL", "WALL s", "PEAK MiB", "÷ OURS"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
