"""Many objects on a real API server of their own: what watching, listing and a backup cost there.

`KUBEHAVEN_SCALE=full` makes 1,000 namespaces, 10,000 pods, 5,400 points and 10,000 ConfigMaps
of what is a part of that otherwise; the figures of docs/performance.md are from there (`-s`
shows them). The cluster is the third of the bed and goes at the end as a whole: deleting that
many namespaces would take longer, and would be in the way of the other tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks.engine import SOURCE, Ours, fill, newest_point
from benchmarks.peers import measure
from console.engine.actions.collecting import collect, entry
from console.engine.catalog.local import packed_bytes
from console.engine.model.kinds import CONFIG_MAPS, SECRETS
from console.engine.model.names import NAMESPACE
from tests.cluster.bed.clusters import up
from tests.cluster.bed.guard import Guardian
from tests.cluster.bed.places import TREE, Cluster
from tests.cluster.conftest import GIVEN, THIRD
from tests.cluster.crowd import Calls, Crowd, Process, application, wanted_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROWTH_MIB = 60
IDLE_SHARE = 0.02
WINDOW_S = 30.0
BUDGET = 64 << 20
BUDGET_POINTS = 5400  # that must fit into it
PATIENT_S = 20.0  # 2 s where nothing else runs
PAGE = 100  # objects of a list's page, at least: a call for each would be a hundred times as many


@pytest.fixture(scope="module")
def crowd(guardian: Guardian) -> Iterator[Crowd]:
    """The empty cluster, prepared."""
    if GIVEN:
        pytest.skip("not on somebody's own cluster: run make test-cluster without KUBECONFIG")
    cluster = Cluster(THIRD)
    with Guardian() as held:
        held.guard(THIRD)
        up(cluster)
        yield Crowd(cluster, wanted_size())


@pytest.fixture(scope="module")
def home(crowd: Crowd, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the command line, which knows the cluster by an account whose requests are counted."""
    folder = tmp_path_factory.mktemp("scale")
    kubeconfig = crowd.counted_kubeconfig(folder / "kubeconfig")
    _kubehaven(folder, "cluster", "add", "crowd", "--kubeconfig", str(kubeconfig))
    _kubehaven(folder, "cluster", "prepare", "crowd", "--yes")
    return folder


@pytest.fixture(scope="module")
def memory_at_first(crowd: Crowd, home: Path) -> float:
    """MiB of an engine on the empty cluster, which is full afterwards."""
    with _engine(home) as empty:
        empty.until_quiet()
        memory = empty.memory_mib()
    began = time.monotonic()
    asyncio.run(crowd.fill())
    asyncio.run(_add_points(crowd))
    _say(f"{crowd.size} made in {time.monotonic() - began:.0f} s")
    return memory


def test_an_engine_that_watches_many_applications_stays_small_and_quiet(
    crowd: Crowd, home: Path, memory_at_first: float
) -> None:
    calls = Calls(crowd.cluster)
    with _engine(home) as engine:
        engine.until_quiet()
        grown = engine.memory_mib() - memory_at_first
        to_start = calls.told()
        calls = Calls(crowd.cluster)
        share = engine.share_of_a_core(WINDOW_S)
        meanwhile = calls.told()
    _say(f"on an empty cluster an engine holds {memory_at_first:.0f} MiB, here {grown:.0f} more")
    _say(f"it takes {share:.2%} of a core; {len(to_start)} calls to start, then {len(meanwhile)}")
    assert grown < GROWTH_MIB
    assert share < IDLE_SHARE
    _assert_few(crowd, to_start)
    assert len(meanwhile) < WINDOW_S * 2, meanwhile


@pytest.mark.usefixtures("memory_at_first")
def test_a_list_of_applications_asks_for_no_object_alone(crowd: Crowd, home: Path) -> None:
    calls = Calls(crowd.cluster)
    command = [sys.executable, "-m", "console", "app", "list", "--home", str(home)]
    cost = measure(command, cwd=TREE)
    told = calls.told()
    _say(f"app list: {cost.wall_s:.1f} s, {cost.peak_mib:.0f} MiB, {len(told)} calls")
    shown = _kubehaven(home, "app", "list")
    assert f"{application(crowd.size.namespaces - 1)} " in shown
    _assert_few(crowd, told)


@pytest.mark.usefixtures("memory_at_first")
def test_the_points_of_many_applications_stay_inside_their_budget(crowd: Crowd) -> None:
    async def look() -> tuple[int, int, float]:
        async with crowd.client() as client:
            began = time.monotonic()
            secrets = await client.list(SECRETS, NAMESPACE)
            took_s = time.monotonic() - began
            return await packed_bytes(client), len(secrets), took_s

    size, secrets, took_s = asyncio.run(look())
    points = crowd.size.applications * crowd.size.points_each
    _say(f"{points} points take {size / 2**20:.1f} MiB; {secrets} Secrets listed in {took_s:.2f} s")
    assert secrets >= 2 * points
    assert size * BUDGET_POINTS / points < BUDGET
    assert took_s < PATIENT_S


@pytest.mark.usefixtures("home")  # prepared
def test_a_large_namespace_comes_back_whole(crowd: Crowd, tmp_path: Path) -> None:
    async def make() -> None:
        async with crowd.client() as client:
            await fill(client, crowd.size.objects)

    async def objects(namespace: str) -> dict[str, dict[str, str]]:
        async with crowd.client() as client:
            found = await client.list(CONFIG_MAPS, namespace)
        return {
            raw["metadata"]["name"]: raw["data"]
            for raw in found
            if raw["metadata"]["name"].startswith("settings-")
        }

    async def point() -> str:
        async with crowd.client() as client:
            return await newest_point(client)

    asyncio.run(make())
    ours, target = Ours(crowd.cluster.kubeconfig, tmp_path), f"{SOURCE}-back"
    saved = ours.back_up()
    back = ours.restore(target, asyncio.run(point()))
    for work, cost in ("backup", saved), ("restore", back):
        _say(f"{work} of {crowd.size.objects}: {cost.wall_s:.1f} s, {cost.peak_mib:.0f} MiB")
    wanted = asyncio.run(objects(SOURCE))
    assert len(wanted) == crowd.size.objects
    assert asyncio.run(objects(target)) == wanted


def _assert_few(crowd: Crowd, calls: list[tuple[str, str, str]]) -> None:
    """Pages of lists, and a handful of others; none for each object, point or namespace."""
    size = crowd.size
    objects = size.namespaces * 3 + size.applications * size.points_each * 4
    assert len(calls) < 100 + objects / PAGE * 2, calls
    assert not [one for one in calls if "/namespaces/crowd-" in one[1]]


async def _add_points(crowd: Crowd) -> None:
    async with crowd.client() as client:
        found = await collect(client, application(0), entry)
    assert not found.failures
    await crowd.add_points([one for one in found.kept if "/pods/" not in one[0]])


@contextlib.contextmanager
def _engine(home: Path) -> Iterator[Process]:
    command = [sys.executable, "-m", "console", "engine", "run", "--home", str(home)]
    log = (home / "engine.log").open("w+")
    process = subprocess.Popen(command, cwd=TREE, stderr=log, text=True)
    try:
        yield Process(process.pid)
        assert process.poll() is None, (home / "engine.log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()


def _kubehaven(home: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "console", *words, "--home", str(home)],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _say(line: str) -> None:
    sys.stderr.write(f"{line} (load {os.getloadavg()[0]:.1f})\n")
