"""The sample on real clusters: backed up, exported, changed, lost, and brought back everywhere."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from console.engine import open_engine
from console.engine.catalog.locations import open_location
from console.engine.catalog.rediscover import join_exported, look_into
from console.engine.kube import KubeClient, read_kubeconfig
from tests.cluster.sample import Bench, Shop, check_with_restic, shop, stocked
from tests.fakes.weed import running_weed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.conftest import RealCluster
    from tests.contract.kubernetes import Cluster
    from tests.fakes.weed import S3Server


@pytest.fixture(scope="session")
def reachable_s3(
    cluster_one: RealCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """An S3 server that the clusters' pods reach."""
    if not cluster_one.host:
        pytest.skip("KUBEHAVEN_TEST_HOST=ADDRESS KUBECONFIG=FILE make test-cluster runs it")
    with running_weed(tmp_path_factory.mktemp("weed"), cluster_one.host) as server:
        yield server


@pytest.fixture(scope="session")
def one(cluster_one: RealCluster) -> Cluster:
    """The cluster that the sample runs on."""
    return stocked(cluster_one)


async def test_the_shop_comes_back_beside_itself_and_after_it_was_lost(
    one: Cluster, reachable_s3: S3Server, tmp_path: Path
) -> None:
    bucket, kit = reachable_s3.new_bucket(), tmp_path / "kit"
    with shop(one) as made:
        namespace = made.namespace
        made.open_page()
        made.open_page()
        async with open_engine(tmp_path / "home") as engine:
            bench = Bench(engine, one, reachable_s3, tmp_path)
            await bench.prepare()
            await bench.back_up(namespace, await bench.add_location(bucket, kit))
            made.open_page()
            made.open_page()
            assert made.views() == 4
            local = await bench.point(namespace, "local")
            exported = await bench.point(namespace, "exported")
            target = f"{namespace}-beside"
            try:
                assert (await bench.restore(exported, target)).outcome == "Complete"
                assert _views(one, target) == 2
            finally:
                _delete(one, target)
            assert made.views() == 4

        # a namespace goes by itself: no engine runs now
        began = time.monotonic()
        _delete(one, namespace)
        assert time.monotonic() - began < 30

        async with open_engine(tmp_path / "home") as engine:
            bench.engine = engine
            await engine.clusters.watch(bench.name, take_over=True)
            for point in (local, exported):
                assert (await bench.restore(point)).outcome == "Complete"
                assert _views(one, namespace) == 2
                _delete(one, namespace)
    assert check_with_restic(reachable_s3, bucket, kit, tmp_path) == 1


async def test_another_cluster_restores_the_shop_from_the_bucket(
    one: Cluster, cluster_two: RealCluster, reachable_s3: S3Server, tmp_path: Path
) -> None:
    two = stocked(cluster_two)
    bucket, kit = reachable_s3.new_bucket(), tmp_path / "kit"
    with shop(one) as made:
        made.open_page()
        async with open_engine(tmp_path / "home") as engine:
            bench = Bench(engine, one, reachable_s3, tmp_path)
            await bench.prepare()
            await bench.back_up(made.namespace, await bench.add_location(bucket, kit))
    target = f"{made.namespace}-there"
    async with open_engine(tmp_path / "home-2") as engine:
        other = Bench(engine, two, reachable_s3, tmp_path)
        await other.prepare()
        await _join_all(two, await other.add_location(bucket, kit, known=True))
        try:
            point = await other.point(made.namespace, "exported")
            assert (await other.restore(point, target)).outcome == "Complete"
            assert _views(two, target) == 1
        finally:
            _delete(two, target)


async def test_a_database_under_load_is_whole_and_has_what_was_committed_before(
    one: Cluster, reachable_s3: S3Server, tmp_path: Path
) -> None:
    with shop(one) as made:
        socket = ("-h", "/var/lib/pgsql/data/userdata", "-U", "postgres")
        made.run_there("pgbench", *socket, "-i", "-q", "postgres")
        where = ("exec", "-n", made.namespace, "deploy/postgresql", "--")
        load = one.popen(*where, "pgbench", *socket, "-c", "2", "-T", "600", "postgres")
        target = f"{made.namespace}-{uuid.uuid4().hex[:4]}"
        try:
            while int(made.sql("select count(*) from pgbench_history")) < 100:
                assert load.poll() is None, load.communicate()
            async with open_engine(tmp_path / "home") as engine:
                bench = Bench(engine, one, reachable_s3, tmp_path)
                await bench.prepare()
                before = int(made.sql("select count(*) from pgbench_history"))
                await bench.back_up(made.namespace)
                assert load.poll() is None, "the load ended before the cut"
                point = await bench.point(made.namespace, "local")
                assert (await bench.restore(point, target)).outcome == "Complete"
            there = Shop(one, target)
            there.ready()
            assert int(there.sql("select count(*) from pgbench_history")) >= before
            there.run_there("pg_amcheck", *socket, "--all", "--install-missing")
        finally:
            load.kill()
            load.communicate()
            _delete(one, target)


async def _join_all(cluster: Cluster, location: str) -> None:
    """Make the bucket's points known to a cluster that they are not from."""
    async with KubeClient(read_kubeconfig(cluster.kubeconfig)) as client:
        opened = await open_location(client, location)
        seen = await asyncio.to_thread(look_into, opened, cluster_uid="")
        assert not seen.damaged
        await join_exported(client, location, seen.points)


def _views(cluster: Cluster, namespace: str) -> int:
    there = Shop(cluster, namespace)
    there.ready()
    return there.views()


def _delete(cluster: Cluster, namespace: str) -> None:
    cluster.run("delete", "namespace", namespace, "--ignore-not-found", "--timeout=100s")
