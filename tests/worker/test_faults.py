"""Workers that are stopped, killed, starved of space, or meet what can't be read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.worker.commands.restore import MARK
from tests.builders.trees import differences
from tests.worker.rig import Rig, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
BIG = 144 * MIB
MANY = 3000

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None,
    reason="mounts a small file system; run `make test` as root",
)


def write_big(rig: Rig) -> None:
    """So much that can't be compressed that a backup takes a while."""
    with (rig.volume / "big").open("wb") as file:
        for _ in range(BIG // MIB):
            file.write(os.urandom(MIB))


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no mount here ({done.stderr.strip()}); run `make test` where root may mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_ends_early_is_cheap_to_repeat(rig: Rig, number: signal.Signals) -> None:
    write_big(rig)
    running = rig.start("backup")
    running.wait_for(lambda counters: counters["bytesStored"] > 36 * MIB)
    at = time.monotonic()
    code = running.end(number)
    if number == signal.SIGTERM:
        assert code == 4
        assert time.monotonic() - at < 10
        assert rig.result()["outcome"] == "Cancelled"
        assert rig.result()["bytesStored"] > 36 * MIB
        assert not list((Path(rig.repository) / "locks").iterdir())
    else:
        assert code == -signal.SIGKILL
        assert not rig.termination_log.exists()
    assert rig.snapshots() == []
    rig.restic("check", "--no-lock", "--read-data")
    done = rig.run("backup")
    assert done["outcome"] == "Complete"
    assert done["peakMemoryBytes"] < 400 * MIB
    if number == signal.SIGTERM:  # what was finished was indexed
        assert done["bytesNew"] < BIG - 20 * MIB
    rig.restic("check", "--no-lock")


def test_a_restore_that_was_killed_begins_anew(rig: Rig, tmp_path: Path) -> None:
    write_big(rig)
    os.utime(rig.volume, ns=(1, 1_500_000_000_000_000_001))
    snapshot = rig.run("backup")["snapshot"]
    target = tmp_path / "restored"
    (target / "lost+found").mkdir(parents=True)
    running = rig.start("restore", volume=target, snapshot=snapshot)
    running.wait_for(lambda counters: counters["bytesDone"] > 0)
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    assert (target / MARK).exists()
    assert rig.run("restore", volume=target, snapshot=snapshot)["outcome"] == "Complete"
    assert target.stat().st_mtime_ns == rig.volume.stat().st_mtime_ns
    (target / "lost+found").rmdir()
    os.utime(target, ns=(1, rig.volume.stat().st_mtime_ns))
    assert differences(rig.volume, target) == []


def test_a_worker_that_died_before_it_could_tell_has_filled_the_volume(
    rig: Rig, tmp_path: Path
) -> None:
    """Killed between taking its mark away and writing its result: the next one sees it is whole."""
    snapshot = rig.run("backup")["snapshot"]
    target = tmp_path / "restored"
    target.mkdir()
    first = rig.run("restore", volume=target, snapshot=snapshot)
    os.utime(target)  # it died before it gave the folder its own time back
    again = rig.run("restore", volume=target, snapshot=snapshot)
    assert again["outcome"] == "Complete"
    assert (again["snapshot"], again["filesDone"], again["bytesDone"]) == (
        snapshot,
        first["filesDone"],
        first["bytesDone"],
    )
    assert differences(rig.volume, target) == []
    (target / "a").write_bytes(b"b" * 100_000)
    result = rig.run("restore", code=1, volume=target, snapshot=snapshot)
    assert result["code"] == "repository.target"
    assert (target / "a").read_bytes() == b"b" * 100_000


def test_a_volume_that_holds_anything_is_left_as_it_is(rig: Rig, tmp_path: Path) -> None:
    snapshot = rig.run("backup")["snapshot"]
    target = tmp_path / "restored"
    target.mkdir()
    (target / "precious").write_text("data")
    result = rig.run("restore", code=1, volume=target, snapshot=snapshot)
    assert result["code"] == "repository.target"
    assert [path.name for path in target.iterdir()] == ["precious"]
    result = rig.run("restore", code=1, volume=tmp_path / "nowhere", snapshot=snapshot)
    assert result["code"] == "repository.target"


def test_damage_is_found_and_named(rig: Rig, tmp_path: Path) -> None:
    snapshot = rig.run("backup")["snapshot"]
    pack = max((Path(rig.repository) / "data").rglob("*"), key=lambda path: path.stat().st_size)
    raw = bytearray(pack.read_bytes())
    raw[100] ^= 1
    pack.write_bytes(raw)
    assert rig.run("verify")["outcome"] == "Complete"
    found = rig.run("verify", code=1, readData=True)
    assert found["outcome"] == "Failed"
    assert found["code"] == "repository.damage.pack"
    assert any(pack.name in failure["path"] for failure in found["failures"])
    target = tmp_path / "restored"
    target.mkdir()
    restored = rig.run("restore", code=3, volume=target, snapshot=snapshot)
    assert restored["outcome"] == "Partial"
    assert restored["failuresTotal"] >= 1
    pack.unlink()
    missing = rig.run("verify", code=1)
    assert pack.name in missing["message"]


@pytest.mark.parametrize("folder", ["snapshots", "index", "keys", "config"])
def test_a_damaged_file_of_the_repository(rig: Rig, tmp_path: Path, folder: str) -> None:
    snapshot = rig.run("backup")["snapshot"]
    place = Path(rig.repository) / folder
    path = next(place.iterdir()) if place.is_dir() else place
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    target = tmp_path / "restored"
    target.mkdir()
    result = rig.run("restore", code=1, volume=target, snapshot=snapshot)
    assert result["code"].startswith("repository.damage")
    assert path.name in result["message"]


@as_root
def test_a_full_location(bare_rig: Rig, tmp_path: Path) -> None:
    rig = bare_rig
    with small_disk(tmp_path / "disk", 16) as disk:
        rig.repository = str(disk / "repository")
        rig.run("init")
        (rig.volume / "random").write_bytes(os.urandom(40 * MIB))
        full = rig.run("backup", code=1)
        assert (full["outcome"], full["code"]) == ("Failed", "store.full")
        rig.restic("check", "--no-lock")
        assert rig.snapshots() == []
        subprocess.run(["mount", "-o", "remount,size=80m", str(disk)], check=True)
        assert rig.run("backup")["outcome"] == "Complete"
        rig.restic("check", "--no-lock", "--read-data")


@as_root
def test_a_full_volume(rig: Rig, tmp_path: Path) -> None:
    (rig.volume / "random").write_bytes(os.urandom(10 * MIB))
    snapshot = rig.run("backup")["snapshot"]
    with small_disk(tmp_path / "disk", 4) as disk:
        result = rig.run("restore", code=1, volume=disk, snapshot=snapshot)
        assert (result["outcome"], result["code"]) == ("Failed", "repository.target")
        assert "No space left" in result["message"]
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        assert rig.run("restore", volume=disk, snapshot=snapshot)["outcome"] == "Complete"
        assert differences(rig.volume, disk) == []


def test_thousands_of_failures_fit_into_the_result(rig: Rig) -> None:
    """Root reads everything, so it gives up the right to."""
    before: list[str] = []
    if os.geteuid() == 0:
        program = shutil.which("setpriv")
        if program is None:
            pytest.skip("setpriv (util-linux) is not installed; run `make test` as another user")
        before = [program, "--bounding-set", "-dac_override,-dac_read_search"]
    secret = rig.volume / "secret"
    secret.mkdir()
    for number in range(MANY):
        path = secret / f"a-rather-long-name-of-a-file-that-nobody-may-read-{number:06}"
        path.write_bytes(b"x")
        path.chmod(0)
    first = rig.run("backup", code=3, before=before)
    assert (first["outcome"], first["failuresTotal"]) == ("Partial", MANY)
    assert 5 < len(first["failures"]) < MANY
    assert {failure["code"] for failure in first["failures"]} == {"item.denied"}
    again = rig.run("backup", code=3)  # its result got lost: what is known of it is said again
    assert (again["outcome"], again["failuresTotal"]) == ("Partial", MANY)
    assert again["snapshot"] == first["snapshot"]
    rig.restic("check")


HANGING = """
import sys, threading, time
from console.repository import StopToken
from console.worker.stopping import StopOnSignal

def give_up():
    print("given up", flush=True)
    return 4

def hang():
    threading.Event().wait()

stop = StopToken()
with StopOnSignal(stop, give_up, grace_s=0.3) as signals:
    threading.Thread(target=hang).start()
    print("ready", flush=True)
    if sys.argv[1] == "work":
        hang()
    while not stop.stopped:
        pass
    signals.finish(4)
print("over", flush=True)
"""


@pytest.mark.parametrize(("what", "said"), [("work", "given up"), ("thread", "over")])
def test_what_hangs_is_ended_by_force(what: str, said: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, what], env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == f"{said}\n"
        assert process.wait(timeout=10) == 4
