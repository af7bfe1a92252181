"""Making and opening repositories, keys, snapshots."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from console.repository import (
    Damage,
    DamagedConfig,
    DamagedKey,
    NoSuchSnapshot,
    ReadOnlyRepository,
    Repository,
    RepositoryExists,
    RepositoryMissing,
    UnsupportedVersion,
    WrongPassword,
    back_up_objects,
    check,
    init_repository,
    list_keys,
)
from console.repository.keys import DataKey, MessageCipher, find_data_keys, make_key_file
from tests.fakes.hooked_store import HookedStore, fail_at
from tests.unit.repository.conftest import PASSWORD

if TYPE_CHECKING:
    from console.storage import MemoryStore


def test_a_repository_opens_with_its_password_only(store: MemoryStore, repo: Repository) -> None:
    assert Repository.open(store, PASSWORD).id == repo.id
    with pytest.raises(WrongPassword) as caught:
        Repository.open(store, b"wrong")
    assert caught.value.code == "repository.password"
    assert "wrong" not in str(caught.value)
    assert [key.username for key in list_keys(store)] == ["kubehaven"]


def test_nothing_there_is_said(store: MemoryStore) -> None:
    with pytest.raises(RepositoryMissing, match="no repository"):
        Repository.open(store, PASSWORD)


def test_a_second_init_is_refused_and_changes_nothing(store: MemoryStore, repo: Repository) -> None:
    before = {info.name for info in store.list()}
    for password in (PASSWORD, b"other"):
        with pytest.raises(RepositoryExists):
            init_repository(store, password)
    assert {info.name for info in store.list()} == before
    assert Repository.open(store, PASSWORD).id == repo.id


def test_one_of_many_concurrent_inits_succeeds(store: MemoryStore) -> None:
    def attempt(_: int) -> bool:
        try:
            init_repository(store, PASSWORD)
        except RepositoryExists:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    Repository.open(store, PASSWORD)
    sealed = store.get("config")
    names = sorted(info.name for info in store.list("keys/"))
    keys = find_data_keys(store, names, PASSWORD)
    assert all(MessageCipher(key).open(sealed) is not None for key in keys)


def test_an_interrupted_init_is_finished_by_the_next(store: MemoryStore) -> None:
    with pytest.raises(Exception, match="network"):
        init_repository(HookedStore(store, fail_at(2)), PASSWORD)
    with pytest.raises(WrongPassword):
        init_repository(store, b"another")
    init_repository(store, PASSWORD)
    assert len(list_keys(store)) == 1
    Repository.open(store, PASSWORD)


def test_every_key_is_tried(store: MemoryStore, repo: Repository) -> None:
    raw = make_key_file(repo.key, b"second", username="u", hostname="h")
    store.put(f"keys/{hashlib.sha256(raw).hexdigest()}", raw)
    assert Repository.open(store, b"second").id == repo.id
    assert Repository.open(store, PASSWORD).id == repo.id


def test_a_stray_key_of_another_repository_does_no_harm(
    store: MemoryStore, repo: Repository
) -> None:
    for _ in range(3):
        raw = make_key_file(DataKey.generate(), PASSWORD, username="u", hostname="h")
        store.put(f"keys/{hashlib.sha256(raw).hexdigest()}", raw)
    assert Repository.open(store, PASSWORD).id == repo.id


@pytest.mark.parametrize(
    "change",
    [
        {"N": 1 << 40},
        {"N": 3},
        {"r": 1 << 20},
        {"p": 0},
        {"kdf": "md5"},
        {"data": "AAAA"},
        {"N": "x"},
    ],
)
def test_hostile_key_files_are_refused(
    store: MemoryStore, repo: Repository, change: dict[str, object]
) -> None:
    (name,) = (info.name for info in store.list("keys/"))
    raw = json.dumps({**json.loads(store.get(name)), **change}).encode()
    store.delete(name)
    store.put(f"keys/{hashlib.sha256(raw).hexdigest()}", raw)
    with pytest.raises((DamagedKey, WrongPassword)):
        Repository.open(store, PASSWORD)


def test_version_1_is_refused_clearly(store: MemoryStore, repo: Repository) -> None:
    config = json.dumps({"version": 1, "id": repo.id, "chunker_polynomial": "25b468838dcb75"})
    store.put("config", MessageCipher(repo.key).seal(config.encode()))
    with pytest.raises(UnsupportedVersion) as caught:
        Repository.open(store, PASSWORD)
    assert "upgrade_repo_v2" in caught.value.hint


def test_a_config_without_keys_is_damage(store: MemoryStore, repo: Repository) -> None:
    for info in list(store.list("keys/")):
        store.delete(info.name)
    with pytest.raises(DamagedConfig):
        Repository.open(store, PASSWORD)


def test_snapshots_are_found_by_tags_and_prefix(repo: Repository) -> None:
    with pytest.raises(NoSuchSnapshot):
        repo.find_snapshot("latest")
    ids = [
        back_up_objects(
            repo, [("a", b"1")], tags=["kubehaven", f"rp={n}"], time=f"2026-01-0{n}T00:00:00Z"
        ).snapshot
        for n in (2, 1, 3)
    ]
    assert [s.id for s in repo.snapshots()] == [ids[1], ids[0], ids[2]]
    assert [s.id for s in repo.snapshots(tags=["rp=1", "kubehaven"])] == [ids[1]]
    assert repo.snapshots(tags=["rp=1", "rp=2"]) == []
    assert repo.find_snapshot("latest").id == ids[2]
    assert repo.find_snapshot(ids[0][:12]).id == ids[0]
    assert repo.find_snapshot(ids[0]) == repo.find_snapshot(ids[0][:12])
    for wanted in ("", "zz", "0" * 64):
        with pytest.raises(NoSuchSnapshot):
            repo.find_snapshot(wanted)


def test_a_damaged_snapshot_names_its_file(store: MemoryStore, repo: Repository) -> None:
    kept = back_up_objects(repo, [("a", b"1")]).snapshot
    lost = back_up_objects(repo, [("a", b"2")]).snapshot
    store.put(f"snapshots/{lost}", store.get(f"snapshots/{kept}"))
    with pytest.raises(Damage) as caught:
        repo.snapshots()
    assert caught.value.subject == f"snapshots/{lost}"
    seen: list[Damage] = []
    assert [s.id for s in repo.snapshots(on_damage=seen.append)] == [kept]
    assert len(seen) == 1


def test_what_a_killed_restic_left_half_written_is_no_file(
    store: MemoryStore, repo: Repository
) -> None:
    """Restic's local backend writes `<id>-tmp-<number>` first; a key may be among it."""
    back_up_objects(repo, [("a", b"1")])
    for folder in ("keys/", "locks/", "index/", "snapshots/", "data/00/"):
        store.put(f"{folder}{'0' * 64}-tmp-726716268", b"half")
        store.put(f"{folder}README", b"somebody's note")
    again = Repository.open(store, PASSWORD)
    assert len(list_keys(store)) == len(again.snapshots()) == 1
    with again.lock(exclusive=True):
        assert check(again, read_data=True).problems == ()


def test_what_is_read_only_writes_nothing(store: MemoryStore, repo: Repository) -> None:
    back_up_objects(repo, [("a", b"1")])
    before = {info.name for info in store.list()}
    reader = Repository.open(store, PASSWORD, read_only=True)
    with pytest.raises(ReadOnlyRepository):
        back_up_objects(reader, [("a", b"1")])
    with reader.lock():
        assert {info.name for info in store.list()} == before


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b"])
def test_paths_no_folder_holds_are_refused(repo: Repository, path: str) -> None:
    with pytest.raises(ValueError, match=r"path|twice"):
        back_up_objects(repo, [("x", b""), (path, b""), ("y", b"")])


def test_an_entry_is_not_a_folder_too(repo: Repository) -> None:
    for entries in (["a", "a"], ["a", "a/b"], ["a/b", "a"]):
        with pytest.raises(ValueError, match=r"twice|through"):
            back_up_objects(repo, [(path, b"") for path in entries])
    assert repo.snapshots() == []


def test_keys_show_nothing(repo: Repository) -> None:
    assert repo.key.encrypt.hex() not in repr(repo.key)
    assert repr(repo.key) == "DataKey(…)"


def test_reading_needs_nothing_that_only_posix_has() -> None:
    script = """
        import os, sys
        import boto3, cryptography.x509, msgspec, zstandard, pyfastcdc, concurrent.futures
        import console.storage as storage
        for module in ("pwd", "grp", "fcntl", "resource"):
            sys.modules[module] = None
        for name in ("fork", "geteuid", "getuid", "mkfifo", "mknod", "listxattr", "getxattr",
                     "posix_fadvise", "preadv", "SEEK_DATA", "O_NOFOLLOW", "O_DIRECTORY",
                     "O_NONBLOCK", "O_NOATIME", "fchown", "sched_getaffinity"):
            if hasattr(os, name):
                delattr(os, name)
        sys.platform = "win32"
        import console.repository as r
        store = storage.MemoryStore()
        r.init_repository(store, b"p")
        repo = r.Repository.open(store, b"p")
        r.back_up_objects(repo, [("a/b", b"content")])
        snapshot = repo.find_snapshot("latest")
        assert [path for path, _ in r.walk(repo, snapshot)] == ["a", "a/b"]
        assert b"".join(r.read_file(repo, snapshot, "a/b")) == b"content"
        assert r.check(repo, read_data=True).problems == ()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
