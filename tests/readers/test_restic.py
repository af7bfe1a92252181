"""Restic reads what we write, and we read what restic writes."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from console.repository import (
    Repository,
    RepositoryLocked,
    back_up,
    back_up_objects,
    check,
    init_repository,
    list_tree,
    read_file,
    restore_tree,
    walk,
)
from console.repository.listing import list_files
from console.storage import FileStore
from tests.builders.trees import add_socket, copy_real_files, differences, make_odd_tree
from tests.fakes.restic import PASSWORD, find_restic, wait_until

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


def test_restic_sees_our_locks_and_respects_them(repo: Repository, restic: Restic) -> None:
    with repo.lock(exclusive=True):
        assert len(restic.run("list", "locks", "--no-lock").split()) == 1
        said = restic.run("check", code=None)
        assert "already locked" in said
        assert "kubehaven-" in said
    restic.check()
    with repo.lock():
        restic.run("snapshots")
        assert "already locked" in restic.run("prune", code=None)
    assert restic.run("list", "locks", "--no-lock") == ""


def test_we_respect_restics_locks(repo: Repository, restic: Restic, tmp_path: Path) -> None:
    """Restic holds its shared lock while it waits for its input."""
    (tmp_path / "source").mkdir()
    with restic.start("backup", "--stdin") as process:
        wait_until(lambda: list_files(repo.store, "locks/") != [])
        with pytest.raises(RepositoryLocked) as caught, repo.lock(exclusive=True):
            pass
        assert str(process.pid) in str(caught.value)
        assert back_up(repo, tmp_path / "source").outcome == "Complete"
        process.communicate(b"input")
    assert process.returncode == 0
    with repo.lock(exclusive=True):
        pass
    assert len(repo.snapshots()) == 2


def test_restics_exclusive_lock_stops_us(repo: Repository, restic: Restic, tmp_path: Path) -> None:
    """Stopped with SIGSTOP as soon as its lock is there; it waits 0.2 s after writing it."""
    with restic.start("check") as process:
        wait_until(lambda: list_files(repo.store, "locks/") != [])
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(RepositoryLocked, match="exclusively"):
            back_up(repo, tmp_path)
        process.send_signal(signal.SIGCONT)
        process.communicate()
    assert process.returncode == 0


def test_several_write_at_once(repo: Repository, restic: Restic, tmp_path: Path) -> None:
    copy_real_files(tmp_path / "source", max_files=400)
    others = [Repository.open(repo.store, PASSWORD) for _ in range(2)]
    with ThreadPoolExecutor(3) as pool:
        ours = [pool.submit(back_up, other, tmp_path / "source") for other in others]
        theirs = pool.submit(restic.back_up, tmp_path / "source")
        assert {future.result().tree for future in ours} == {ours[0].result().tree}
        theirs.result()
    restic.check()
    assert check(repo, read_data=True).snapshots == 3


NAMES = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=40),
        st.text(min_size=1, max_size=30).map(lambda text: text.encode("utf-8", "replace")),
        st.characters(codec="utf-8").map(str.encode),
    ).filter(lambda name: not set(name) & {0, 47} and name not in {b".", b".."}),
    min_size=120,
    max_size=400,
    unique=True,
)


@given(names=NAMES, data=st.data())
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
def test_generated_trees_are_the_same_as_restics(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("generated")
    restic = find_restic(folder / "repository")
    source = folder / "source"
    source.mkdir()
    kinds = data.draw(
        st.lists(st.integers(0, 9), min_size=len(names), max_size=len(names)), label="kinds"
    )
    for name, kind in zip(names, kinds, strict=True):
        _make_entry(os.fsencode(source) + b"/" + name, kind)
    init_repository(FileStore(restic.folder), PASSWORD)
    repo = Repository.open(FileStore(restic.folder), PASSWORD)

    ours = back_up(repo, source, top_name=None)

    assert ours.failures == ()
    for mine, its in zip(
        _trees(restic, ours.snapshot), _trees(restic, restic.back_up(source)), strict=True
    ):
        assert mine.split('{"name"') == its.split('{"name"')
    restore_tree(repo, repo.find_snapshot(ours.snapshot), folder / "target", subpath="")
    assert differences(source, folder / "target", root=False) == []


def _make_entry(path: bytes, kind: int) -> None:
    """One entry of any kind, its metadata taken from its name."""
    dice = random.Random(path.rpartition(b"/")[2])  # noqa: S311 - test data
    name = path.rpartition(b"/")[2]
    if kind == 0:
        # \b and \f in a target: Go writes them otherwise since 1.22, as we do
        os.symlink(re.sub("[\b\f]", "", name.decode("utf-8", "ignore")) or "x", path)
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        os.mkdir(path)
        _make_entry(path + b"/" + name, 5)
    else:
        with open(path, "wb") as file:
            file.write(dice.randbytes(dice.choice([0, 1, 100, 5000])))
        os.chmod(path, dice.randrange(0o10000))
        if kind == 3:
            os.setxattr(path, "user.n", dice.randbytes(dice.randrange(50)))
    ns = dice.choice(
        [dice.randrange(2**61), dice.randrange(-(10**18), 0), 10**9 * dice.randrange(9)]
    )
    os.utime(path, ns=(0, ns), follow_symlinks=False)


def test_real_files_round_trip(repo: Repository, restic: Restic, tmp_path: Path) -> None:
    _round_trip_real_files(repo, restic, tmp_path, max_files=800)


@pytest.mark.long
def test_all_real_files_round_trip(repo: Repository, restic: Restic, tmp_path: Path) -> None:
    _round_trip_real_files(repo, restic, tmp_path, max_files=None)


def _round_trip_real_files(
    repo: Repository, restic: Restic, tmp_path: Path, *, max_files: int | None
) -> None:
    source = tmp_path / "source"
    count = copy_real_files(source, max_files=max_files)
    result = back_up(repo, source)
    assert result.outcome == "Complete"
    assert result.files <= count
    restore_tree(repo, repo.find_snapshot(result.snapshot), tmp_path / "ours")
    assert differences(source, tmp_path / "ours") == []
    shutil.rmtree(tmp_path / "ours")
    theirs = restic.restore(result.snapshot, tmp_path / "theirs") / "volume"
    assert differences(source, theirs) == []
    restic.check()


def _trees(restic: Restic, snapshot: str) -> list[str]:
    """Every folder of a snapshot as its JSON, without device ids and subtree ids."""
    repo = Repository.open(FileStore(restic.folder), PASSWORD)
    found = []
    stack = [repo.find_snapshot(snapshot).tree]
    while stack:
        raw = repo.reader().raw_tree(bytes.fromhex(stack.pop()))
        stack += re.findall(r'"subtree":"([0-9a-f]{64})"', raw.decode())
        plain = re.sub(r'"device_id":\d+,?|"subtree":"[0-9a-f]{64}"', "", raw.decode())
        found.append(re.sub(r"\\\\u([0-9a-f]{4})|\\\\U([0-9a-f]{8})", _as_python_prints, plain))
    return found


def _as_python_prints(escape: re.Match[str]) -> str:
    """What this Python's Unicode prints and that of an older Go escapes; both are right."""
    char = chr(int(escape[1] or escape[2], 16))
    return char if char.isprintable() else escape[0]
