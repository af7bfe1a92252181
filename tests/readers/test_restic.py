"""Restic reads what we write, and we read what restic writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from console.repository import (
    Repository,
    back_up,
    back_up_objects,
    check,
    init_repository,
    list_tree,
    read_file,
    restore_tree,
    walk,
)
from console.storage import FileStore
from tests.builders.trees import add_socket, copy_real_files, differences, make_odd_tree
from tests.fakes.restic import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.restic import Restic


@pytest.fixture
def repo(restic: Restic) -> Repository:
    store = FileStore(restic.folder)
    init_repository(store, PASSWORD)
    return Repository.open(store, PASSWORD)


def test_restic_checks_and_restores_what_we_write(
    repo: Repository, restic: Restic, tmp_path: Path
) -> None:
    source = make_odd_tree(tmp_path / "source")
    add_socket(source / "socket")
    (source / "dangling").unlink()  # restic 0.14 loses link targets that are not UTF-8
    os.utime(source, ns=(1, 2))

    result = back_up(repo, source, tags=["kubehaven", "rp=1"])

    assert result.outcome == "Complete"
    assert [item.path for item in result.skipped] == ["socket"]
    restic.check()
    assert restic.snapshots()[0]["tags"] == ["kubehaven", "rp=1"]
    restored = restic.restore(result.snapshot, tmp_path / "restored") / "volume"
    assert differences(source, restored) == []


def test_we_restore_what_we_write(repo: Repository, tmp_path: Path) -> None:
    source = make_odd_tree(tmp_path / "source")
    result = back_up(repo, source)
    target = tmp_path / "target"

    restored = restore_tree(repo, repo.find_snapshot(result.snapshot), target)

    assert restored.outcome == "Complete"
    assert (restored.files, restored.bytes) == (result.files, result.bytes_total)
    assert differences(source, target) == []
    assert (target / "sparse").stat().st_blocks * 512 < 4 << 20
    assert check(repo, read_data=True).problems == ()


def test_we_restore_what_restic_writes(restic: Restic, tmp_path: Path) -> None:
    restic.run("init")
    source = make_odd_tree(tmp_path / "source")
    (source / "dangling").unlink()
    snapshot_id = restic.back_up(source)
    repo = Repository.open(FileStore(restic.folder), PASSWORD)
    snapshot = repo.find_snapshot(snapshot_id)
    target = tmp_path / "target"

    restored = restore_tree(repo, snapshot, target, subpath="")

    assert restored.outcome == "Complete"
    assert differences(source, target, root=False) == []
    assert b"".join(read_file(repo, snapshot, "random3m")) == (source / "random3m").read_bytes()
    names = [entry.name.encode("utf-8", "surrogateescape") for entry in list_tree(repo, snapshot)]
    assert names == sorted(os.listdir(os.fsencode(source)))
    assert check(repo, read_data=True).problems == ()


def test_both_write_to_one_repository_in_turn(
    repo: Repository, restic: Restic, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    copy_real_files(source, max_files=300)
    ours = back_up(repo, source, top_name=None)
    theirs = restic.back_up(source)  # with our snapshot in the repository
    (source / "new").write_bytes(b"new")
    repo = Repository.open(FileStore(restic.folder), PASSWORD)

    again = back_up(repo, source, top_name=None, parent=repo.find_snapshot(theirs))

    assert (again.files_unchanged, again.files_new) == (ours.files, 1)
    assert check(repo, read_data=True).problems == ()
    restic.check()
    restored = restic.restore(again.snapshot, tmp_path / "restored")
    assert differences(source, restored, root=False) == []


def test_the_root_tree_is_the_same_as_restics(
    repo: Repository, restic: Restic, tmp_path: Path
) -> None:
    """Restic 0.14 stores device_id always, so compare trees with it left out."""
    source = make_odd_tree(tmp_path / "source")
    (source / "dangling").unlink()
    for large in ("zero4m", "random3m", "mid600k", "sparse", "a/hardbig"):
        (source / large).unlink()  # cut elsewhere than by restic
    ours = back_up(repo, source, top_name=None)
    theirs = restic.back_up(source)

    mine = _trees(restic, ours.snapshot)
    assert mine == _trees(restic, theirs)
    assert len(mine) >= 5


def test_unchanged_objects_cost_nothing(repo: Repository, restic: Restic, tmp_path: Path) -> None:
    entries = [(f"core/v1/configmaps/{name}.json", b'{"a":"%d"}' % name) for name in range(50)]
    entries.append(("restore-point.json", b"{}"))
    first = back_up_objects(repo, entries, tags=["objects"])

    second = back_up_objects(repo, entries, tags=["objects"])

    assert second.tree == first.tree
    assert (second.bytes_new, second.files) == (0, 51)
    restic.check()
    restored = restic.restore(second.snapshot, tmp_path / "restored")
    assert (restored / "core/v1/configmaps/7.json").read_bytes() == b'{"a":"7"}'
    paths = [path for path, node in walk(repo, repo.find_snapshot("latest")) if node.type == "file"]
    assert sorted(paths) == sorted(path for path, _ in entries)


def _trees(restic: Restic, snapshot: str) -> list[str]:
    """Every folder of a snapshot as its JSON, without device ids and subtree ids."""
    import re

    found = []
    stack = [f"{snapshot}:"]
    tree = next(s["tree"] for s in restic.snapshots() if s["id"] == snapshot)
    stack = [tree]
    while stack:
        raw = restic.run("cat", "blob", stack.pop())
        stack += re.findall(r'"subtree":"([0-9a-f]{64})"', raw)
        found.append(re.sub(r'"device_id":\d+,?|"subtree":"[0-9a-f]{64}"', "", raw))
    return found
