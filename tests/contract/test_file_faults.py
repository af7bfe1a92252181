"""Folders as stores: full disks, missing rights, foreign files, killed writers, restic's layout."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.storage import (
    AccessDenied,
    FileStore,
    NoSuchObject,
    NoSuchStore,
    OutOfSpace,
    ReadOnly,
    ReadOnlyStore,
    StoreError,
    open_store,
)

if TYPE_CHECKING:
    from tests.fakes.restic import Restic

ROOT = Path(__file__).parents[2]


def run_child(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
import resource, sys
from console.storage import FileStore, OutOfSpace
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
store = FileStore(sys.argv[1])
store.put("small", b"x" * 90_000)
for write in (store.put, store.create):
    try:
        write("data/big", b"x" * 200_000)
    except OutOfSpace as error:
        print(error.code, error.hint)
"""
    ran = run_child(program, str(tmp_path))
    assert ran.stdout.splitlines() == ["store.full Make room, or raise the quota."] * 2, ran.stderr
    assert files_below(tmp_path) == {"small"}


def test_a_really_full_file_system(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("may not mount; run as root: make test")
    try:
        store = FileStore(tmp_path)
        store.put("a", bytes(100_000))
        with pytest.raises(OutOfSpace):
            store.put("b", bytes(300_000))
        assert list(store.list()) == [("a", 100_000)]
        store.put("c", bytes(50_000))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_killed_writer_leaves_no_object(tmp_path: Path) -> None:
    program = """
import os, signal, sys
import console.storage.durable as durable
from console.storage import FileStore
# killed after all was written, before it has its name
durable.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
store = FileStore(sys.argv[1])
getattr(store, sys.argv[2])("data/ab/abcd", b"content")
"""
    for call in ("put", "create"):
        (tmp_path / "data" / "ab").mkdir(parents=True, exist_ok=True)
        assert run_child(program, str(tmp_path), call).returncode == -9
        store = FileStore(tmp_path)
        assert files_below(tmp_path)  # the unfinished file lies there, unseen
        assert list(store.list()) == []
        with pytest.raises(NoSuchObject):
            store.get("data/ab/abcd")
    assert store.create("data/ab/abcd", b"content") is True


def test_without_hard_links_one_creator_wins_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    store = FileStore(tmp_path)
    assert store.create("config", b"one") is True
    assert store.create("config", b"two") is False
    assert store.get("config") == b"one"
    assert list(store.list()) == [("config", 3)]


def test_rights_are_asked_of_the_system(tmp_path: Path) -> None:
    program = """
import os, sys
from console.storage import FileStore, StoreError
os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = FileStore(sys.argv[1])
for call in (
    lambda: store.get("secret"),
    lambda: store.put("new", b""),
    lambda: store.create("new", b""),
    lambda: list(store.list("closed/")),
):
    try:
        call()
    except StoreError as error:
        print(type(error).__name__, bool(error.hint))
print(store.get("open"), store.clock() > 0)
"""
    if os.getuid() != 0:
        pytest.skip("needs another user; run as root: make test")
    for parent in [tmp_path, *tmp_path.parents[:-2]]:
        parent.chmod(0o755)
    store = FileStore(tmp_path)
    store.put("secret", b"1")
    store.put("open", b"2")
    store.put("closed/x", b"3")
    (tmp_path / "open").chmod(0o644)
    assert run_child(program, str(tmp_path)).stdout.splitlines() == [
        *["AccessDenied True"] * 4,
        "b'2' True",
    ]
    assert issubclass(AccessDenied, StoreError)


def test_files_are_private(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "new")
    store.put("data/ab/x", b"")
    assert store.create("config", b"")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").rglob("*")}
    assert modes == {"data": 0o700, "ab": 0o700, "x": 0o600, "config": 0o600}


def test_a_missing_folder_is_no_empty_store(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "not-mounted")
    for call in (store.clock, lambda: list(store.list()), lambda: list(store.list_folders("a/"))):
        with pytest.raises(NoSuchStore, match="not-mounted") as caught:
            call()
        assert "mount" in caught.value.hint
    with pytest.raises(NoSuchObject):
        store.get("config")
    store.delete("config")
    assert not (tmp_path / "not-mounted").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FileStore(tmp_path / "file")
    with pytest.raises(NoSuchStore):
        list(store.list())
    for call in (store.put, store.create):
        with pytest.raises(StoreError):
            call("x", b"")


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lost and found").mkdir()
    (tmp_path / "lost and found" / "x").write_bytes(b"")
    (tmp_path / "notes (1).txt").write_bytes(b"")
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    (tmp_path / "elsewhere").symlink_to("/")
    store = FileStore(tmp_path)
    store.put("config", b"1")
    assert list(store.list_folders()) == []
    assert {info.name for info in store.list()} == {"config"}


def test_read_only_writes_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), read_only=True)
    for call in (
        lambda: store.put("a", b""),
        lambda: store.create("a", b""),
        lambda: store.delete("a"),
    ):
        with pytest.raises(ReadOnly):
            call()
    assert files_below(tmp_path) == set()
    FileStore(tmp_path).put("a", b"1")
    assert store.get("a") == b"1"
    assert store.url == ReadOnlyStore(store).url == str(tmp_path)


def test_a_repository_of_restic_is_seen_as_it_is(restic: Restic, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    restic.run("init")
    restic.back_up(source)
    repository = restic.folder
    store = FileStore(repository)
    assert {info.name: info.size for info in store.list()} == {
        str(path.relative_to(repository)): path.stat().st_size
        for path in repository.rglob("*")
        if path.is_file()
    }
    assert {"data/", "index/", "keys/", "locks/", "snapshots/"} <= set(store.list_folders())
    # a killed writer's rest in a folder that restic lists is no matter to it
    pack = next(store.list("data/")).name
    (repository / pack).with_name(".kubehaven-tmp-0011").write_bytes(b"half")
    for name in ("keys", "snapshots", "index", "locks"):
        (repository / name / ".kubehaven-tmp-0011").write_bytes(b"half")
    store.put("kubehaven.json", b"{}")
    data = store.get(pack)
    store.delete(pack)
    store.put(pack, data)
    restic.check()


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
