"""Whatever is damaged: an error that names it, or the identical result; never wrong bytes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.repository import (
    Damage,
    DamagedPack,
    Repository,
    RepositoryError,
    WrongPassword,
    back_up,
    check,
    init_repository,
    read_file,
    restore_tree,
    walk,
)
from console.storage import MemoryStore
from tests.builders.trees import differences
from tests.unit.repository.conftest import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Contents = dict[str, tuple[int, int, bytes]]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Repository, Path]:
    """The objects of a repository with two snapshots, opened, and the newer one's source."""
    source = tmp_path_factory.mktemp("source")
    dice = random.Random(5)  # noqa: S311 - test data
    for number in range(12):
        folder = source / f"d{number % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_bytes(dice.randbytes(3000) + bytes(5000))
    store = MemoryStore()
    init_repository(store, PASSWORD)
    repo = Repository.open(store, PASSWORD)
    back_up(repo, source)
    (source / "d0" / "f0").write_bytes(b"changed")
    (source / "large").write_bytes(dice.randbytes(2 << 20))
    back_up(repo, source)
    return {info.name: store.get(info.name) for info in store.list()}, repo, source


def _read_all(repo: Repository) -> Contents:
    snapshot = repo.find_snapshot("latest")
    return {
        path: (
            node.mode,
            node.mtime_ns,
            b"".join(read_file(repo, snapshot, path)) if node.type == "file" else b"",
        )
        for path, node in walk(repo, snapshot)
    }


def _copy(objects: dict[str, bytes], name: str, change: Callable[[bytes], bytes]) -> MemoryStore:
    store = MemoryStore()
    for other, content in objects.items():
        store.put(other, change(content) if other == name else content)
    return store


def _read_or_fail(store: MemoryStore, repo: Repository, name: str) -> Contents | RepositoryError:
    """What comes out; a repository is opened by password only where that is what is damaged."""
    try:
        if name.startswith(("keys/", "config")):
            return _read_all(Repository.open(store, PASSWORD))
        return _read_all(Repository(store, repo.key, repo.id))
    except RepositoryError as fault:
        return fault


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_flipped_bit_is_found(
    intact: tuple[dict[str, bytes], Repository, Path], data: st.DataObject
) -> None:
    objects, _, _ = intact
    name = data.draw(st.sampled_from(sorted(objects)))
    _flip_and_look(intact, name, data.draw(st.integers(0, len(objects[name]) * 8 - 1)))


@pytest.mark.long
def test_flips_everywhere_are_found(intact: tuple[dict[str, bytes], Repository, Path]) -> None:
    """Every bit of the small files would take hours: a prime step visits all kinds of places."""
    objects, _, _ = intact
    for name, content in objects.items():
        step = max(7, len(content) * 8 // 300 | 1)
        for at in range(0, len(content) * 8, step):
            _flip_and_look(intact, name, at)


def _flip_and_look(intact: tuple[dict[str, bytes], Repository, Path], name: str, at: int) -> None:
    objects, repo, _ = intact

    def flip(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        return bytes(changed)

    store = _copy(objects, name, flip)
    result = _read_or_fail(store, repo, name)
    if isinstance(result, Damage):
        assert result.subject
        assert name in str(result) or "keys/" in name
    elif isinstance(result, RepositoryError):
        assert isinstance(result, WrongPassword)
    else:
        assert result == _read_all(repo)
    if not name.startswith(("keys/", "config")):
        problems = check(Repository(store, repo.key, repo.id), read_data=True).problems
        assert problems
        assert any(name == problem.subject for problem in problems)


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_shortened_file_is_found(
    intact: tuple[dict[str, bytes], Repository, Path], data: st.DataObject
) -> None:
    objects, repo, _ = intact
    name = data.draw(st.sampled_from(sorted(objects)))
    length = data.draw(st.integers(0, len(objects[name]) - 1))
    store = _copy(objects, name, lambda content: content[:length])
    result = _read_or_fail(store, repo, name)
    assert isinstance(result, RepositoryError) or result == _read_all(repo)
    if not name.startswith(("keys/", "config")):
        again = Repository(store, repo.key, repo.id)
        assert check(again, read_data=True).problems
        if name.startswith("data/"):
            assert check(again).problems  # its size tells without reading


@pytest.mark.parametrize("folder", ["data/", "index/"])
def test_a_missing_file_is_found(
    intact: tuple[dict[str, bytes], Repository, Path], folder: str
) -> None:
    objects, repo, _ = intact
    for name in (name for name in objects if name.startswith(folder)):
        store = _copy(objects, name, bytes)
        store.delete(name)
        again = Repository(store, repo.key, repo.id)
        assert check(again).problems
        result = _read_or_fail(store, repo, name)
        assert isinstance(result, Damage) or result == _read_all(repo)


@pytest.mark.parametrize("damage", ["flip", "delete", "cut"])
def test_a_restore_leaves_damaged_files_out_and_says_so(
    intact: tuple[dict[str, bytes], Repository, Path], tmp_path: Path, damage: str
) -> None:
    objects, repo, source = intact
    data_packs = {
        location.pack
        for _, node in walk(repo, repo.find_snapshot("latest"))
        for id_ in node.content or ()
        for location in repo.index.find("data", bytes.fromhex(id_))
    }
    for number, pack in enumerate(sorted(data_packs)):
        name = f"data/{pack[:2]}/{pack}"
        store = _copy(objects, name, lambda content: _damaged(content, damage))
        if damage == "delete":
            store.delete(name)
        target = tmp_path / str(number)
        again = Repository(store, repo.key, repo.id)
        result = restore_tree(again, again.find_snapshot("latest"), target)
        assert result.outcome == "Partial"
        assert {item.code for item in result.failures} == {"repository.damage.pack"}
        assert all(name in item.message for item in result.failures)
        lost = {item.path for item in result.failures}
        found = {line for line in differences(source, target) if not line.startswith("b'")}
        assert found == {f"only in one: {path.encode()!r}" for path in lost}
        assert len(lost) < 13 or damage != "flip"


def test_another_copy_of_a_blob_is_used(
    intact: tuple[dict[str, bytes], Repository, Path], tmp_path: Path
) -> None:
    """Two writers may have stored the same blob; one damaged copy is no loss."""
    objects, repo, source = intact
    other = MemoryStore()
    for name, content in objects.items():
        if not name.startswith(("index/", "data/", "snapshots/")):
            other.put(name, content)
    back_up(Repository(other, repo.key, repo.id), source)
    both = MemoryStore()
    for name, content in objects.items():
        both.put(name, _damaged(content, "flip") if name.startswith("data/") else content)
    for info in other.list():
        both.put(info.name, other.get(info.name))
    again = Repository(both, repo.key, repo.id)
    result = restore_tree(again, again.find_snapshot("latest"), tmp_path / "t")
    assert result.outcome == "Complete"
    assert differences(source, tmp_path / "t") == []


def test_a_pack_under_another_name_is_found(
    intact: tuple[dict[str, bytes], Repository, Path],
) -> None:
    objects, repo, _ = intact
    first, second, *_ = sorted(name for name in objects if name.startswith("data/"))
    store = _copy(objects, first, lambda _: objects[second])
    problems = check(Repository(store, repo.key, repo.id), read_data=True).problems
    assert any(isinstance(problem, DamagedPack) for problem in problems)


def _damaged(content: bytes, damage: str) -> bytes:
    if damage == "cut":
        return content[:25]  # the first blob begins here, so each is lost
    return content[:20] + bytes([content[20] ^ 1]) + content[21:]
