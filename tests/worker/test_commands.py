"""The worker's commands as processes; what they write is read by restic."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.repository import Repository, init_repository
from console.repository.location_keys import MARKER
from console.repository.object_packs import seal_objects
from console.storage import FileStore, open_store
from tests.builders.trees import differences
from tests.worker.conftest import fill
from tests.worker.rig import PASSWORD, POINT, PVC, SALT, Rig

if TYPE_CHECKING:
    from tests.fakes.weed import S3Server

KEY = bytes(range(32, 64))
OBJECTS = [(f"core/v1/configmaps/c{n}.json", b'{"n": %d}' % n) for n in range(300)]


@pytest.fixture(params=["files", "s3"])
def any_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    if request.param == "files":
        made = Rig(tmp_path, str(tmp_path / "location" / "uid" / "shop"))
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        made = Rig(tmp_path, server.new_url("prefix/uid/shop"), server)
    fill(made.volume)
    return made


def write_packs(rig: Rig, key: bytes = KEY) -> list[str]:
    rig.secret("objects-key", KEY)
    packs = seal_objects(key, OBJECTS)
    for number, pack in enumerate(packs):
        (rig.packs / f"pack-{number}").write_bytes(pack.data)
    return [pack.digest for pack in packs]


def manifest(volume_snapshot: str, **more: Any) -> dict[str, Any]:
    volume = {"pvc": PVC, "repositorySnapshot": volume_snapshot}
    return {"version": 1, "id": POINT, "objectCount": len(OBJECTS), "volumes": [volume], **more}


def test_a_point_from_its_repository_to_its_restore(any_rig: Rig, tmp_path: Path) -> None:
    rig = any_rig
    made = rig.run("init")
    assert made["outcome"] == "Complete"
    assert base64.b64decode(made["salt"]) == SALT
    assert rig.run("init")["outcome"] == "Complete"

    first = rig.run("backup")
    assert (first["outcome"], first["filesDone"], first["failuresTotal"]) == ("Complete", 2, 0)
    assert first["bytesDone"] == first["bytesTotal"] == 400_000
    assert 300_000 < first["bytesStored"] < first["bytesNew"] <= 402_000
    assert first["peakMemoryBytes"] < 400 << 20
    again = rig.run("backup")
    assert again["snapshot"] == first["snapshot"]
    assert again["bytesStored"] == first["bytesStored"]

    write_packs(rig)
    objects = rig.run("objects", manifest=manifest(first["snapshot"]))
    assert objects["filesDone"] == len(OBJECTS) + 1
    assert (
        rig.run("objects", manifest=manifest(first["snapshot"]))["snapshot"] == objects["snapshot"]
    )

    target = tmp_path / "restored"
    target.mkdir()
    restored = rig.run("restore", volume=target, snapshot=first["snapshot"])
    assert (restored["outcome"], restored["filesDone"]) == ("Complete", 2)
    assert differences(rig.volume, target) == []
    checked = rig.run("verify", readData=True)
    assert (checked["outcome"], checked["failures"]) == ("Complete", [])

    rig.restic("check", "--read-data")
    assert {tuple(one["tags"]) for one in rig.snapshots()} == {
        ("kubehaven", f"rp={POINT}", f"pvc={PVC}"),
        ("kubehaven", f"rp={POINT}", "objects"),
    }
    assert rig.restic("dump", objects["snapshot"], "/core/v1/configmaps/c7.json") == '{"n": 7}'
    assert '"repositorySnapshot"' in rig.restic("dump", objects["snapshot"], "/restore-point.json")


def test_the_next_backup_reads_only_what_changed(rig: Rig) -> None:
    first = rig.run("backup")
    (rig.volume / "new").write_bytes(os.urandom(50_000))
    second = rig.run("backup", point="shop-2")
    assert second["bytesStored"] < 60_000
    parents = {one["id"]: one.get("parent") for one in rig.snapshots()}
    assert parents[second["snapshot"]] == first["snapshot"]
    other = rig.run("backup", point="shop-2", pvc="log")
    assert {one["id"]: one.get("parent") for one in rig.snapshots()}[other["snapshot"]] is None


def test_counters_go_to_stdout_and_hold_no_names(rig: Rig) -> None:
    running = rig.start("backup")
    last = running.wait_for(lambda counters: counters["bytesDone"] == 400_000)
    assert running.end() == 0
    assert set(last) == {
        *("bytesTotal", "bytesDone", "bytesNew", "bytesStored", "filesTotal", "filesDone"),
        "failed",
    }


@pytest.mark.parametrize("command", ["backup", "objects", "restore", "verify"])
def test_only_init_makes_a_repository(bare_rig: Rig, command: str) -> None:
    rig = bare_rig
    write_packs(rig)
    result = rig.run(command, code=10, manifest=manifest(""), snapshot="0" * 64)
    assert (result["outcome"], result["code"]) == ("Failed", "repository.missing")
    assert not Path(rig.repository).exists()


def test_placing_needs_nothing_but_the_volume(bare_rig: Rig, tmp_path: Path) -> None:
    rig = bare_rig
    (rig.secrets / "password").unlink()
    before = set(rig.volume.rglob("*"))
    assert rig.run("place", repository="")["outcome"] == "Complete"
    assert set(rig.volume.rglob("*")) == before
    assert not Path(rig.repository).exists()
    assert rig.run("place", code=2, volume=tmp_path / "nowhere")["code"] == "job.invalid"


def test_owning_needs_nothing_but_the_volume(bare_rig: Rig) -> None:
    rig = bare_rig
    (rig.secrets / "password").unlink()
    me = os.getuid()
    others = me + 1 if me == 0 else me  # only root can give files away
    before = set(rig.volume.rglob("*"))
    result = rig.run(
        "own", repository="", ownerMap=[[str(me), str(others)]] if me == 0 else [["1", "2"]]
    )
    assert result["outcome"] == "Complete"
    assert set(rig.volume.rglob("*")) == before
    assert {path.lstat().st_uid for path in before} == {others}


def test_owning_refuses_what_it_could_not_repeat(bare_rig: Rig) -> None:
    result = bare_rig.run("own", code=2, repository="", ownerMap=[["5", "6"], ["6", "7"]])
    assert result["code"] == "job.invalid"


def test_a_wrong_password(rig: Rig) -> None:
    rig.secret("password", b"another")
    for command in ("backup", "init"):
        result = rig.run(command, code=12)
        assert result["code"] == "repository.password"
        assert "another" not in rig.said + str(result)
    assert rig.restic("snapshots", code=1) == ""


@pytest.mark.parametrize("lost", ["nothing", MARKER])
def test_another_salt_is_handed_back(rig: Rig, lost: str) -> None:
    (Path(rig.repository) / lost).unlink(missing_ok=True)
    marker = {
        "format": "kubehaven-repository",
        "version": 1,
        "salt": base64.b64encode(bytes(32)).decode(),
        "clusterUID": "uid",
        "application": "shop",
    }
    result = rig.run("init", code=1, marker=marker)
    assert result["code"] == "repository.other_salt"
    assert base64.b64decode(result["salt"]) == SALT


@pytest.mark.parametrize("lost", [MARKER, "config"])
def test_init_completes_what_is_there_in_part(rig: Rig, lost: str) -> None:
    (Path(rig.repository) / lost).unlink()
    assert rig.run("init")["outcome"] == "Complete"
    assert (Path(rig.repository) / lost).exists()
    assert len(list((Path(rig.repository) / "keys").iterdir())) == 1
    rig.run("backup")
    rig.restic("check")


def test_a_repository_that_is_not_ours_is_left_alone(bare_rig: Rig) -> None:
    rig = bare_rig
    init_repository(open_store(rig.repository), PASSWORD.encode())
    before = set(Path(rig.repository).rglob("*"))
    assert rig.run("init", code=1)["code"] == "repository.exists"
    assert set(Path(rig.repository).rglob("*")) == before


def test_objects_need_their_volumes_and_all_their_packs(rig: Rig) -> None:
    volume = rig.run("backup")["snapshot"]
    write_packs(rig)
    missing = rig.run("objects", code=1, manifest=manifest("f" * 64))
    assert missing["code"] == "objects.no_volume"
    assert PVC in missing["message"]
    (rig.packs / "pack-0").rename(rig.folder / "aside")
    assert rig.run("objects", code=1, manifest=manifest(volume))["code"] == "objects.incomplete"
    raw = (rig.folder / "aside").read_bytes()
    (rig.packs / "pack-0").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert rig.run("objects", code=1, manifest=manifest(volume))["code"] == "repository.damage.pack"
    rig.secret("objects-key", b"short")
    assert rig.run("objects", code=2, manifest=manifest(volume))["code"] == "job.secret"
    assert [one["tags"][2] for one in rig.snapshots()] == [f"pvc={PVC}"]


def test_unchanged_objects_cost_nothing(rig: Rig) -> None:
    volume = rig.run("backup")["snapshot"]
    write_packs(rig)
    first = rig.run("objects", manifest=manifest(volume))
    second = rig.run("objects", point="shop-2", manifest=manifest(volume, labels={"a": "b"}))
    assert second["snapshot"] != first["snapshot"]
    assert second["bytesNew"] < first["bytesNew"] / 10


def test_owners_can_be_mapped(rig: Rig, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("owners are root's to give; run the tests as root")
    os.chown(rig.volume / "a", 1000, 1000)
    snapshot = rig.run("backup")["snapshot"]
    target = tmp_path / "restored"
    target.mkdir()
    rig.run("restore", volume=target, snapshot=snapshot, ownerMap=[["1000", "2000"]])
    seen = (target / "a").stat()
    assert (seen.st_uid, seen.st_gid) == (2000, 2000)
    bad = rig.run("restore", code=2, volume=target, snapshot=snapshot, ownerMap=[["bob", "2000"]])
    assert "ownerMap" in bad["message"]


def test_a_bad_job_is_wrong_usage_and_no_secret_is_shown(bare_rig: Rig) -> None:
    rig = bare_rig
    result = rig.run("backup", code=2, interval="often")
    assert (result["outcome"], result["code"]) == ("Failed", "job.invalid")
    assert "field interval" in result["message"]
    (rig.secrets / "password").unlink()
    assert rig.run("verify", code=2)["code"] == "job.secret"


def test_a_wrong_access_key(tmp_path: Path, s3_server: S3Server) -> None:
    rig = Rig(tmp_path, s3_server.new_url("p"), s3_server)
    rig.secret("aws_secret_access_key", b"not-the-right-secret")
    result = rig.run("init", code=1)
    assert result["code"] == "store.denied"
    for secret in ("not-the-right-secret", PASSWORD):
        assert secret not in rig.said + str(result)


def test_a_retired_point_is_gone_and_the_other_stays(any_rig: Rig, tmp_path: Path) -> None:
    rig = any_rig
    rig.run("init")
    write_packs(rig)
    first = rig.run("backup")["snapshot"]
    objects = rig.run("objects", manifest=manifest(first))["snapshot"]
    other = rig.run("backup", point="shop-other")["snapshot"]
    how = {"objectsSnapshot": objects, "volumeSnapshots": [first]}

    stranger = rig.run("retire", code=1, owner="somebody", **how)
    assert stranger["code"] == "retire.other_owner"
    wrong = rig.run("retire", code=1, owner="uid", volumeSnapshots=[other])
    assert wrong["code"] == "retire.other_point"
    assert {one["id"] for one in rig.snapshots()} == {first, objects, other}

    assert rig.run("retire", owner="uid", **how)["filesDone"] == 2
    assert rig.run("retire", owner="uid", **how)["filesDone"] == 0
    assert [one["id"] for one in rig.snapshots()] == [other]
    rig.restic("check", "--read-data")
    target = tmp_path / "restored"
    target.mkdir()
    rig.run("restore", volume=target, snapshot=other)
    assert differences(rig.volume, target) == []


def test_what_dead_writers_left_is_taken_away_by_name(rig: Rig) -> None:
    snapshot = rig.run("backup")["snapshot"]
    there = Path(rig.repository)
    old, new, lock, theirs = (
        there / "data" / ".kubehaven-tmp-0011223344556677",
        there / "snapshots" / ".kubehaven-tmp-8899aabbccddeeff",
        there / ".kubehaven-tmp-lock",
        there / "somebody-elses",
    )
    for path in (old, new, lock, theirs):
        path.write_bytes(b"half")
    for path in (old, lock, theirs):
        os.utime(path, (1, 1))
    rig.run("retire", owner="uid", volumeSnapshots=[snapshot])
    assert [path.exists() for path in (old, new, lock, theirs)] == [False, True, True, True]
    assert "data/.kubehaven-tmp-0011223344556677" in rig.said


def test_a_retirement_respects_the_locks_of_others(rig: Rig) -> None:
    snapshot = rig.run("backup")["snapshot"]
    store = FileStore(rig.repository)
    repository = Repository.open(store, PASSWORD.encode())
    with repository.lock(exclusive=True):
        result = rig.run("retire", code=11, owner="uid", volumeSnapshots=[snapshot])
    assert result["code"] == "repository.locked"
    assert [one["id"] for one in rig.snapshots()] == [snapshot]
