"""Backing up: what is read, what is not, what goes wrong, what is left behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

import pytest

from console.repository import (
    Cancelled,
    ItemFailure,
    Progress,
    Repository,
    RepositoryLocked,
    SourceUnfit,
    StopToken,
    back_up,
    check,
    read_file,
    restore_tree,
    walk,
)
from console.storage import FileStore, MemoryStore, Unavailable
from tests.builders.trees import differences
from tests.fakes.hooked_store import HookedStore, fail_at
from tests.unit.repository.conftest import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many packs of little data."""
    monkeypatch.setattr("console.repository.packing.PACK_BYTES", 200_000)
    monkeypatch.setattr("console.repository.packing.INDEX_BLOBS", 3)


def _random_file(path: Path, size: int, seed: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(size))  # noqa: S311 - test data


def test_a_second_backup_reads_only_what_changed(repo: Repository, source: Path) -> None:
    first = back_up(repo, source)
    parent = repo.find_snapshot(first.snapshot)
    assert (first.files, first.dirs, first.files_new) == (4, 3, 4)
    (source / "one").write_text("other")
    (source / "a" / "new").write_text("new")

    second = back_up(repo, source, parent=parent)

    assert (second.files_unchanged, second.files_changed, second.files_new) == (3, 1, 1)
    assert second.bytes_new < 10_000
    assert repo.find_snapshot(second.snapshot).parent == first.snapshot
    third = back_up(repo, source, parent=repo.find_snapshot(second.snapshot))
    assert third.tree == second.tree
    assert (third.bytes_new, third.bytes_stored, third.files_unchanged) == (0, 0, 5)


def test_a_backup_without_parent_stores_nothing_twice(repo: Repository, source: Path) -> None:
    first = back_up(repo, source)
    again = back_up(Repository.open(repo.store, PASSWORD), source)
    assert again.tree == first.tree
    assert (again.bytes_new, again.files_new) == (0, 4)


def test_a_change_that_keeps_size_and_mtime_is_seen(repo: Repository, source: Path) -> None:
    first = back_up(repo, source)
    times = os.stat(source / "one")
    (source / "one").write_text("CONTENT of one")
    os.utime(source / "one", ns=(times.st_atime_ns, times.st_mtime_ns))
    second = back_up(repo, source, parent=repo.find_snapshot(first.snapshot))
    assert second.files_changed == 1


def test_a_changed_xattr_is_seen(repo: Repository, source: Path) -> None:
    first = back_up(repo, source)
    os.setxattr(source / "one", "user.x", b"1")
    second = back_up(repo, source, parent=repo.find_snapshot(first.snapshot))
    nodes = dict(walk(repo, repo.find_snapshot(second.snapshot)))
    assert [a.name for a in nodes["volume/one"].extended_attributes or ()] == ["user.x"]
    assert second.files_changed == 1


def test_a_blob_that_was_pruned_is_stored_again(repo: Repository, source: Path) -> None:
    first = back_up(repo, source)
    parent = repo.find_snapshot(first.snapshot)
    for folder in ("index/", "data/"):
        for info in list(repo.store.list(folder)):
            repo.store.delete(info.name)
    repo = Repository.open(repo.store, PASSWORD)
    second = back_up(repo, source, parent=parent)
    assert second.bytes_new >= second.bytes_total
    assert second.tree == first.tree
    assert check(repo, read_data=True).problems == ()


def test_progress_counts(repo: Repository, source: Path) -> None:
    progress = Progress()
    result = back_up(repo, source, progress=progress)
    counts = progress.snapshot()
    assert (counts.files_done, counts.files_total) == (4, 4)
    assert counts.bytes_done == counts.bytes_total == result.bytes_total
    assert (counts.bytes_new, counts.bytes_stored) == (result.bytes_new, result.bytes_stored)


def test_cuts_do_not_depend_on_threads_or_holes(repo: Repository, tmp_path: Path) -> None:
    """A file with a hole and its copy without one are the same blobs."""
    holes, full = tmp_path / "holes", tmp_path / "full"
    _random_file(holes / "f", 20 << 20)
    with open(holes / "f", "r+b") as file:
        file.truncate(70 << 20)
        file.seek(90 << 20)
        file.write(b"end" * 1000)
        file.truncate(101 << 20)
    full.mkdir()
    with open(holes / "f", "rb") as file:
        (full / "f").write_bytes(file.read())
    repo.threads = 3
    first = back_up(repo, holes)
    repo.threads = 1
    second = back_up(repo, full)
    content = [
        dict(walk(repo, repo.find_snapshot(result.snapshot)))["volume/f"].content
        for result in (first, second)
    ]
    assert content[0] == content[1]
    assert first.bytes_total == second.bytes_total == 101 << 20
    assert second.bytes_new < 10_000
    read = b"".join(read_file(repo, repo.find_snapshot(first.snapshot), "volume/f"))
    assert read == (full / "f").read_bytes()


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_text("x")])
def test_a_source_that_is_none_is_said(repo: Repository, tmp_path: Path, make: object) -> None:
    make(tmp_path / "none")  # type: ignore[operator]
    with pytest.raises(SourceUnfit, match="none"):
        back_up(repo, tmp_path / "none")
    assert list(repo.store.list("locks/")) == []


@pytest.mark.usefixtures("small_packs")
def test_files_that_change_while_read_are_reported(
    store: MemoryStore, repo: Repository, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    _random_file(source / "z-grows", 30 << 20)
    _random_file(source / "y-shrinks", 30 << 20, seed=2)
    for name in ("a/stays", "a/vanishes", "b/vanishes-with-folder"):
        _random_file(source / name, 100)

    changing = threading.Lock()

    def change(number: int, name: str) -> None:
        """At the first pack of the first file: one window is read, and all uploads wait."""
        with changing:
            if not name.startswith("data/") or (source / "changed").exists():
                return
            (source / "changed").touch()
            with open(source / "z-grows", "ab") as file:
                file.write(b"more")
            (source / "a" / "vanishes").unlink()
            (source / "b" / "vanishes-with-folder").unlink()
            (source / "b").rmdir()
            (source / "b").symlink_to("/etc")

    hooked = Repository(HookedStore(store, change), repo.key, repo.id)
    hooked.threads = 1
    result = back_up(hooked, source)

    assert result.outcome == "Partial"
    codes = {item.path: item.code for item in result.failures}
    assert codes == {"z-grows": "item.changed", "b": "item.vanished"}
    nodes = dict(walk(repo, repo.find_snapshot(result.snapshot)))
    assert nodes["volume/z-grows"].size == 30 << 20
    assert "volume/a/stays" in nodes
    assert "volume/b" not in nodes
    assert check(repo, read_data=True).problems == ()


@pytest.mark.usefixtures("small_packs")
def test_a_file_that_shrinks_while_read_is_stored_as_read(
    store: MemoryStore, repo: Repository, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    _random_file(source / "shrinks", 40 << 20)

    def shrink(number: int, name: str) -> None:
        if name.startswith("data/"):
            os.truncate(source / "shrinks", 20 << 20)

    hooked = Repository(HookedStore(store, shrink), repo.key, repo.id)
    hooked.threads = 1
    result = back_up(hooked, source)

    assert [item.code for item in result.failures] == ["item.changed"]
    snapshot = repo.find_snapshot(result.snapshot)
    size = dict(walk(repo, snapshot))["volume/shrinks"].size
    content = b"".join(read_file(repo, snapshot, "volume/shrinks"))
    assert len(content) == size == 20 << 20
    assert content == (source / "shrinks").read_bytes()


def test_what_may_not_be_read_is_reported(tmp_path: Path) -> None:
    """As an ordinary user, in a process of its own."""
    script = """
        import json, os, sys, tempfile
        from pathlib import Path
        import console.repository as r
        from console.storage import MemoryStore
        folder = Path(tempfile.mkdtemp()); os.chmod(folder, 0o755); os.umask(0)
        (folder / "open").write_text("x"); (folder / "shut").write_text("x")
        (folder / "shut-folder").mkdir(); (folder / "shut-folder" / "f").write_text("x")
        os.chmod(folder / "shut", 0); os.chmod(folder / "shut-folder", 0)
        target = Path(tempfile.mkdtemp()); os.chmod(target, 0o777)
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(65534); os.setuid(65534)
        store = MemoryStore(); r.init_repository(store, b"p"); repo = r.Repository.open(store, b"p")
        result = r.back_up(repo, folder)
        again = r.restore_tree(repo, repo.find_snapshot("latest"), target / "t")
        print(json.dumps([result.outcome, [[f.path, f.code] for f in result.failures],
                          again.outcome, sorted(os.listdir(target / "t"))]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    outcome, failures, restored, names = json.loads(done.stdout)
    assert outcome == "Partial"
    assert sorted(failures) == [["shut", "item.denied"], ["shut-folder", "item.denied"]]
    assert (restored, names) == ("Complete", ["open"])


@pytest.mark.usefixtures("small_packs")
def test_a_stop_keeps_what_is_finished(
    store: MemoryStore, repo: Repository, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for number in range(20):
        _random_file(source / str(number), 400_000, seed=number)
    stop = StopToken()
    packs = 0

    def stop_later(number: int, name: str) -> None:
        nonlocal packs
        packs += name.startswith("data/")
        if packs == 5:
            stop.stop()

    hooked = Repository(HookedStore(store, stop_later), repo.key, repo.id)
    with pytest.raises(Cancelled):
        back_up(hooked, source, stop=stop)

    repo = Repository.open(store, PASSWORD)
    assert (repo.snapshots(), list(store.list("locks/"))) == ([], [])
    assert check(repo, read_data=True).problems == ()
    assert len(repo.index) >= 5
    again = back_up(repo, source)
    assert again.bytes_new < 16 * 400_000
    assert check(repo, read_data=True).problems == ()


@pytest.mark.usefixtures("small_packs")
def test_a_store_that_fails_at_any_write_leaves_a_valid_repository(
    repo: Repository, tmp_path: Path
) -> None:
    source, changed = tmp_path / "source", tmp_path / "changed"
    for number in range(4):
        _random_file(source / f"f{number}", 250_000, seed=number)
        _random_file(changed / f"d{number % 2}" / f"f{number}", 250_000, seed=number * 3)
    base = back_up(repo, source)
    parent = repo.find_snapshot(base.snapshot)
    everything = {info.name: repo.store.get(info.name) for info in repo.store.list()}
    at, finished = 0, False
    while not finished:
        at += 1
        store = MemoryStore()
        for name, content in everything.items():
            store.put(name, content)
        failing = Repository(HookedStore(store, fail_at(at)), repo.key, repo.id)
        try:
            back_up(failing, changed, parent=parent)
            finished = True
        except Unavailable:
            assert len(failing.snapshots()) == 1
        again = Repository(store, repo.key, repo.id)
        assert check(again, read_data=True).problems == ()
        result = back_up(again, changed)
        assert check(Repository(store, repo.key, repo.id), read_data=True).problems == ()
        assert result.files == 4
    assert at > 5


@pytest.mark.usefixtures("small_packs")
def test_a_repository_goes_on_after_a_failed_backup(
    store: MemoryStore, repo: Repository, tmp_path: Path
) -> None:
    """The same open repository must not trust packs that no stored index names."""
    source = tmp_path / "source"
    for number in range(6):
        _random_file(source / f"f{number}", 250_000, seed=number)
    broken = True

    def no_index(number: int, name: str) -> None:
        if broken and name.startswith("index/"):
            raise Unavailable("no", subject=name)

    hooked = Repository(HookedStore(store, no_index), repo.key, repo.id)
    with pytest.raises(Unavailable):
        back_up(hooked, source)
    broken = False
    back_up(hooked, source)
    assert check(repo, read_data=True).problems == ()


@pytest.mark.parametrize("writes", [2, 4, pytest.param(7, marks=pytest.mark.long)])
def test_a_killed_backup_leaves_a_valid_repository(tmp_path: Path, writes: int) -> None:
    source, folder = tmp_path / "source", tmp_path / "repository"
    for number in range(30):
        _random_file(source / str(number), 400_000, seed=number)
    script = f"""
        import os, sys, threading
        from pathlib import Path
        import console.repository as r, console.repository.packing as packing
        from console.storage import FileStore
        from tests.fakes.hooked_store import HookedStore
        packing.PACK_BYTES, packing.INDEX_BLOBS = 500_000, 3
        store = FileStore({str(folder)!r})
        r.init_repository(store, {PASSWORD!r})
        def hook(number, name):
            if number > {writes}:
                os.write(1, b"now\\n")  # in one piece: several threads may come here
                threading.Event().wait()
        repo = r.Repository.open(HookedStore(store, hook), {PASSWORD!r})
        r.back_up(repo, Path({str(source)!r}))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "now\n"
        finally:
            process.send_signal(signal.SIGKILL)

    repo = Repository.open(FileStore(folder), PASSWORD)
    assert repo.snapshots() == []
    assert check(repo, read_data=True).problems == ()
    with pytest.raises(RepositoryLocked), repo.lock(exclusive=True):
        pass  # its lock stands until it is stale; shared work goes on
    result = back_up(repo, source)
    assert check(repo, read_data=True).problems == ()
    restore_tree(repo, repo.find_snapshot(result.snapshot), tmp_path / "target")
    assert differences(source, tmp_path / "target") == []


def test_a_failure_says_what_and_where() -> None:
    failure = ItemFailure("a/b", "item.denied", "Permission denied")
    assert (failure.path, failure.code) == ("a/b", "item.denied")
