"""Restoring: into what, without following links, and what a hostile tree can't do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from console.repository import (
    Cancelled,
    Damage,
    NoSuchPath,
    Progress,
    Repository,
    Snapshot,
    StopToken,
    TargetUnfit,
    back_up,
    list_tree,
    read_file,
    restore_tree,
    walk,
)
from console.repository.beneath import Beneath, _has_openat2
from console.repository.landing import write_sparse
from console.repository.packing import BlobWriter
from tests.builders.trees import differences, make_odd_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _planted(repo: Repository, nodes: list[dict[str, Any]]) -> Snapshot:
    """A snapshot whose root tree is written as given."""
    tree = json.dumps({"nodes": nodes}).encode()
    with BlobWriter(repo) as writer:
        session = repo.session()
        writer.put(session, "data", [b"evil"])
        (id_,) = writer.put(session, "tree", [tree])
    return repo.save_snapshot(Snapshot(time="2026-01-01T00:00:00Z", tree=id_.hex()))


def _node(name: str, kind: str = "file", **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "mode": 0o644, "mtime": "2026-01-01T00:00:00Z", **fields}


def test_only_the_contents_are_put_into_the_target(
    repo: Repository, source: Path, tmp_path: Path
) -> None:
    os.chmod(source, 0o700)
    os.utime(source, ns=(3, 1_234_567_890_123_456_789))
    back_up(repo, source)
    progress = Progress()
    target = tmp_path / "deep" / "target"
    result = restore_tree(repo, repo.find_snapshot("latest"), target, progress=progress)
    assert (result.outcome, result.files, result.dirs) == ("Complete", 4, 3)
    assert differences(source, target) == []
    counts = progress.snapshot()
    assert counts.files_done == counts.files_total == 4
    assert counts.bytes_done == counts.bytes_total == result.bytes


def test_a_folder_inside_can_be_restored(repo: Repository, source: Path, tmp_path: Path) -> None:
    back_up(repo, source)
    snapshot = repo.find_snapshot("latest")
    restore_tree(repo, snapshot, tmp_path / "t", subpath="volume/a")
    assert differences(source / "a", tmp_path / "t") == []
    restore_tree(repo, snapshot, tmp_path / "whole", subpath="")
    assert differences(source, tmp_path / "whole" / "volume") == []
    for path in ("volume/one", "volume/none", "volume/one/x"):
        with pytest.raises(NoSuchPath):
            restore_tree(repo, snapshot, tmp_path / "x", subpath=path)


def test_a_new_volumes_own_folder_is_no_obstacle(
    repo: Repository, source: Path, tmp_path: Path
) -> None:
    (source / "lost+found").mkdir(mode=0o700)
    back_up(repo, source)
    target = tmp_path / "t"
    (target / "lost+found").mkdir(parents=True)
    assert restore_tree(repo, repo.find_snapshot("latest"), target).outcome == "Complete"
    assert differences(source, target) == []


@pytest.mark.parametrize("there", ["file", "target-is-file", "lost+found/x"])
def test_a_target_with_something_in_it_is_refused(
    repo: Repository, source: Path, tmp_path: Path, there: str
) -> None:
    back_up(repo, source)
    target = tmp_path / "t"
    path = target if there == "target-is-file" else target / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(TargetUnfit):
        restore_tree(repo, repo.find_snapshot("latest"), target)
    assert path.read_text() == "mine"


def test_owners_are_mapped(repo: Repository, source: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root; run `make test` as root")
    os.chown(source / "one", 1000, 1000)
    os.lchown(source, 1000, 5)
    back_up(repo, source)
    restore_tree(repo, repo.find_snapshot("latest"), tmp_path / "t", owner_map=[(1000, 2000)])
    one, root = os.stat(tmp_path / "t" / "one"), os.stat(tmp_path / "t")
    assert (one.st_uid, one.st_gid, root.st_uid, root.st_gid) == (2000, 2000, 2000, 5)


def test_a_stop_ends_a_restore(repo: Repository, source: Path, tmp_path: Path) -> None:
    back_up(repo, source)
    stop = StopToken()
    stop.stop()
    with pytest.raises(Cancelled):
        restore_tree(repo, repo.find_snapshot("latest"), tmp_path / "t", stop=stop)
    assert list(repo.store.list("locks/")) == []


@pytest.mark.parametrize("name", ["..", ".", "../out", "a/b", "", "x\\x00", "\\x2e\\x2e"])
def test_names_that_leave_the_folder_are_damage(
    repo: Repository, tmp_path: Path, name: str
) -> None:
    snapshot = _planted(repo, [_node(name, "symlink", linktarget="/etc")])
    for use in (
        lambda: restore_tree(repo, snapshot, tmp_path / "t", subpath=""),
        lambda: list(walk(repo, snapshot)),
        lambda: list(list_tree(repo, snapshot)),
    ):
        with pytest.raises(Damage, match="name"):
            use()
    assert os.listdir(tmp_path / "t") == []


def test_a_hostile_node_fails_alone(repo: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    snapshot = _planted(
        repo,
        [
            _node("a", "symlink", linktarget=str(outside)),
            _node("b", content=["zz"], size=1),
            _node("c", content=["00" * 32], size=1),
            _node("d", "dir", subtree=None),
            _node("e", "dir", subtree="00" * 32),
            _node("f", "whatever"),
            _node("g", "symlink", linktarget=""),
            _node("h", content=[], mtime="yesterday"),
            _node("i", content=[], uid=1 << 40),
            _node("j", "chardev", device=(1 << 63) - 1),
            _node("k", content=[], extended_attributes=[{"name": "nonsense", "value": "AA=="}]),
            _node("l", content=[]),
        ],
    )
    result = restore_tree(repo, snapshot, tmp_path / "t", subpath="")
    failed = {item.path: item.code for item in result.failures}
    assert failed.keys() >= {"b", "c", "d", "e", "f", "g", "h", "i", "k"}
    assert "l" not in failed
    assert (tmp_path / "t" / "l").exists()
    assert os.listdir(outside) == []
    assert failed["c"] == "repository.damage.index"


def test_browsing_follows_no_link(repo: Repository, source: Path) -> None:
    (source / "link").symlink_to("a")
    back_up(repo, source)
    snapshot = repo.find_snapshot("latest")
    assert [entry.path for entry in list_tree(repo, snapshot, "volume/a")] == [
        "volume/a/b",
        "volume/a/two",
    ]
    (one,) = list_tree(repo, snapshot, "/volume/one/")
    assert (one.name, one.type, one.size) == ("one", "file", 14)
    (link,) = list_tree(repo, snapshot, "volume/link")
    assert link.link_target == "a"
    assert [path for path, _ in walk(repo, snapshot, "volume/a")] == [
        "volume/a",
        "volume/a/b",
        "volume/a/b/three",
        "volume/a/two",
    ]
    for path in ("volume/link/two", "volume/nothing", "x"):
        with pytest.raises(NoSuchPath):
            list(list_tree(repo, snapshot, path))
    with pytest.raises(NoSuchPath, match="dir"):
        list(read_file(repo, snapshot, "volume/a"))


@pytest.mark.parametrize("stepwise", [False, True])
def test_folders_are_reached_beneath_only(tmp_path: Path, *, stepwise: bool) -> None:
    deep = tmp_path / "root" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to("a")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    root = os.open(tmp_path / "root", os.O_RDONLY)
    try:
        with Beneath(root, stepwise=stepwise) as beneath:
            assert os.fstat(beneath.folder(b"a/b")).st_ino == os.stat(deep).st_ino
            assert os.fstat(beneath.folder(b"")).st_ino == os.stat(tmp_path / "root").st_ino
            for path in (b"link", b"link/b", b"out", b"..", b"a/../..", b"/etc", b"a/b/c"):
                with pytest.raises(OSError, match=r"\[Errno"):
                    beneath.folder(path)
    finally:
        os.close(root)


def test_the_kernel_here_helps() -> None:
    assert _has_openat2() == (os.uname().release.split(".")[0] >= "5")


def test_two_readers_of_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / str(number)).touch()
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        with Beneath(root) as one, Beneath(root) as other, os.scandir(one.folder(b"")) as first:
            seen = [next(first).name]
            assert len(os.listdir(other.folder(b""))) == 500
            seen += [entry.name for entry in first]
            assert len(set(seen)) == len(seen) == 500
    finally:
        os.close(root)


def test_paths_longer_than_the_system_takes(repo: Repository, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    here = os.open(source, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(b"n" * 200, dir_fd=here)
        deeper = os.open(b"n" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(os.open(b"deep", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)
    result = back_up(repo, source)
    assert (result.outcome, result.files, result.dirs) == ("Complete", 1, 31)
    restored = restore_tree(repo, repo.find_snapshot("latest"), tmp_path / "target")
    assert (restored.outcome, restored.files, restored.dirs) == ("Complete", 1, 31)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(words, check=False).returncode:
        pytest.skip("mounting is not allowed here; run `make test` as root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_ends_a_restore(repo: Repository, small_disk: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(10):
        (source / str(number)).write_bytes(os.urandom(900_000))
    back_up(repo, source)
    with pytest.raises(TargetUnfit, match="No space") as caught:
        restore_tree(repo, repo.find_snapshot("latest"), small_disk / "t")
    assert "make room" in caught.value.hint
    assert list(repo.store.list("locks/")) == []


def test_zeros_become_holes_wherever_they_lie(tmp_path: Path) -> None:
    content = b"x" + bytes(300_000) + b"y" * 70_000 + bytes(131_072) + b"z"
    path = tmp_path / "f"
    path.touch()
    os.truncate(path, len(content) + 5)
    fd = os.open(path, os.O_WRONLY)
    write_sparse(fd, content, 5)
    os.close(fd)
    assert path.read_bytes() == bytes(5) + content
    assert path.stat().st_blocks * 512 < 300_000


def test_a_tree_of_odd_things_round_trips(repo: Repository, tmp_path: Path) -> None:
    source = make_odd_tree(tmp_path / "source")
    back_up(repo, source)
    result = restore_tree(repo, repo.find_snapshot("latest"), tmp_path / "t")
    assert result.failures == ()
    assert differences(source, tmp_path / "t") == []
