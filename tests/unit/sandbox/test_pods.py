"""Pods as processes: what they may run, what they get, how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from console.sandbox.choosing import value_at
from console.sandbox.deletion import delete
from console.sandbox.kinds import DEPLOYMENTS, JOBS, PODS, SECRETS, SERVICES
from console.sandbox.mounts import clean_environment, rewritten
from tests.unit.sandbox.objects import (
    HOME,
    KUBEHAVEN,
    PAUSE,
    WRITER,
    becomes,
    bound,
    ended,
    finished,
    goes,
    home,
    job,
    key,
    mounting,
    pod,
)

if TYPE_CHECKING:
    from console.sandbox import Sandbox
    from console.sandbox.kinds import Raw


def _processes(sandbox: Sandbox) -> set[int]:
    """The pids of the sandbox's pods."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if Path(os.readlink(entry)).is_relative_to(sandbox.folder / "pods"):
                found.add(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("image", "arguments", "more", "reason"),
    [
        ("debian:12", [], {}, "ErrImagePull"),
        (KUBEHAVEN, ["repo", "init"], {}, "StartError"),
        (KUBEHAVEN, ["worker"], {"command": ["sh", "-c", "id"]}, "StartError"),
        (PAUSE, [], {"command": ["/bin/sh"]}, "StartError"),
        ("evil.example.com/kubehaven/kubehaven:1", ["worker"], {}, "ErrImagePull"),
    ],
)
async def test_only_its_own_images_and_commands_run(
    sandbox: Sandbox, image: str, arguments: list[str], more: Raw, reason: str
) -> None:
    home(sandbox)
    sandbox.create(pod("one", image, *arguments, container=more), HOME)

    def told() -> str:
        states = value_at(sandbox.store.peek(key(PODS, "one")), "status.containerStatuses") or ()
        found = [s["state"][kind] for s in states for kind in s["state"] if kind != "running"]
        return found[0].get("reason", "") if found else ""

    await sandbox.until(lambda: told() == reason)
    assert not _processes(sandbox)
    delete(sandbox.store, key(PODS, "one"))
    await goes(sandbox, key(PODS, "one"))


async def test_exit_code_message_and_log(sandbox: Sandbox) -> None:
    home(sandbox)
    sandbox.create(pod("good", KUBEHAVEN, "worker", "--help"), HOME)
    sandbox.create(pod("bad", KUBEHAVEN, "worker", "nonsense"), HOME)
    assert (await ended(sandbox, "good", "Succeeded"))["exitCode"] == 0
    state = await ended(sandbox, "bad", "Failed")
    assert (state["exitCode"], state["reason"]) == (2, "Error")


async def test_a_message_is_left_in_the_termination_log(sandbox: Sandbox) -> None:
    """Arguments that are paths of the container are what they really are."""
    home(sandbox)
    arguments = ["worker", "backup", "--job", "/job/none.json", "--secrets", "/secrets"]
    arguments += ["--termination-log", "/dev/termination-log", "--volume", "/job"]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    sandbox.create({**secret, "stringData": {"password": "open"}}, HOME)
    volumes = [
        {"name": "job", "emptyDir": {}},
        {"name": "secrets", "secret": {"secretName": "s", "defaultMode": 0o400}},
    ]
    mounts = [{"name": "job", "mountPath": "/job"}, {"name": "secrets", "mountPath": "/secrets"}]
    more = {"volumes": volumes, "container": {"volumeMounts": mounts}}
    sandbox.create(pod("one", KUBEHAVEN, *arguments, **more), HOME)
    state = await ended(sandbox, "one", "Failed")
    uid = sandbox.store.get(key(PODS, "one"))["metadata"]["uid"]
    result = json.loads(state["message"])
    assert result["outcome"] == "Failed"
    password = sandbox.folder / "pods" / uid / "volumes" / "secrets" / "password"
    assert password.read_text() == "open"
    assert password.stat().st_mode & 0o777 == 0o400
    delete(sandbox.store, key(PODS, "one"))
    await goes(sandbox, key(PODS, "one"))
    await asyncio.sleep(0)
    assert not password.exists()


def test_paths_are_rewritten_at_their_beginning_only() -> None:
    pairs = [("/data/in", Path("/real/in")), ("/data", Path("/real/data"))]
    told = {
        "/data": "/real/data",
        "/data/x": "/real/data/x",
        "/data/in/x": "/real/in/x",
        "/database": "/database",
        "at /data": "at /data",
    }
    assert {text: rewritten(text, pairs) for text in told} == told


async def test_nothing_is_inherited(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the person who runs the tests")
    home(sandbox)
    maps = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    sandbox.create({**maps, "data": {"TITLE": "told"}}, HOME)
    own = [
        {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "FROM", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "TITLE"}}},
    ]
    more = {"env": own, "envFrom": [{"configMapRef": {"name": "c"}}]}
    sandbox.create(pod("one", PAUSE, container=more), HOME)
    await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
    (pid,) = _processes(sandbox)
    text = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")  # noqa: ASYNC240
    found = dict(entry.partition("=")[::2] for entry in text if entry)
    assert (found["WHO"], found["FROM"], found["TITLE"]) == ("one", "told", "told")
    assert set(found) == {*clean_environment(Path("/")), "WHO", "FROM", "TITLE"}


async def test_a_pod_waits_for_its_configuration(sandbox: Sandbox) -> None:
    home(sandbox)
    env = [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "late", "key": "x"}}}]
    sandbox.create(pod("one", PAUSE, container={"env": env}), HOME)
    await sandbox.until(lambda: bool(sandbox.store.each("events", HOME)))
    assert sandbox.store.get(key(PODS, "one"))["status"]["phase"] == "Pending"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}}
    sandbox.create({**secret, "stringData": {"x": "1"}}, HOME)
    await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
    assert sandbox.store.peek(key(SECRETS, "late"))


@pytest.mark.parametrize(("policy", "restarts"), [("Always", 2), ("OnFailure", 2)])
async def test_containers_are_restarted(sandbox: Sandbox, policy: str, restarts: int) -> None:
    home(sandbox)
    sandbox.create(pod("one", KUBEHAVEN, "worker", "nonsense", restartPolicy=policy), HOME)

    def count() -> int:
        states = value_at(sandbox.store.peek(key(PODS, "one")), "status.containerStatuses") or ()
        return sum(s["restartCount"] for s in states)

    await sandbox.until(lambda: count() >= restarts)
    delete(sandbox.store, key(PODS, "one"))
    await goes(sandbox, key(PODS, "one"))


async def test_a_pod_that_ignores_the_signal_is_killed(sandbox: Sandbox) -> None:
    """SIGTERM, the grace period, SIGKILL; a stopped process shows it as well as a deaf one."""
    home(sandbox)
    sandbox.create(pod("one", PAUSE, terminationGracePeriodSeconds=1), HOME)
    await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
    (pid,) = _processes(sandbox)
    os.kill(pid, signal.SIGSTOP)
    delete(sandbox.store, key(PODS, "one"))
    assert sandbox.store.get(key(PODS, "one"))["metadata"]["deletionGracePeriodSeconds"] == 1
    await goes(sandbox, key(PODS, "one"))
    assert not _processes(sandbox)


async def test_a_pod_deleted_by_force_is_killed(sandbox: Sandbox) -> None:
    home(sandbox)
    sandbox.create(pod("one", PAUSE), HOME)
    await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
    assert delete(sandbox.store, key(PODS, "one"), {"gracePeriodSeconds": 0}) is None
    sandbox.create(pod("one", PAUSE), HOME)
    await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
    assert len(_processes(sandbox)) == 1


async def test_a_job_retries_and_then_fails(sandbox: Sandbox) -> None:
    home(sandbox)
    sandbox.create(job("bad", "worker", "nonsense", backoffLimit=2), HOME)
    conditions = await finished(sandbox, "bad")
    assert conditions["Failed"]["reason"] == "BackoffLimitExceeded"
    status = sandbox.store.get(key(JOBS, "bad"))["status"]
    assert status["failed"] == 3
    sandbox.create(job("good", "worker", "--help"), HOME)
    assert set(await finished(sandbox, "good")) == {"SuccessCriteriaMet", "Complete"}
    delete(sandbox.store, key(JOBS, "bad"), {"propagationPolicy": "Foreground"})
    await goes(sandbox, key(JOBS, "bad"))
    left = [p["metadata"]["labels"]["job-name"] for p in sandbox.store.each(PODS, HOME)]
    assert left == ["good"]


async def test_a_job_waits_for_the_end_of_a_pod_before_it_replaces_it(sandbox: Sandbox) -> None:
    """podReplacementPolicy Failed: never two at a time."""
    home(sandbox)
    template = pod("x", PAUSE)["spec"]
    more = {"podReplacementPolicy": "Failed", "template": {"spec": template}}
    sandbox.create({**job("one"), "spec": more}, HOME)

    def pods() -> list[Raw]:
        return [p for p in sandbox.store.each(PODS, HOME) if p["status"]["phase"] == "Running"]

    await sandbox.until(lambda: len(pods()) == 1)
    first = pods()[0]["metadata"]["name"]
    counts = set()
    end = sandbox.store.listen(lambda _: counts.add(sum(map(_is_on, sandbox.store.each(PODS)))))
    delete(sandbox.store, key(PODS, first))
    await sandbox.until(lambda: {p["metadata"]["name"] for p in pods()} not in (set(), {first}))
    end()
    assert {p["metadata"]["name"] for p in pods()} != {first}
    assert max(counts) == 1
    assert sandbox.store.get(key(JOBS, "one"))["status"]["failed"] == 1


def _is_on(found: Raw) -> bool:
    return found["status"]["phase"] not in {"Succeeded", "Failed"}


async def test_a_job_in_suspense_has_no_pods(sandbox: Sandbox) -> None:
    home(sandbox)
    sandbox.create(job("one", "worker", "--help", suspend=True), HOME)
    at = key(JOBS, "one")
    await sandbox.until(lambda: "conditions" in sandbox.store.get(at).get("status", {}))
    assert not sandbox.store.each(PODS, HOME)
    sandbox.store.edit(at, lambda obj: obj["spec"].update(suspend=False))
    assert "Complete" in await finished(sandbox, "one")


# the sample


async def test_the_sample_counts_its_views(sandbox: Sandbox) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    url = await sandbox.deploy_visits()
    took = loop.time() - began
    async with aiohttp.ClientSession() as session:

        async def page(path: str = "") -> str:
            async with session.get(f"{url}{path}") as answer:
                return await answer.text()

        assert "views: 1" in await page()
        assert "views: 2" in await page()
        assert await page("count") == "2\n"
        at = key(DEPLOYMENTS, "visits")._replace(namespace="visits")
        sandbox.store.edit(at, lambda obj: obj["spec"].update(replicas=0))
        await becomes(sandbox, at, "status.replicas", None)
        service = key(SERVICES, "visits")._replace(namespace="visits")
        await sandbox.until(lambda: "annotations" not in sandbox.store.get(service)["metadata"])
        sandbox.store.edit(at, lambda obj: obj["spec"].update(replicas=1))
        url = await sandbox.visits_url()
        assert await page("count") == "2\n"
    (log,) = (sandbox.folder / "volumes").glob("*/views.log")
    assert len(log.read_text().splitlines()) == 2
    assert took < 2, f"{took:.2f} s: half a second when the machine is idle"


# the end


async def test_nothing_is_left_when_it_ends(tmp_path: Path) -> None:
    from console.sandbox import Sandbox

    async with Sandbox(tmp_path, name="unit") as sandbox:
        home(sandbox)
        await bound(sandbox, "first")
        sandbox.create(pod("one", WRITER, "/v", **mounting({"first": "/v"})), HOME)
        await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
        assert len(_processes(sandbox)) == 1
        assert sandbox.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert not _processes(sandbox)
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - a look at one folder


_KILLED = """
import asyncio, pathlib, sys
from console.sandbox import Sandbox
from tests.unit.sandbox.objects import *
async def main():
    async with Sandbox(pathlib.Path(sys.argv[1]), name="unit") as sandbox:
        home(sandbox)
        sandbox.create(pod("one", PAUSE), HOME)
        await becomes(sandbox, key(PODS, "one"), "status.phase", "Running")
        (pid,) = [p.pid for r in sandbox._pods._runs.values() for p in r.processes.values()]
        print(pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


def test_its_pods_die_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        watch = os.pidfd_open(pid)
        process.kill()
    try:
        import select

        assert select.select([watch], [], [], 10)[0], "the pod outlived its sandbox"
    finally:
        os.close(watch)
