"""The sample on real clusters: backed up, exported, changed, lost, and brought back everywhere."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from console.engine import open_engine
from tests.cluster.repositories import check_with_restic
from tests.cluster.sample import OPENSHIFT, Bench, Shop, shop, stocked
from tests.cluster.test_swap import FREE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import RealCluster
    from tests.contract.kubernetes import Cluster
    from tests.fakes.weed import S3Server


async def test_the_shop_comes_back_in_place_beside_itself_and_after_it_was_lost(
    cluster_one: RealCluster, one: Cluster, reachable_s3: S3Server, tmp_path: Path
) -> None:
    bucket, kit = reachable_s3.new_bucket(), tmp_path / "kit"
    with shop(one) as made:
        namespace = made.namespace
        guide = Guide(one, namespace, in_bed=cluster_one.bed is not None)
        guide.make()
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
            swapped = await bench.restore(local, in_place=True)
            assert _views(one, namespace) == 2
            guide.stands_as_it_was()
            assert (await bench.undo(swapped)).outcome == "Complete"
            assert _views(one, namespace) == 4
            guide.stands_as_it_was()
            assert swapped.swap is not None
            for volume in swapped.swap.volumes:  # nobody will undo the undo
                one.run("patch", "persistentvolume", volume.new, "--type=merge", "-p", FREE)
            target = f"{namespace}-beside"
            try:
                assert (await bench.restore(exported, target)).outcome == "Complete"
                assert _views(one, target) == 2
                replace(guide, namespace=target).is_restored()
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
                guide.is_restored()
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
        location = await other.add_location(bucket, kit, known=True)
        await engine.locations.check(other.name, location, all_clusters=True)
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


@dataclass
class Guide:
    """The field guide's own shape beside the shop: what OpenShift has and others have not.

    Only where no controller changes these objects: in the bed.
    """

    cluster: Cluster
    namespace: str
    in_bed: bool

    def make(self) -> None:
        """The template's objects, and a Secret that a Route owns."""
        if not self.in_bed:
            return
        self.cluster.run("apply", "-n", self.namespace, "-f", str(OPENSHIFT))
        route = self.get("route/chosen")
        owner = {"apiVersion": route["apiVersion"], "kind": "Route", "name": "chosen"}
        owner |= {"uid": route["metadata"]["uid"], "controller": True}
        meta = {"name": "certificate", "namespace": self.namespace, "ownerReferences": [owner]}
        self.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta})

    def get(self, what: str) -> dict[str, Any]:
        """One of its objects."""
        return self.cluster.read("-n", self.namespace, what)

    def stands_as_it_was(self) -> None:
        """In place: what runs is scaled as before, and nothing that is there was changed."""
        if not self.in_bed:
            return
        config = self.get("deploymentconfig/django-psql-example")
        assert config["spec"]["replicas"] == 1
        assert "lastTriggeredImage" in config["spec"]["triggers"][1]["imageChangeParams"]
        assert "host" in self.get("route/generated")["spec"]

    def is_restored(self) -> None:
        """As docs/restore-rules.md has it."""
        if not self.in_bed:
            return
        generated, chosen = self.get("route/generated"), self.get("route/chosen")
        assert "host" not in generated["spec"]
        assert generated["spec"]["to"]["name"] == "django"
        assert chosen["spec"]["host"] == "shop.example.com"
        config = self.get("deploymentconfig/django-psql-example")
        change = config["spec"]["triggers"][1]["imageChangeParams"]
        assert "lastTriggeredImage" not in change
        assert change["from"]["name"] == "django-psql-example:latest"
        assert config["spec"]["replicas"] == 1
        stream = self.get("imagestream/django-psql-example")
        assert "status" not in stream
        (tag,) = stream["spec"]["tags"]
        assert "generation" not in tag
        assert tag["from"]["name"] == "quay.io/example/django:1"
        template = self.get("secret/django-psql-example")
        assert template["data"]["database-user"] == "ZGphbmdv"
        assert template["metadata"]["labels"]["template"] == "django-psql-example"
        (owner,) = self.get("secret/certificate")["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"]) == ("Route", chosen["metadata"]["uid"])


def _views(cluster: Cluster, namespace: str) -> int:
    there = Shop(cluster, namespace)
    there.ready()
    return there.views()


def _delete(cluster: Cluster, namespace: str) -> None:
    cluster.run("delete", "namespace", namespace, "--ignore-not-found", "--timeout=100s")
