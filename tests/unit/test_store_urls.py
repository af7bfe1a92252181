"""What `open_store` makes of restic's repository syntax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.storage import (
    Credentials,
    FileStore,
    MemoryStore,
    ReadOnly,
    StoreError,
    Unusable,
    below,
    open_store,
)
from console.storage.s3_address import S3Address, parse_s3_url

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3:http://127.0.0.1:8333/bucket", S3Address("http://127.0.0.1:8333", "bucket")),
        ("s3:https://h/bucket/", S3Address("https://h", "bucket")),
        ("s3:https://h:9/bucket/a/b-c/", S3Address("https://h:9", "bucket", "a/b-c/")),
        ("s3:h/my.bucket/p", S3Address("https://h", "my.bucket", "p/")),
        ("s3://h/bucket", S3Address("https://h", "bucket")),
        ("s3:http://[::1]:8333/bucket", S3Address("http://[::1]:8333", "bucket")),
    ],
)
def test_s3_addresses(url: str, address: S3Address) -> None:
    assert parse_s3_url(url) == address
    assert parse_s3_url(address.url) == address


@pytest.mark.parametrize(
    ("host", "region", "in_host"),
    [
        ("s3.amazonaws.com", "", True),
        ("s3.eu-central-1.amazonaws.com", "eu-central-1", True),
        ("s3.dualstack.us-west-2.amazonaws.com", "us-west-2", True),
        ("s3-eu-west-1.amazonaws.com", "eu-west-1", True),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1", True),
        ("cos.ap-guangzhou.myqcloud.com", "ap-guangzhou", True),
        ("minio.example.com", "", False),
        ("127.0.0.1:9000", "", False),
    ],
)
def test_a_host_tells_region_and_style(host: str, region: str, in_host: bool) -> None:
    address = parse_s3_url(f"s3:https://{host}/bucket")
    assert (address.region, address.wants_bucket_in_host) == (region, in_host)


@pytest.mark.parametrize(
    "url",
    [
        "s3:",
        "s3:https://",
        "s3:https://host",
        "s3:https://host/",
        "s3:https:///bucket",
        "s3:https://host/_",
        "s3:https://host/bucket/../x",
        "s3:https://host/bucket/a//b",
        "s3:https://host/bucket/ä",
        "s3:https://host/bucket?x=1",
        "s3:https://host/bucket#x",
        "s3:https://host:port/bucket",
        "s3:https://host:99999/bucket",
        "s3:ftp://host/bucket",
        "s3:http://[::1/bucket",
        "",
        "local:",
        "sftp:user@host:/x",
        "cos:bucket",
        "https://host/bucket",
    ],
)
def test_what_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(Unusable):
        open_store(url)


def test_a_credential_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(Unusable) as caught:
        open_store("s3:https://AKID:swordfish@host/bucket")
    told = f"{caught.value} {caught.value.subject} {caught.value.hint}"
    assert "swordfish" not in told
    assert caught.value.hint


@given(st.text(max_size=60))
def test_any_s3_url_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_s3_url(f"s3:{text}")
    except Unusable:
        return
    assert parse_s3_url(address.url) == address


def test_paths_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in (str(tmp_path / "r"), "local:r", "r", "./r"):
        store = open_store(url)
        assert store.url == str(tmp_path / "r")
    assert not (tmp_path / "r").exists()  # nothing is made until something is written


def test_read_only_is_passed_on(tmp_path: Path) -> None:
    FileStore(tmp_path).put("a", b"1")
    store = open_store(str(tmp_path), read_only=True)
    assert store.get("a") == b"1"
    with pytest.raises(ReadOnly):
        store.put("b", b"")


def test_s3_opens_without_the_network() -> None:
    store = open_store("s3:https://192.0.2.1/bucket/p", credentials=Credentials("a", "secret"))
    assert store.url == "s3:https://192.0.2.1/bucket/p"
    assert "secret" not in repr(store)
    store.close()


def test_below_nests_and_keeps_to_its_place() -> None:
    outer = MemoryStore()
    inner = below(below(outer, "a/"), "b/c/")
    inner.put("x/y", b"1")
    assert outer.get("a/b/c/x/y") == b"1"
    assert inner.url == "memory:memory/a/b/c"
    assert below(outer, "") is outer
    for name in ("../x", "/x", ""):
        with pytest.raises(StoreError):
            inner.get(name)
    with pytest.raises(StoreError):
        below(outer, "no-slash")
