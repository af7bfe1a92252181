"""`cluster check` on a real cluster: all is well on the bed, and what is broken is named."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

from console.engine import open_engine
from console.engine.checks import run
from console.engine.plan.stuck import Patience
from tests.cluster.bed import building
from tests.cluster.bed.machine import load_image
from tests.cluster.sample import Bench
from tests.contract.kubernetes import Cluster
from tests.fakes.weed import running_weed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from console.engine import CheckResult, ClusterCheck
    from tests.cluster.conftest import RealCluster
    from tests.fakes.weed import S3Server

WORKERS = "kubehaven-workers"
IN_WORKERS = "jobs,pods,persistentvolumeclaims,secrets,volumesnapshots"
GOOD = ("kh-csi", "kh-csi-immediate", "kh-csi-retain")
CHECK_LABEL = "kubehaven.io/actionUID"


@contextlib.asynccontextmanager
async def on_bench(cluster: RealCluster, s3: S3Server, folder: Path) -> AsyncIterator[Bench]:
    """An engine that knows the prepared cluster, and no location."""
    if cluster.bed is not None:
        image = await asyncio.to_thread(building.worker_image)
        for archive in image.glob("*.tar"):
            await asyncio.to_thread(load_image, cluster.bed, archive)
    async with open_engine(folder / "home") as engine:
        bench = Bench(engine, Cluster(cluster.kubeconfig, "", "", ""), s3, folder)
        await bench.prepare()
        await asyncio.to_thread(
            cluster.kubectl, "delete", "locations.kubehaven.io", "-n", "kubehaven", "--all"
        )
        yield bench


def by_key(done: ClusterCheck) -> dict[str, CheckResult]:
    return {row.key: row for row in done.results}


def left(cluster: RealCluster) -> list[str]:
    """What checks have left behind."""
    found = []
    for kinds in (f"-n {WORKERS} {IN_WORKERS}", "volumesnapshotcontents"):
        words = ("get", *kinds.split(), "-l", CHECK_LABEL, "-o", "json")
        items = json.loads(cluster.kubectl(*words))["items"]
        found += [
            f"{item['kind']} {item['metadata']['name']}"
            for item in items
            if item["metadata"]["labels"][CHECK_LABEL].startswith("check-")
        ]
    volumes = json.loads(cluster.kubectl("get", "persistentvolumes", "-o", "json"))["items"]
    for volume in volumes:
        ref = volume["spec"].get("claimRef", {})
        going = volume["metadata"].get("deletionTimestamp")
        if ref.get("namespace") == WORKERS and volume["status"]["phase"] != "Bound" and not going:
            found.append(f"PersistentVolume {volume['metadata']['name']}")
    return found


async def test_all_is_well_with_every_class_and_nothing_is_left(
    cluster_one: RealCluster, reachable_s3: S3Server, tmp_path: Path
) -> None:
    async with on_bench(cluster_one, reachable_s3, tmp_path) as bench:
        location = await bench.add_location(reachable_s3.new_bucket(), tmp_path / "kit")
        done = await bench.engine.clusters.check(bench.name, storage_classes=GOOD)
    # another class's driver has no snapshot class, which is a warning
    others = {row.key for row in done.results if row.status != "ok"}
    assert others <= {"snapshot.class/plain.csi.kubehaven.test"}, done.results
    rows = by_key(done)
    assert rows[f"location.pod/{location}"].status == "ok"
    assert {f"volume.files/{name}" for name in GOOD} <= rows.keys()
    assert left(cluster_one) == []


async def test_what_is_broken_is_named_and_nothing_is_left(
    cluster_one: RealCluster,
    reachable_s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubectl = cluster_one.kubectl
    monkeypatch.setattr(run, "PATIENCE", Patience(image_s=10, place_s=60, begin_s=120))
    mark = ("annotate", "volumesnapshotclass", "kh-snap-fail", "--overwrite")
    with running_weed(tmp_path) as here_only:
        async with on_bench(cluster_one, reachable_s3, tmp_path) as bench:
            bench.s3 = here_only
            location = await bench.add_location(here_only.new_bucket(), tmp_path / "kit")
            check = bench.engine.clusters.check
            kubectl(*mark, "kubehaven.io/snapshot-class=true")
            try:
                rows = by_key(await check(bench.name, storage_classes=("kh-csi-immediate",)))
            finally:
                kubectl(*mark, "kubehaven.io/snapshot-class-")
            snapshot = rows["volume.snapshot/kh-csi-immediate"]
            assert (snapshot.status, snapshot.code) == ("failed", "cut.failed"), snapshot
            assert rows["volume.clone/kh-csi-immediate"].status == "skipped"
            assert rows["volume.files/kh-csi-immediate"].status == "ok"
            assert rows[f"location.here/{location}"].status == "ok"
            reached = rows[f"location.pod/{location}"]
            assert (reached.status, reached.code) == ("failed", "store.unavailable"), reached
            assert rows["removed/"].status == "ok", rows["removed/"]

            rows = by_key(await without_image(cluster_one, bench))
            image = rows["workers.image/"]
            assert (image.status, image.code) == ("failed", "worker.image"), image
            assert "kubehaven.test/nothing:1" in image.seen
            assert rows["volume.write/kh-csi"].status == "skipped"

            quota = ("quota", "none", "-n", WORKERS)
            kubectl("create", *quota, "--hard=pods=0")
            try:
                rows = by_key(await check(bench.name, storage_classes=("kh-csi",)))
            finally:
                kubectl("delete", *quota)
            assert (rows["workers.room/"].status, rows["workers.room/"].code) == (
                "failed",
                "workers.room",
            )
            refused = rows["workers.admission/"]
            assert (refused.status, refused.code) == ("failed", "pods.refused"), refused
            assert "exceeded quota" in refused.seen
            assert rows["workers.image/"].status == "skipped"
    assert left(cluster_one) == []


async def without_image(cluster: RealCluster, bench: Bench) -> ClusterCheck:
    """A check while Settings name an image that is nowhere."""
    settings = (
        "patch",
        "settings.kubehaven.io",
        "default",
        "-n",
        "kubehaven",
        "--type=merge",
        "-p",
    )
    cluster.kubectl(*settings, '{"spec":{"workers":{"image":"kubehaven.test/nothing:1"}}}')
    try:
        return await bench.engine.clusters.check(bench.name, storage_classes=("kh-csi",))
    finally:
        cluster.kubectl(*settings, '{"spec":{"workers":{"image":null}}}')
