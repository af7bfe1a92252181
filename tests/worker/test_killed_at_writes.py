"""A worker is killed after every single write to the store, and run again: same end.

`make test-long` runs these.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.trees import differences
from tests.worker.killed_after import KILLED
from tests.worker.rig import POINT, PVC, Rig, environment
from tests.worker.test_commands import OBJECTS, manifest, write_packs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

MIB = 1 << 20
OF_VOLUME = ["kubehaven", f"rp={POINT}", f"pvc={PVC}"]
OF_OBJECTS = ["kubehaven", f"rp={POINT}", "objects"]


def killed(rig: Rig, writes: int, prefix: str, command: str, **how: Any) -> str:
    """Run a worker that dies after so many writes; what it wrote last, or '' if it got through."""
    words = rig.command(command, **how)
    arguments = words[words.index("worker") + 1 :]
    done = subprocess.run(
        [sys.executable, "-m", "tests.worker.killed_after", str(writes), prefix, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode in {0, KILLED}, done.stderr
    if done.returncode == 0:
        return ""
    assert not rig.termination_log.exists()
    return done.stderr.splitlines()[-1].removeprefix("killed after ")


def each_kill(
    rig: Rig,
    command: str,
    prepare: Callable[[], object],
    prefixes: Sequence[str] = ("locks/", "data/", "index/", "snapshots/"),
    **how: Any,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kill after each write, and yield the result of an ordinary run after it.

    By folder: threads write packs in any number and order, so that the N-th write
    of all is not the same in two runs.
    """
    for prefix in prefixes:
        for number in range(1, 100):
            prepare()
            last = killed(rig, number, prefix, command, **how)
            if not last:
                assert rig.result()["outcome"] == "Complete"
                assert number > 1, f"nothing was written to {prefix}"
                break
            result = rig.run(command, **how)
            assert result["outcome"] == "Complete", last
            yield last, result
        else:
            pytest.fail("the worker never stops writing")


def anew(rig: Rig, pristine: Path) -> None:
    """Put the repository back to what it was."""
    shutil.rmtree(rig.repository)
    shutil.copytree(pristine, rig.repository)


@pytest.fixture
def pristine(rig: Rig, initialised: Path) -> Path:
    """A repository without a snapshot; the volume fills several packs."""
    for number in range(20):
        (rig.volume / "sub" / f"small-{number}").write_bytes(os.urandom(1000 * number))
    with (rig.volume / "big").open("wb") as file:
        for _ in range(40):
            file.write(os.urandom(MIB))
    return initialised


def test_init(bare_rig: Rig) -> None:
    rig = bare_rig
    writes = []
    for last, _ in each_kill(
        rig, "init", lambda: shutil.rmtree(rig.repository, ignore_errors=True), ("",)
    ):
        writes.append(last)
        keys = list((rig.folder / "repository" / "keys").iterdir())
        assert len(keys) == 1, last
        assert rig.run("backup")["outcome"] == "Complete"
        rig.restic("check", "--no-lock", "--read-data")
    assert {"create kubehaven.json", "create config"} <= set(writes), writes
    assert any("keys/" in write for write in writes)


def test_backup(rig: Rig, pristine: Path, tmp_path: Path) -> None:
    writes = []
    for last, result in each_kill(rig, "backup", lambda: anew(rig, pristine)):
        writes.append(last)
        assert [(one["id"], one["tags"]) for one in rig.snapshots()] == [
            (result["snapshot"], OF_VOLUME)
        ], last
        rig.restic("check", "--no-lock", "--read-data")
        target = tmp_path / f"restored-{len(writes)}"
        target.mkdir()
        rig.run("restore", volume=target, snapshot=result["snapshot"])
        assert differences(rig.volume, target) == [], last
        shutil.rmtree(target)
    assert sum("data/" in write for write in writes) >= 3, writes
    assert any("delete locks/" in write for write in writes), writes


def test_objects(rig: Rig, tmp_path: Path) -> None:
    volume = rig.run("backup")["snapshot"]
    pristine = tmp_path / "pristine"
    shutil.copytree(rig.repository, pristine)
    write_packs(rig)
    writes = []
    for last, result in each_kill(
        rig, "objects", lambda: anew(rig, pristine), manifest=manifest(volume)
    ):
        writes.append(last)
        found = {(one["id"], tuple(one["tags"])) for one in rig.snapshots()}
        assert found == {(volume, tuple(OF_VOLUME)), (result["snapshot"], tuple(OF_OBJECTS))}, last
        listed = rig.restic("ls", "--no-lock", result["snapshot"]).splitlines()
        assert {f"/{path}" for path, _ in OBJECTS} | {"/restore-point.json"} <= set(listed), last
        rig.restic("check", "--no-lock", "--read-data")


def test_restore(rig: Rig, tmp_path: Path) -> None:
    snapshot = rig.run("backup")["snapshot"]
    target = tmp_path / "restored"

    def prepare() -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()

    writes = []
    for last, result in each_kill(rig, "restore", prepare, ("",), volume=target, snapshot=snapshot):
        writes.append(last)
        assert result["snapshot"] == snapshot
        assert differences(rig.volume, target) == [], last
    rig.restic("check", "--no-lock", "--read-data")
    assert [write.split("/")[0] for write in writes] == ["put locks", "delete locks"]


def test_retire(rig: Rig, tmp_path: Path) -> None:
    volume = rig.run("backup")["snapshot"]
    write_packs(rig)
    objects = rig.run("objects", manifest=manifest(volume))["snapshot"]
    other = rig.run("backup", point="shop-other")["snapshot"]
    pristine = tmp_path / "pristine"
    shutil.copytree(rig.repository, pristine)
    writes = []
    for last, _ in each_kill(
        rig,
        "retire",
        lambda: anew(rig, pristine),
        ("locks/", "snapshots/"),
        owner="uid",
        objectsSnapshot=objects,
        volumeSnapshots=[volume],
    ):
        writes.append(last)
        assert [one["id"] for one in rig.snapshots()] == [other], last
        rig.restic("check", "--no-lock", "--read-data")
    removed = [write for write in writes if "snapshots/" in write]
    # what makes the point exist goes first
    assert removed == [f"delete snapshots/{objects}", f"delete snapshots/{volume}"]
