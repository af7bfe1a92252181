"""Claims and snapshots that go wrong on real storage: a reason, the right outcome, nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from console.engine import RestoreRequest
from console.engine.catalog.contents import get_content
from tests.cluster.bed.places import HOST
from tests.cluster.bed.processes import wait_until
from tests.cluster.repositories import checked_weed
from tests.cluster.volumes import claim, deployment, driving, with_worker
from tests.contract.kubernetes import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from console.engine import ActionView
    from tests.cluster.bed.places import Cluster as Bed
    from tests.fakes.weed import S3Server

OURS = "kubehaven.io/snapshot-class"
LATER = 3  # seconds until a snapshot that is not ready is given up


@pytest.fixture(scope="session")
def one(bed_one: Bed) -> Cluster:
    """The bed's cluster: its classes are asked for by name."""
    return with_worker(bed_one)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that the bed's pods reach."""
    with checked_weed(tmp_path_factory.mktemp("weed"), HOST) as server:
        yield server


@contextlib.contextmanager
def snapshots_by(cluster: Cluster, name: str) -> Iterator[None]:
    """Snapshots are taken with this class while in the block."""
    cluster.run("annotate", "volumesnapshotclass", name, f"{OURS}=true")
    try:
        yield
    finally:
        cluster.run("annotate", "volumesnapshotclass", name, f"{OURS}-")


def told(row: ActionView) -> set[tuple[str, str]]:
    """Code and claim of each failure."""
    return {(failure.code, failure.object.rpartition("/")[2]) for failure in row.failures}


def ended(row: ActionView) -> tuple[str, str]:
    """Outcome and the error's code."""
    return row.outcome, row.error.code if row.error else ""


async def test_each_claim_that_can_not_be_had_is_named(
    one: Cluster, namespace: str, tmp_path: Path
) -> None:
    """A driver without snapshots, claims that are lost or going; without them all is well."""

    def in_phase(name: str, wanted: str) -> bool:
        path = "-o=jsonpath={.status.phase}"
        return one.run("get", "pvc", name, "-n", namespace, path).strip() == wanted

    async with driving(one, namespace, tmp_path) as yard:
        alone = claim("alone", "kh-csi-plain-now", accessModes=["ReadWriteOncePod"])
        yard.apply(
            claim("data", "kh-csi-immediate"),
            claim("going", "kh-csi-immediate"),
            claim("lost", "kh-csi-immediate"),
            claim("plain", "kh-csi-plain-now"),
            claim("device", "kh-csi-plain-now", volumeMode="Block"),
            alone,
            claim("pending", "kh-csi-fail"),
            deployment("going"),
        )
        yard.ready()
        for name in ("data", "lost", "plain", "device", "alone"):
            wait_until(f"{name} is bound", partial(in_phase, name, "Bound"))
        volume = one.read("pvc", "lost", "-n", namespace)["spec"]["volumeName"]
        one.run("delete", "pv", volume, "--wait=false")
        one.run("patch", "pv", volume, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        one.run("delete", "pvc", "going", "-n", namespace, "--wait=false")
        wait_until("a claim is lost", partial(in_phase, "lost", "Lost"))

        row = await yard.back_up()
        assert ended(row) == ("Failed", "cut.refused"), row
        assert told(row) == {
            ("claim.deleting", "going"),
            ("claim.lost", "lost"),
            ("claim.block", "device"),
            ("claim.one_pod", "alone"),
        }
        assert all(failure.hint for failure in row.failures)
        await yard.nothing_is_left(points=0)

        for name in ("going", "lost", "device", "alone"):
            label = "kubehaven.io/exclude=true"
            one.run("label", "pvc", name, "-n", namespace, label)
        row = await yard.back_up()
        assert ended(row) == ("Partial", ""), row
        assert told(row) == {
            ("claim.pending", "pending"),
            ("claim.copied_by_export", "plain"),  # this one can be copied
        }
        await yard.nothing_is_left(points=1)


async def test_a_snapshot_that_the_storage_refuses(
    one: Cluster, namespace: str, tmp_path: Path
) -> None:
    async with driving(one, namespace, tmp_path) as yard:
        yard.apply(claim("data", "kh-csi-immediate"))
        bound = "--for=jsonpath={.status.phase}=Bound"
        one.run("wait", bound, "pvc/data", "-n", namespace, "--timeout=110s")
        with snapshots_by(one, "kh-snap-fail"):
            row = await yard.back_up()
        assert ended(row) == ("Failed", "cut.failed"), row
        assert "told to fail" in (row.error.message if row.error else "")
        await yard.nothing_is_left(points=0)
        row = await yard.back_up()
        assert row.outcome == "Complete", row
        await yard.nothing_is_left(points=1)


async def test_a_snapshot_that_is_slow_and_one_that_never_gets_ready(
    one: Cluster, namespace: str, s3: S3Server, tmp_path: Path
) -> None:
    async with driving(one, namespace, tmp_path) as yard:
        yard.apply(claim("data", "kh-csi-immediate"), deployment("data"))
        yard.ready()
        yard.run_there("sh", "-c", "echo two > /data/f; sync")
        with snapshots_by(one, "kh-snap-slow"):
            point = await yard.backed_up()
        row = await yard.restored(RestoreRequest(point=point, target=yard.other))
        assert row.outcome == "Complete", row
        assert yard.run_there("cat", "/data/f", where=yard.other) == "two"

    async with driving(one, namespace, tmp_path, snapshotReadySeconds=LATER) as yard:
        with snapshots_by(one, "kh-snap-never"):
            point = await yard.backed_up()
        in_place = RestoreRequest(point=point, in_place=True)
        rows = await asyncio.gather(yard.restored(in_place), yard.exported(point, s3))
        assert [ended(row) for row in rows] == [("Failed", "snapshot.not_ready")] * 2, rows
        assert yard.run_there("cat", "/data/f") == "two", "nothing was stopped"
        await yard.nothing_is_left(points=2)


async def test_a_driver_that_takes_longer_than_it_is_given(
    bed_one: Bed, namespace: str, tmp_path: Path
) -> None:
    """The sidecar gives up and asks again: the same snapshot comes, or goes, and none is lost."""

    one = Cluster(bed_one.kubeconfig, pause_image="", storage_class="", snapshot_class="")

    def kept() -> set[str]:
        return {path.name for path in bed_one.storage.glob("hostpath/snaps/*")}

    async with driving(one, namespace, tmp_path) as yard:
        yard.apply(claim("data", "kh-csi-immediate"))
        bound = "--for=jsonpath={.status.phase}=Bound"
        one.run("wait", bound, "pvc/data", "-n", namespace, "--timeout=110s")
        before = kept()
        with snapshots_by(one, "kh-snap-late"):
            point = await get_content(yard.client, await yard.backed_up())
            assert point.status.cut.attempt == 1
            handles = {v.snapshot.handle for v in point.status.volumes if v.snapshot}
            assert kept() - before == handles

            ref = await yard.engine.actions.back_up(yard.name, namespace)
            await yard.taking_a_snapshot()
            await yard.engine.actions.cancel(yard.name, ref.kind, ref.namespace, ref.name)
            assert (await yard.finished(ref)).outcome == "Cancelled"
        wait_until("the snapshot is gone from the storage", lambda: kept() - before == handles)
        await yard.nothing_is_left(points=1)


async def test_a_cluster_that_knows_no_snapshots(bed_two: Bed, tmp_path: Path) -> None:
    """On the second cluster, where no other test takes snapshots meanwhile."""
    two = Cluster(bed_two.kubeconfig, pause_image="", storage_class="", snapshot_class="")
    with two.namespace() as namespace:
        async with driving(two, namespace, tmp_path) as yard:
            yard.apply(claim("data", "kh-csi-immediate"))
            bound = "--for=jsonpath={.status.phase}=Bound"
            two.run("wait", bound, "pvc/data", "-n", namespace, "--timeout=110s")
            with without_snapshots(two):
                row = await yard.back_up()
            assert ended(row) == ("Failed", "cut.refused"), row
            assert [failure.code for failure in row.failures] == ["snapshot.no_crds"]
            await yard.nothing_is_left(points=0)


@contextlib.contextmanager
def without_snapshots(cluster: Cluster) -> Iterator[None]:
    """The API knows no VolumeSnapshots while in the block; those that there are stay stored."""
    group = "snapshot.storage.k8s.io"
    kinds = ("volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses")
    crds = [cluster.read("crd", f"{kind}.{group}") for kind in kinds]

    def serve(*, served: bool) -> None:
        for crd in crds:
            versions = crd["spec"]["versions"]
            merge = {"spec": {"versions": [{**one, "served": served} for one in versions]}}
            name = crd["metadata"]["name"]
            cluster.run("patch", "crd", name, "--type=merge", "-p", json.dumps(merge))
        known = ("get", "--raw", f"/apis/{group}/v1/volumesnapshotclasses")
        wait_until("the API says so", lambda: (cluster.attempt(*known)[0] == 0) is served)

    serve(served=False)
    try:
        yield
    finally:
        serve(served=True)
