"""A restored folder is equal to its snapshot; any change of it is found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from console.repository import back_up, find_difference, restore_tree
from tests.builders.trees import make_odd_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from console.repository import Repository


def rewritten(path: Path, content: bytes) -> None:
    """Other content of the same length and time."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def relinked(folder: Path) -> None:
    """The same content under the same name, but no hard link any more."""
    before = (folder / "twin").stat()
    content = (folder / "twin").read_bytes()
    (folder / "twin").unlink()
    (folder / "twin").write_bytes(content)
    os.utime(folder / "twin", ns=(before.st_atime_ns, before.st_mtime_ns))


def repointed(path: Path) -> None:
    """A link to another place."""
    path.unlink()
    path.symlink_to("two")


def made_a_folder(path: Path) -> None:
    """A folder where a file was."""
    path.unlink()
    path.mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "content": (lambda top: rewritten(top / "a" / "two", b"CONTENT OF a/two"), "a/two"),
    "last byte": (
        lambda top: rewritten(top / "large", bytes(range(256)) * 8191 + bytes(256)),
        "large",
    ),
    "longer": (lambda top: rewritten(top / "one", b"content of one and more"), "one"),
    "time": (lambda top: os.utime(top / "one", ns=(1, 1)), "one"),
    "mode": (lambda top: (top / "a" / "b" / "three").chmod(0o600), "a/b/three"),
    "folder's mode": (lambda top: (top / "a").chmod(0o711), "a"),
    "missing": (lambda top: (top / "one").unlink(), "one"),
    "more": (lambda top: (top / "z").touch(), "z"),
    "link's target": (
        lambda top: repointed(top / "link"),
        "link",
    ),
    "another kind": (lambda top: made_a_folder(top / "one"), "one"),
    "hard link": (relinked, "twin"),
    "xattr": (lambda top: os.setxattr(top / "one", "user.x", b"other"), "one"),
}


@pytest.fixture
def restored(repo: Repository, source: Path, tmp_path: Path) -> Path:
    """A restore of the source; its repository has one snapshot."""
    (source / "link").symlink_to("one")
    os.link(source / "large", source / "twin")
    os.setxattr(source / "one", "user.x", b"value")
    (source / "a" / "b" / "three").chmod(0o640)
    back_up(repo, source)
    target = tmp_path / "restored"
    restore_tree(repo, repo.find_snapshot("latest"), target)
    return target


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_found_and_named(repo: Repository, restored: Path, change: str) -> None:
    snapshot = repo.find_snapshot("latest")
    (restored / "lost+found").mkdir()
    assert find_difference(repo, snapshot, restored) == ""
    alter, where = CHANGES[change]
    alter(restored)
    assert find_difference(repo, snapshot, restored) == where


def test_odd_trees_are_equal_to_themselves(repo: Repository, tmp_path: Path) -> None:
    source = make_odd_tree(tmp_path / "odd")
    back_up(repo, source)
    snapshot = repo.find_snapshot("latest")
    target = tmp_path / "restored"
    restore_tree(repo, snapshot, target)
    assert find_difference(repo, snapshot, target) == ""
    assert find_difference(repo, snapshot, source) == ""


def test_mapped_owners_are_expected(repo: Repository, source: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root; `make test` in the test container runs as root")
    os.chown(source / "one", 1000, 1000)
    back_up(repo, source)
    snapshot = repo.find_snapshot("latest")
    target = tmp_path / "restored"
    owners = [(1000, 2000)]
    restore_tree(repo, snapshot, target, owner_map=owners)
    assert find_difference(repo, snapshot, target, owner_map=owners) == ""
    assert find_difference(repo, snapshot, target) == "one"
