"""Owners mapped: while a tree is restored, and in a tree that is there."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

import pytest

from console.repository import (
    Cancelled,
    Progress,
    Repository,
    StopToken,
    back_up,
    map_owners,
    restore_tree,
)
from console.repository.acls import map_acl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root; run `make test` as root")

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
MAP = [(1000, 2000), (50, 60)]


def acl(user: int, group: int) -> bytes:
    """An ACL with a named user and a named group."""
    nobody = 0xFFFFFFFF
    entries = [
        *((0x01, 6, nobody), (0x02, 6, user), (0x04, 4, nobody)),
        *((0x08, 4, group), (0x10, 6, nobody), (0x20, 0, nobody)),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of several owners, with all that a change of the owner may lose."""
    root = tmp_path / "tree"
    (root / "deep" / "er").mkdir(parents=True)
    for name, uid, gid in (("a", 1000, 50), ("b", 7, 1000), ("deep/er/c", 7, 7)):
        (root / name).write_text(name)
        os.chown(root / name, uid, gid)
    os.chown(root / "deep", 1000, 1000)
    (root / "tool").write_text("#!")
    os.chown(root / "tool", 1000, 50)
    (root / "tool").chmod(0o6755)
    os.link(root / "a", root / "again")
    (root / "link").symlink_to("/etc/passwd")
    os.lchown(root / "link", 1000, 1000)
    os.mkfifo(root / "pipe")
    os.chown(root / "pipe", 1000, 1000)
    try:
        os.setxattr(root / "b", ACCESS, acl(1000, 50))
        os.setxattr(root / "deep", DEFAULT, acl(1000, 7))
    except OSError:
        pytest.skip("the file system of the temporary folder has no ACLs")
    os.utime(root / "a", ns=(10**18, 10**18))
    return root


def owners(root: Path) -> dict[str, tuple[int, int]]:
    """Owner and group of everything."""
    found = {}
    for path in (root, *root.rglob("*")):
        here = path.lstat()
        found[str(path.relative_to(root))] = (here.st_uid, here.st_gid)
    return found


def check(root: Path) -> None:
    """The whole tree has its new owners, and lost nothing."""
    assert owners(root) == {
        ".": (0, 0),
        "a": (2000, 60),
        "again": (2000, 60),
        "b": (7, 2000),
        "deep": (2000, 2000),
        "deep/er": (0, 0),
        "deep/er/c": (7, 7),
        "link": (2000, 2000),
        "pipe": (2000, 2000),
        "tool": (2000, 60),
    }
    assert stat.S_IMODE((root / "tool").stat().st_mode) == 0o6755
    assert os.getxattr(root / "b", ACCESS) == acl(2000, 60)
    assert os.getxattr(root / "deep", DEFAULT) == acl(2000, 7)
    assert (root / "a").stat().st_mtime_ns == 10**18
    assert os.readlink(root / "link") == "/etc/passwd"


def test_in_place_again_and_again(tree: Path) -> None:
    before = os.stat("/etc/passwd")
    for _ in range(2):
        done = map_owners(tree, MAP, progress=Progress())
        assert (done.outcome, done.files, done.dirs) == ("Complete", 7, 3)
        check(tree)
    after = os.stat("/etc/passwd")
    assert (after.st_uid, after.st_ctime_ns) == (before.st_uid, before.st_ctime_ns)


def test_a_pass_that_was_stopped_is_run_again(tree: Path) -> None:
    class StopLater(StopToken):
        looks = 0

        def check(self) -> None:
            self.looks += 1
            if self.looks == 2:
                self.stop()
            super().check()

    with pytest.raises(Cancelled):
        map_owners(tree, MAP, progress=Progress(), stop=StopLater())
    assert owners(tree)["a"] == (2000, 60)
    assert owners(tree)["deep"] == (1000, 1000)
    map_owners(tree, MAP, progress=Progress())
    check(tree)


def test_while_restoring(repo: Repository, tree: Path, tmp_path: Path) -> None:
    back_up(repo, tree)
    target = tmp_path / "target"
    done = restore_tree(repo, repo.find_snapshot("latest"), target, owner_map=MAP)
    assert done.failures == ()
    check(target)


def test_an_id_on_both_sides_is_refused(tree: Path) -> None:
    before = owners(tree)
    with pytest.raises(ValueError, match="2000 is an old and a new owner"):
        map_owners(tree, [(1000, 2000), (2000, 3000)], progress=Progress())
    assert owners(tree) == before


@pytest.mark.parametrize("value", [b"", b"\x02", b"\x03\0\0\0", acl(1000, 50)[:-1]])
def test_what_is_no_acl_stays_as_it_is(value: bytes) -> None:
    assert map_acl(value, dict(MAP)) == value
