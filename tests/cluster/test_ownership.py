"""OpenShift's ranges of users: the sample moves into a namespace that has another one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from console.engine import RestoreRequest, open_engine
from tests.cluster.bed.processes import wait_until
from tests.cluster.bed.scc import restricted
from tests.cluster.sample import Bench, Shop, restrict, shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.bed.places import Cluster as Bed
    from tests.contract.kubernetes import Cluster
    from tests.fakes.weed import S3Server

OLD, NEW = 1000660000, 1000670000
DATA = "/var/lib/pgsql/data/userdata"


@pytest.fixture(scope="module")
def under_scc(bed_one: Bed) -> Iterator[None]:
    """Labelled namespaces of the first cluster stand under restricted-v2."""
    with restricted(bed_one):
        yield


@contextlib.contextmanager
def project(cluster: Cluster) -> Iterator[str]:
    """An empty namespace with the other range."""
    name = f"project-{uuid.uuid4().hex[:6]}"
    cluster.run("create", "namespace", name)
    restrict(cluster, name, f"{NEW}/10000")
    try:
        yield name
    finally:
        cluster.run("delete", "namespace", name, "--timeout=100s")


async def test_files_get_the_users_of_the_range_that_the_target_has(
    one: Cluster, under_scc: None, reachable_s3: S3Server, tmp_path: Path
) -> None:
    with shop(one, f"{OLD}/10000") as made:
        made.open_page()
        made.open_page()
        assert owners(made) == {f"{OLD}:{OLD}"}
        async with open_engine(tmp_path / "home") as engine:
            bench = Bench(engine, one, reachable_s3, tmp_path)
            await bench.prepare()
            location = await bench.add_location(reachable_s3.new_bucket(), tmp_path / "kit")
            await bench.back_up(made.namespace, location)
            local = await bench.point(made.namespace, "local")
            exported = await bench.point(made.namespace, "exported")
            with project(one) as target:
                await as_it_was(bench, local.name, target)
            for point in (local, exported):
                with project(one) as target:
                    row = await bench.restore(point, target, owners={str(OLD): NEW})
                    assert row.outcome == "Complete"
                    there = Shop(one, target)
                    there.ready()
                    assert there.views() == 2
                    assert owners(there) == {f"{NEW}:{NEW}"}


async def as_it_was(bench: Bench, point: str, target: str) -> None:
    """Without a map the preview names the one that fits, and PostgreSQL may not use its files."""
    request = RestoreRequest(point=point, target=target)
    preview = await bench.engine.restore_points.preview(bench.name, request)
    assert not preview.blockers
    (said,) = [one for one in preview.warnings if one.code == "restore.uid_range"]
    assert said.hint.endswith(f"--map-owner {OLD}:{NEW}")
    ref = await bench.engine.actions.restore(bench.name, request, plan_hash=preview.hash)
    logs = ("logs", "-n", target, "deploy/postgresql")

    def refused() -> bool:
        return "Operation not permitted" in bench.cluster.attempt(*logs)[1]

    await asyncio.to_thread(wait_until, "PostgreSQL's refusal", refused, limit_s=180)
    await bench.engine.actions.cancel(bench.name, ref.kind, ref.namespace, ref.name)


def owners(made: Shop) -> set[str]:
    """Who owns the database's files, as user:group."""
    find = ("find", DATA, "-ignore_readdir_race", "-printf", r"%U:%G\n")
    return set(made.run_there(*find).split())


def test_the_double_refuses_what_restricted_v2_refuses(one: Cluster, under_scc: None) -> None:
    outside = f"must be in the ranges: [{NEW}, {NEW + 9999}]"
    with project(one) as namespace:
        for change, own, said in REFUSED:
            told = one.refused("create", *DRY, "-n", namespace, given=pod(change, own))
            assert said.format(outside=outside) in told
        made = json.loads(one.run("create", *DRY, "-n", namespace, "-o", "json", given=pod({}, {})))
        assert made["metadata"]["annotations"]["openshift.io/scc"] == "restricted-v2"
        assert made["spec"]["securityContext"]["fsGroup"] == NEW
        assert made["spec"]["containers"][0]["securityContext"]["runAsUser"] == NEW
        one.run("create", *DRY, "-n", namespace, given=pod({}, {"runAsUser": NEW + 5}))
    # no other namespace is touched
    one.run("create", *DRY, "-n", "default", given=pod({"hostPID": True}, {"privileged": True}))


DRY = ("--dry-run=server", "-f", "-")
REFUSED: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({"hostNetwork": True}, {}, "hostNetwork"),
    ({"hostPID": True}, {}, "hostPID"),
    ({"hostIPC": True}, {}, "hostIPC"),
    ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, {}, "hostPath volumes"),
    ({"securityContext": {"fsGroup": 0}}, {}, "fsGroup"),
    ({"securityContext": {"runAsUser": OLD}}, {}, "{outside}"),
    ({}, {"runAsUser": 0}, "{outside}"),
    ({}, {"privileged": True}, "privileged"),
    ({}, {"capabilities": {"add": ["SYS_ADMIN"]}}, "SYS_ADMIN"),
)


def pod(change: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A pod with something of its own in its spec and in its container's context."""
    container = {"name": "c", "image": "kubehaven.test/busybox:1", "securityContext": own}
    metadata = {"name": "p"}
    spec = {"containers": [container], **change}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
