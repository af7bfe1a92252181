"""Workers killed again and again, on files and S3; the memory they need for much data."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.builders.trees import copy_real_files, differences
from tests.worker.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes.weed import S3Server

pytestmark = pytest.mark.long

MIB = 1 << 20
LIMIT = 400 * 1000 * 1000
KILLS = 6


def write_random(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))


def is_past(number: int) -> Callable[[dict[str, int]], bool]:
    """Whether so many of about ten parts of the work are done."""
    return lambda counters: counters["bytesDone"] > number * 20 * MIB


@pytest.fixture(params=["files", "s3"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    """A repository, and a volume with real files and 200 MiB that can't be compressed."""
    server: S3Server | None = None
    repository = str(tmp_path / "repository")
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        repository = server.new_url("uid/shop")
    rig = Rig(tmp_path, repository, server)
    copy_real_files(rig.volume, max_files=3000)
    write_random(rig.volume / "big", 200)
    rig.run("init")
    return rig


def test_killed_anywhere_the_backup_is_finished_at_last(filled: Rig, tmp_path: Path) -> None:
    rig = filled
    ended_early = 0
    for number in range(KILLS):
        running = rig.start("backup")
        running.wait_for(is_past(number))
        ended_early += running.end(signal.SIGTERM if number % 2 else signal.SIGKILL) != 0
        rig.restic("check", "--no-lock")
    assert ended_early >= KILLS - 1
    snapshot = rig.run("backup")["snapshot"]
    assert [one["id"] for one in rig.snapshots()] == [snapshot]
    rig.restic("check", "--no-lock", "--read-data")
    target = tmp_path / "restored"
    target.mkdir()
    for number in range(KILLS):
        running = rig.start("restore", volume=target, snapshot=snapshot)
        running.wait_for(is_past(number))
        running.end(signal.SIGKILL)
    assert rig.run("restore", volume=target, snapshot=snapshot)["outcome"] == "Complete"
    assert differences(rig.volume, target) == []


def test_a_store_that_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"s3:http://127.0.0.1:{silent.getsockname()[1]}/bucket"
        rig = Rig(tmp_path, url)
        rig.secret("aws_access_key_id", b"id")
        rig.secret("aws_secret_access_key", b"secret")
        rig.volume.mkdir()
        running = rig.start("backup")
        connection, _ = silent.accept()
        at = time.monotonic()
        assert running.end(signal.SIGTERM) == 4
        assert time.monotonic() - at < 10
        connection.close()
    assert rig.result()["outcome"] == "Cancelled"


def test_a_worker_stays_small(tmp_path: Path) -> None:
    rig = Rig(tmp_path, str(tmp_path / "repository"))
    copy_real_files(rig.volume, max_files=30_000)
    write_random(rig.volume / "big", 1024)
    rig.run("init")
    backup = rig.run("backup")
    again = rig.run("backup", point="shop-2")
    target = tmp_path / "restored"
    target.mkdir()
    restored = rig.run("restore", volume=target, snapshot=backup["snapshot"])
    verified = rig.run("verify", readData=True)
    peaks = [one["peakMemoryBytes"] for one in (backup, again, restored, verified)]
    assert max(peaks) < LIMIT, peaks
    assert differences(rig.volume, target) == []
