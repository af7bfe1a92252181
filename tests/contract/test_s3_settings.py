"""How S3 stores are set up: TLS, proxies, where credentials come from; wrong settings are told."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING

import pytest

from console.storage import (
    AccessDenied,
    Credentials,
    NoSuchStore,
    ObjectStore,
    StoreError,
    Unavailable,
    Untrusted,
    Unusable,
    open_store,
)
from tests.fakes.scripted_http import Answer, Request, scripted_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.weed import S3Server

SOMEBODY = Credentials("AKID", "sesame-open")


def opened(url: str, credentials: Credentials = SOMEBODY) -> ObjectStore:
    return open_store(url, credentials=credentials, patience_s=0)


def test_tls_needs_an_authority_we_trust(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    url = f"s3:{s3_server.https_endpoint}/{bucket}"
    with pytest.raises(Untrusted) as caught:
        opened(url, s3_server.credentials).put("a", b"1")
    assert "CA certificate" in caught.value.hint
    assert not caught.value.retryable
    for bundle in (str(s3_server.ca_file), s3_server.ca_file.read_text()):
        store = open_store(url, credentials=s3_server.credentials, ca_bundle=bundle, patience_s=5)
        data = secrets.token_bytes(9_000_000)  # over 8 MiB, where SDKs change their ways
        store.put("big", data)
        assert store.get("big") == data
        assert abs(store.clock() - time.time()) < 5
        store.close()


def test_tls_can_be_left_unchecked(s3_server: S3Server) -> None:
    url = f"s3:{s3_server.https_endpoint}/{s3_server.new_bucket()}"
    store = open_store(url, credentials=s3_server.credentials, skip_tls_verify=True, patience_s=0)
    store.put("a", b"1")
    assert store.get("a") == b"1"
    store.close()


def test_plain_http_to_a_tls_port_is_told(s3_server: S3Server) -> None:
    port = s3_server.https_endpoint.rpartition(":")[2]
    with pytest.raises(StoreError) as caught:
        opened(f"s3:http://127.0.0.1:{port}/bucket").put("a", b"")
    assert "endpoint" in caught.value.hint


def test_tls_to_a_plain_port_is_told(s3_server: S3Server) -> None:
    url = f"s3:{s3_server.endpoint.replace('http:', 'https:')}/bucket"
    with pytest.raises(NoSuchStore) as caught:
        opened(url).get("a")
    assert "http://" in caught.value.hint


def test_settings_that_cant_be_used_are_told_at_once(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "junk").write_text("junk")
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    for bundle in ("/no/such/file", str(tmp_path / "junk"), str(tmp_path), f"{begin}\nx\n{end}"):
        with pytest.raises(Unusable, match="CA bundle"):
            open_store("s3:https://h/bucket", credentials=SOMEBODY, ca_bundle=bundle)
    for proxy in ("not a url", "user:swordfish@host", "ftp://swordfish", "http://h:swordfish"):
        with pytest.raises(Unusable, match="proxy") as caught:
            open_store("s3:https://h/bucket", credentials=SOMEBODY, proxy=proxy)
        assert "swordfish" not in str(caught.value)
    good = s3_server.ca_file.read_text()
    with pytest.raises(Unusable, match="region"):
        open_store("s3:https://h/bucket", credentials=SOMEBODY, region="b d", ca_bundle=good)
    with pytest.raises(Unusable, match="proxy"):
        open_store("s3:https://h/bucket", credentials=SOMEBODY, proxy="x", ca_bundle=good)
    assert [entry.name for entry in tmp_path.iterdir()] == ["junk"]


def test_a_proxy_is_used_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def proxy(request: Request) -> Answer:
        asked.append(request.path)
        return Answer(200, b"by proxy")

    url = "s3:http://s3.example.invalid/bucket"
    with scripted_server(proxy) as endpoint:
        store = open_store(url, credentials=SOMEBODY, proxy=endpoint, patience_s=0)
        assert store.get("a") == b"by proxy"
        store.close()
        monkeypatch.setenv("HTTP_PROXY", endpoint)
        store = opened(url)
        assert store.get("b") == b"by proxy"
        store.close()
        monkeypatch.setenv("NO_PROXY", "s3.example.invalid")
        with pytest.raises(Unavailable):
            opened(url).get("c")
    assert asked == [f"http://s3.example.invalid/bucket/{name}" for name in "ab"]


def test_a_dead_proxy_is_told_without_its_password() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        proxy = f"http://user:swordfish@127.0.0.1:{held.getsockname()[1]}"
        store = open_store(
            "s3:http://s3.example.invalid/bucket", credentials=SOMEBODY, proxy=proxy, patience_s=0
        )
        with pytest.raises(Unavailable) as caught:
            store.get("a")
        assert "proxy" in caught.value.hint
        assert "swordfish" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_the_users_aws_files_have_no_say(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    store = opened(s3_server.new_url(), s3_server.credentials)
    store.put("a", b"1")
    assert store.get("a") == b"1"
    store.close()


def test_without_any_credential_it_is_told(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    store = open_store(s3_server.new_url(), patience_s=0)
    with pytest.raises(AccessDenied, match="redentials") as caught:
        store.get("a")
    assert "access key" in caught.value.hint
    store.close()
