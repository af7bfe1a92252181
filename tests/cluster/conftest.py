"""Clusters for the tests of this folder; `make test-cluster` runs them.

A test asks for `cluster_one` (and `cluster_two`), started once per run, and for `namespace`,
a name of its own that is removed at the end. With `KUBECONFIG` set, `cluster_one` is that
cluster; tests that ask for `bed_one` or `cluster_two`, or for what only the bed has, then skip.

While you write a test: `KUBEHAVEN_BED_FIRST=3` takes the bed's clusters 3 and 4, so that runs go
side by side; `KUBEHAVEN_BED_KEEP=1` uses a cluster that stands and leaves it standing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cluster.bed.clusters import up
from tests.cluster.bed.guard import Guardian, missing
from tests.cluster.bed.places import HOST, Cluster
from tests.cluster.bed.processes import attempt, run
from tests.cluster.box import Box, Desk, box_on, desk_at
from tests.cluster.repositories import checked_weed
from tests.cluster.sample import stocked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.contract.kubernetes import Cluster as Seen
    from tests.fakes.weed import S3Server

HERE = Path(__file__).parent
GIVEN = os.environ.get("KUBECONFIG", "")
FIRST = int(os.environ.get("KUBEHAVEN_BED_FIRST", "1"))
THIRD = FIRST + 2  # of tests that fill a whole cluster and throw it away
KEPT = os.environ.get("KUBEHAVEN_BED_KEEP") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is for `make test-cluster`, with time for a slow machine."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(600))


class RealCluster(NamedTuple):
    """A cluster as a test sees it."""

    kubeconfig: Path
    host: str  # the address at which its pods reach this machine; empty where they don't
    bed: Cluster | None  # None: somebody's own cluster

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """What kubectl prints.

        Raises:
            BedFault: It failed.
        """
        return run("kubectl", f"--kubeconfig={self.kubeconfig}", *words, stdin=stdin)


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """Clusters of the bed may stand here; at the end those of this run are gone."""
    reason = missing()
    if reason:
        pytest.skip(f"{reason}; or run on a cluster of your own: KUBECONFIG=FILE make test-cluster")
    with Guardian() as held:
        yield held


@pytest.fixture(scope="session")
def bed_one(guardian: Guardian) -> Cluster:
    """The first cluster of the bed."""
    return _started(FIRST, guardian)


@pytest.fixture(scope="session")
def bed_two(guardian: Guardian) -> Cluster:
    """The second cluster of the bed."""
    return _started(FIRST + 1, guardian)


def _started(number: int, guardian: Guardian) -> Cluster:
    if GIVEN:
        pytest.skip(
            "this test needs the clusters of the bed: run make test-cluster without KUBECONFIG"
        )
    cluster = Cluster(number)
    stands = ("kubectl", f"--kubeconfig={cluster.kubeconfig}", "get", "--raw=/readyz")
    if not KEPT:
        guardian.guard(number)
    if not (KEPT and attempt(*stands)):
        up(cluster)
    return cluster


@pytest.fixture(scope="session")
def cluster_one(request: pytest.FixtureRequest) -> RealCluster:
    """The cluster to work on."""
    if GIVEN:
        return RealCluster(Path(GIVEN), os.environ.get("KUBEHAVEN_TEST_HOST", ""), None)
    bed: Cluster = request.getfixturevalue("bed_one")
    return RealCluster(bed.kubeconfig, HOST, bed)


@pytest.fixture(scope="session")
def cluster_two(bed_two: Cluster) -> RealCluster:
    """Another cluster, to move applications to."""
    return RealCluster(bed_two.kubeconfig, HOST, bed_two)


@pytest.fixture(scope="session")
def box(
    bed_one: Cluster, cluster_one: RealCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Box]:
    """A small application on the bed's first cluster, for tests that break the cluster."""
    folder = tmp_path_factory.mktemp("box")
    with checked_weed(folder, cluster_one.host) as s3, box_on(cluster_one, s3, folder) as made:
        yield made


@pytest.fixture(scope="session")
def reachable_s3(
    cluster_one: RealCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """An S3 server that the clusters' pods reach."""
    if not cluster_one.host:
        pytest.skip("KUBEHAVEN_TEST_HOST=ADDRESS KUBECONFIG=FILE make test-cluster runs it")
    with checked_weed(tmp_path_factory.mktemp("weed"), cluster_one.host) as server:
        yield server


@pytest.fixture(scope="session")
def one(cluster_one: RealCluster) -> Seen:
    """The first cluster with the images of the sample and the workers, as kubectl sees it."""
    return stocked(cluster_one)


@pytest.fixture
async def desk(box: Box) -> AsyncIterator[Desk]:
    """An engine at the small application that asks and never drives."""
    async with desk_at(box, drives=False) as made:
        yield made


@pytest.fixture
def namespace(cluster_one: RealCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test's own on the first cluster."""
    text = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())
    name = f"t-{text[:40].strip('-')}-{os.getpid()}"
    cluster_one.kubectl("create", "namespace", name)
    yield name
    cluster_one.kubectl("delete", "namespace", name, "--wait=false")
