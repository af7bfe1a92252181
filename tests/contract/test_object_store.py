"""One suite for every store and wrapper: what `ObjectStore` promises."""

from __future__ import annotations

import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.storage import (
    BadName,
    FileStore,
    MemoryStore,
    NoSuchObject,
    ObjectStore,
    RetryingStore,
    ShortRead,
    below,
)
from console.storage.s3 import S3Store
from console.storage.s3_address import parse_s3_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fakes.weed import S3Server

KINDS = (
    "memory",
    "files",
    "s3",
    "s3-claims",
    "retrying",
    "below-memory",
    "below-files",
)
PARTS = st.from_regex(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,20}", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    def s3() -> S3Store:
        server: S3Server = request.getfixturevalue("s3_server")
        return S3Store(parse_s3_url(server.new_url("some/prefix")), server.credentials)

    def s3_by_claims() -> S3Store:
        made = s3()
        made._conditional = False  # as on a server that ignores If-None-Match
        return made

    (tmp_path / "store").mkdir()
    makers: dict[str, Callable[[], ObjectStore]] = {
        "memory": MemoryStore,
        "files": lambda: FileStore(tmp_path / "store"),
        "s3": s3,
        "s3-claims": s3_by_claims,
        "retrying": lambda: RetryingStore(MemoryStore(), patience_s=1),
        "below-memory": lambda: below(MemoryStore(), "a/b/"),
        "below-files": lambda: below(FileStore(tmp_path), "a/b/"),
    }
    made = makers[request.param]()
    yield made
    made.close()


def contents(store: ObjectStore, prefix: str = "") -> dict[str, int]:
    return dict(store.list(prefix))


def test_what_is_put_comes_back(store: ObjectStore) -> None:
    data = secrets.token_bytes(100_000)
    store.put("data/ab/abcd", memoryview(data))
    assert store.get("data/ab/abcd") == data
    assert store.get_range("data/ab/abcd", 5, 1000) == data[5:1005]
    assert store.get_range("data/ab/abcd", 99_999, 1) == data[-1:]
    assert store.get_range("data/ab/abcd", 7, 0) == b""
    assert store.stat("data/ab/abcd") == ("data/ab/abcd", 100_000)


def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert store.stat("empty").size == 0
    assert contents(store) == {"empty": 0}


def test_put_again_replaces(store: ObjectStore) -> None:
    store.put("x", b"damaged")
    store.put("x", b"whole")
    assert store.get("x") == b"whole"


def test_what_is_missing_is_said(store: ObjectStore) -> None:
    store.put("there/is", b"something")
    for name in ("missing", "there", "there/is/not", "no/folder/at/all"):
        with pytest.raises(NoSuchObject, match=name):
            store.get(name)
        with pytest.raises(NoSuchObject):
            store.get_range(name, 0, 1)
        with pytest.raises(NoSuchObject):
            store.stat(name)
        store.delete(name)
    assert store.get("there/is") == b"something"


def test_a_range_past_the_end_is_an_error(store: ObjectStore) -> None:
    store.put("three", b"abc")
    for offset, length in [(0, 4), (2, 2), (3, 1), (100, 5)]:
        with pytest.raises(ShortRead) as caught:
            store.get_range("three", offset, length)
        assert caught.value.code == "store.short"


def test_delete_removes_and_may_be_repeated(store: ObjectStore) -> None:
    store.put("a/b", b"1")
    store.put("a/c", b"2")
    store.delete("a/b")
    store.delete("a/b")
    assert contents(store) == {"a/c": 1}


def test_create_never_overwrites(store: ObjectStore) -> None:
    assert store.create("config", b"first") is True
    assert store.create("config", b"second") is False
    assert store.create("config", b"first") is False
    assert store.get("config") == b"first"
    store.put("other", b"put")
    assert store.create("other", b"created") is False
    assert contents(store) == {"config": 5, "other": 3}


def test_exactly_one_of_many_creators_wins(store: ObjectStore) -> None:
    def create(start: threading.Barrier, name: str, data: bytes) -> bool:
        start.wait()
        return store.create(name, data)

    with ThreadPoolExecutor(6) as pool:
        for round_ in range(2):
            start = threading.Barrier(6)
            name = f"race/{round_}"
            offers = [f"writer {n} ".encode() * 2000 for n in range(6)]
            tries = [pool.submit(create, start, name, data) for data in offers]
            won = [data for data, one in zip(offers, tries, strict=True) if one.result()]
            assert won == [store.get(name)]
    assert set(contents(store)) == {f"race/{n}" for n in range(2)}


def test_lists_by_prefix_and_folder(store: ObjectStore) -> None:
    names = ["config", "data/00/0001", "data/00/0002", "data/01/0101", "database/x", "keys/k"]
    for name in names:
        store.put(name, name.encode())
    assert contents(store) == {name: len(name) for name in names}
    assert contents(store, "data/") == {n: len(n) for n in names if n.startswith("data/")}
    assert contents(store, "data/01/") == {"data/01/0101": 12}
    assert contents(store, "nothing/") == {}
    assert sorted(store.list_folders()) == ["data/", "database/", "keys/"]
    assert sorted(store.list_folders("data/")) == ["00/", "01/"]
    assert sorted(store.list_folders("data/00/")) == []
    assert sorted(store.list_folders("nothing/")) == []


def test_names_that_no_object_can_have_are_refused(store: ObjectStore) -> None:
    calls: list[Callable[[str], object]] = [
        *(store.get, store.stat, store.delete),
        lambda name: store.put(name, b""),
        lambda name: store.create(name, b""),
        lambda name: store.get_range(name, 0, 1),
    ]
    for name in ("", "/a", "a/", "a//b", "../a", "a/./b", "a b", "ä", "a\n", "x\0"):
        for call in calls:
            with pytest.raises(BadName):
                call(name)


def test_prefixes_are_folders(store: ObjectStore) -> None:
    for prefix in ("data", "/", "../", "a//"):
        with pytest.raises(BadName):
            list(store.list(prefix))
        with pytest.raises(BadName):
            list(store.list_folders(prefix))


def test_the_clock_is_near_ours(store: ObjectStore) -> None:
    store.put("x", b"")
    assert abs(store.clock() - time.time()) < 5
    assert contents(store) == {"x": 0}


def test_the_url_tells_where(store: ObjectStore) -> None:
    assert store.url
    assert not store.url.endswith("/")


def test_many_threads_share_one_store(store: ObjectStore) -> None:
    def work(n: int) -> bool:
        name, data = f"t/{n}", bytes([n]) * 5000
        store.put(name, data)
        return store.get(name) == data and store.get_range(name, 10, 10) == data[:10]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert len(contents(store, "t/")) == 40


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(objects=st.dictionaries(NAMES, st.binary(max_size=300), max_size=4))
def test_it_behaves_as_a_map(store: ObjectStore, objects: dict[str, bytes]) -> None:
    top = secrets.token_hex(6) + "/"
    # a file system can't hold an object `a` beside an object `a/b`
    kept = {n: d for n, d in objects.items() if not any(o.startswith(n + "/") for o in objects)}
    for name, data in kept.items():
        store.put(top + name, data)
    assert contents(store, top) == {top + name: len(data) for name, data in kept.items()}
    for name, data in kept.items():
        assert store.get(top + name) == data
    folders = {name.split("/", 1)[0] + "/" for name in kept if "/" in name}
    assert set(store.list_folders(top)) == folders
    for name in kept:
        store.delete(top + name)
    assert contents(store, top) == {}
