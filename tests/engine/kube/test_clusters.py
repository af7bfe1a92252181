"""The list of clusters: kept whole, never a copy, and nothing untrusted is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine import errors
from console.engine.kube import (
    ClusterBook,
    ClusterEntry,
    programs,
    read_kubeconfig,
    trust_digest,
    trusted_access,
)
from tests.engine.kube.kubeconfigs import kubeconfig, write

if TYPE_CHECKING:
    from pathlib import Path


def entry(name: str, **more: str) -> ClusterEntry:
    return ClusterEntry(name=name, kubeconfig="/k/config", context="c", **more)


def test_added_kept_in_order_changed_removed(tmp_path: Path) -> None:
    book = ClusterBook(tmp_path / "new")
    assert book.list() == ()
    for name in ("b", "a", "c"):
        book.add(entry(name))
    assert [one.name for one in ClusterBook(tmp_path / "new").list()] == ["b", "a", "c"]
    book.update(entry("a", color="#f00"))
    assert book.get("a").color == "#f00"
    book.forget("b")
    assert [one.name for one in book.list()] == ["a", "c"]


def test_the_file_is_private_readable_json(tmp_path: Path) -> None:
    ClusterBook(tmp_path).add(entry("a"))
    file = tmp_path / "clusters.json"
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text()) == {
        "version": 1,
        "clusters": [{"name": "a", "kubeconfig": "/k/config", "context": "c"}],
    }
    assert [one.name for one in tmp_path.iterdir()] == ["clusters.json"]


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "x" * 64, "ü"])
def test_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.EngineError) as caught:
        ClusterBook(tmp_path).add(entry(name))
    assert caught.value.code == "cluster.name"


def test_a_name_is_taken_once_and_unknown_ones_are_said(tmp_path: Path) -> None:
    book = ClusterBook(tmp_path)
    book.add(entry("a"))
    with pytest.raises(errors.EngineError, match="already"):
        book.add(entry("a"))
    with pytest.raises(errors.EngineError) as caught:
        book.forget("b")
    assert caught.value.code == "cluster.unknown"
    assert caught.value.hint == "known: a"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 1, "clusters": [{}]}', b"\xff"]
)
def test_a_damaged_file_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clusters.json").write_bytes(content)
    book = ClusterBook(tmp_path)
    with pytest.raises(errors.EngineError, match="kept as") as caught:
        book.list()
    assert caught.value.code == "clusters.damaged"
    assert (tmp_path / "clusters.json.damaged-1").read_bytes() == content
    book.add(entry("a"))
    assert len(book.list()) == 1


def test_a_newer_file_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "clusters.json").write_text('{"version": 2, "shape": "other"}')
    with pytest.raises(errors.EngineError) as caught:
        ClusterBook(tmp_path).list()
    assert caught.value.code == "clusters.newer"
    assert (tmp_path / "clusters.json").exists()


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "clusters.json").mkdir()
    with pytest.raises(errors.EngineError) as caught:
        ClusterBook(tmp_path).list()
    assert caught.value.code == "clusters.unreadable"


def test_programs_are_used_only_when_exactly_they_were_trusted(tmp_path: Path) -> None:
    program = tmp_path / "sign-in"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    exec_block = {"command": "./sign-in", "args": ["--now"], "env": [{"name": "K", "value": "v1"}]}
    path = write(tmp_path, kubeconfig(user={"exec": exec_block, "tokenFile": "token"}))
    one = ClusterEntry(name="a", kubeconfig=str(path), context="shop")
    with pytest.raises(errors.UntrustedPrograms) as caught:
        trusted_access(one)
    assert caught.value.items == (
        f"program: {program} --now (sets K)",
        f"tokenFile: {tmp_path / 'token'}",
    )
    trusted = msgspec.structs.replace(one, trusted=trust_digest(read_kubeconfig(path)))
    assert trusted_access(trusted).program is not None
    program.write_text("#!/bin/sh\nrm -rf /\n")
    with pytest.raises(errors.UntrustedPrograms, match="changed"):
        trusted_access(trusted)


def test_where_files_would_be_sent_is_part_of_the_trust(tmp_path: Path) -> None:
    def digest(server: str) -> str:
        text = kubeconfig(cluster={"server": server}, user={"tokenFile": "/t"})
        return trust_digest(read_kubeconfig(write(tmp_path, text)))

    assert digest("https://a") != digest("https://b")
    assert digest("https://a") == digest("https://a")


def test_nothing_named_needs_no_trust(tmp_path: Path) -> None:
    access = read_kubeconfig(write(tmp_path, kubeconfig(user={"token": "t"})))
    assert programs(access) == ()
    assert trust_digest(access) == ""


@given(st.binary(max_size=200))
def test_any_content_is_a_list_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("book")
    (folder / "clusters.json").write_bytes(content)
    try:
        ClusterBook(folder).list()
    except errors.EngineError as error:
        assert error.code in {"clusters.damaged", "clusters.newer"}  # noqa: PT017 - no error is fine too
