"""What S3 servers, and the way to them, can do wrong: a clear error with a hint, nothing lost."""

from __future__ import annotations

import datetime
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from console.storage import (
    AccessDenied,
    Credentials,
    NoSuchObject,
    NoSuchStore,
    ObjectStore,
    OutOfSpace,
    ReadOnly,
    ShortRead,
    StoreError,
    Unavailable,
    open_store,
)
from tests.fakes.scripted_http import Answer, Request, s3_error, scripted_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.weed import S3Server

SOMEBODY = Credentials("AKID", "sesame-open")


def opened(url: str, credentials: Credentials = SOMEBODY) -> ObjectStore:
    return open_store(url, credentials=credentials, patience_s=0)


def every_call(store: ObjectStore) -> list[Callable[[], object]]:
    return [
        lambda: store.get("a"),
        lambda: store.get_range("a", 0, 1),
        lambda: store.stat("a"),
        lambda: store.put("a", b""),
        lambda: store.create("a", b""),
        lambda: list(store.list()),
        lambda: list(store.list_folders()),
    ]


def errors_of(store: ObjectStore) -> list[StoreError]:
    caught = []
    for call in every_call(store):
        with pytest.raises(StoreError) as one:
            call()
        caught.append(one.value)
    store.close()
    return caught


def test_a_wrong_key_is_denied(s3_server: S3Server) -> None:
    url = s3_server.new_url()
    for wrong in (
        Credentials("nobody", s3_server.secret_key),
        Credentials(s3_server.access_key, "wrong-secret"),
    ):
        for error in errors_of(opened(url, wrong)):
            assert isinstance(error, AccessDenied)
            assert "access key" in error.hint
            assert wrong.secret_access_key not in f"{error} {error!r} {error.hint} {error.subject}"


def test_a_wrong_bucket_is_no_missing_object(s3_server: S3Server) -> None:
    url = f"s3:{s3_server.endpoint}/no-such-bucket-{secrets.token_hex(4)}"
    for error in errors_of(opened(url, s3_server.credentials)):
        assert isinstance(error, NoSuchStore)
        assert "bucket" in error.hint
    with pytest.raises(NoSuchStore):
        opened(url, s3_server.credentials).clock()


def test_nobody_at_the_endpoint_is_unavailable() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"s3:http://127.0.0.1:{held.getsockname()[1]}/bucket"
        for error in errors_of(opened(url)):
            assert isinstance(error, Unavailable)
            assert error.retryable
            assert "endpoint" in error.hint


@pytest.mark.parametrize("status", [200, 301, 400, 404, 405])
def test_a_web_site_is_no_s3(status: int) -> None:
    page = Answer(status, b"<html><body>Welcome!<br></body></html>", {"Content-Type": "text/html"})
    with scripted_server(lambda _: page) as endpoint:
        store = opened(f"s3:{endpoint}/bucket")
        for call in (lambda: list(store.list()), lambda: list(store.list_folders())):
            with pytest.raises((NoSuchStore, Unavailable)) as caught:
                call()
            assert "endpoint" in caught.value.hint
        store.close()


def test_a_wrong_clock_is_told(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*, remove_tzinfo: bool = True) -> datetime.datetime:
        now = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=3)
        return now.replace(tzinfo=None) if remove_tzinfo else now

    url = s3_server.new_url()
    monkeypatch.setattr("botocore.auth.get_current_datetime", late)
    for error in errors_of(opened(url, s3_server.credentials)):
        assert isinstance(error, AccessDenied)
        assert "clock" in error.hint


@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        (s3_error(403, "RequestTimeTooSkewed"), AccessDenied, "clock"),
        (s3_error(403, "ExpiredToken"), AccessDenied, "expired"),
        (s3_error(400, "ExpiredToken"), AccessDenied, "expired"),
        (s3_error(403, "AccessDenied"), AccessDenied, "policy"),
        (
            s3_error(400, "AuthorizationHeaderMalformed", Region="eu-west-9"),
            NoSuchStore,
            "eu-west-9",
        ),
        (s3_error(301, "PermanentRedirect"), NoSuchStore, "region"),
        (s3_error(404, "NoSuchBucket"), NoSuchStore, "bucket"),
        (s3_error(500, "InternalError"), Unavailable, "repeated"),
        (s3_error(503, "SlowDown"), Unavailable, "busy"),
        (Answer(502, b"<html>bad gateway"), Unavailable, "busy"),
        (s3_error(429, "TooManyRequests"), Unavailable, "busy"),
        (s3_error(507, "InsufficientStorage"), OutOfSpace, "room"),
        (s3_error(403, "QuotaExceeded"), OutOfSpace, "quota"),
    ],
)
def test_what_servers_say_has_its_error(answer: Answer, kind: type[StoreError], hint: str) -> None:
    with scripted_server(lambda _: answer) as endpoint:
        for error in errors_of(opened(f"s3:{endpoint}/bucket")):
            assert type(error) is kind
            assert hint in error.hint
            assert error.retryable == (kind is Unavailable)
            assert error.__cause__ is not None


def test_an_answer_cut_short_can_be_repeated() -> None:
    page = b"<ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount></ListBucketResult>"
    tries: list[Request] = []

    def flaky(request: Request) -> Answer:
        tries.append(request)
        whole = page if "list-type" in request.path else b"all of it"
        missing = 0 if len(tries) % 2 == 0 else 5
        return Answer(200, whole[: len(whole) - missing], missing=missing)

    with scripted_server(flaky) as endpoint:
        store = opened(f"s3:{endpoint}/bucket")
        calls: list[Callable[[], bytes]] = [
            lambda: store.get("a"),
            lambda: store.get_range("a", 0, 9),
        ]
        for call in calls:
            with pytest.raises(Unavailable):
                call()
            assert call() == b"all of it"
        with pytest.raises(Unavailable):
            list(store.list())
        assert list(store.list()) == []
        store.close()


def test_a_server_that_ignores_ranges_is_caught() -> None:
    with scripted_server(lambda _: Answer(200, b"the whole object")) as endpoint:
        store = opened(f"s3:{endpoint}/bucket")
        with pytest.raises(ShortRead):
            store.get_range("a", 4, 5)
        store.close()


def test_transient_errors_are_repeated_within_patience() -> None:
    tries: list[str] = []

    def busy_twice(request: Request) -> Answer:
        tries.append(request.method)
        return s3_error(503, "SlowDown") if len(tries) < 3 else Answer(200, b"at last")

    with scripted_server(busy_twice) as endpoint:
        store = open_store(f"s3:{endpoint}/bucket", credentials=SOMEBODY, patience_s=20)
        assert store.get("a") == b"at last"
        assert tries == ["GET"] * 3
        store.close()


class Bucket:
    """A bucket that can ignore or refuse conditional writes."""

    def __init__(self, on_condition: Answer | None) -> None:
        self.on_condition = on_condition  # None: ignored
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self.lock:
            return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        key = request.path.split("?")[0].removeprefix("/bucket").lstrip("/")
        if request.method == "PUT":
            if "if-none-match" in request.headers and self.on_condition:
                return self.on_condition
            self.objects[key] = request.body
            return Answer()
        if request.method == "DELETE":
            self.objects.pop(key, None)
            return Answer(204)
        if not key:
            return self._listed(request.path.split("prefix=")[1].split("&")[0].replace("%2F", "/"))
        if key not in self.objects:
            return Answer(404) if request.method == "HEAD" else s3_error(404, "NoSuchKey")
        return Answer(200, self.objects[key])

    def _listed(self, prefix: str) -> Answer:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        items = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(data)}</Size>"
            f"<LastModified>{now}</LastModified></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return Answer(200, f"<ListBucketResult><Name>b</Name>{items}</ListBucketResult>".encode())


@pytest.mark.parametrize(
    "on_condition", [None, s3_error(501, "NotImplemented"), s3_error(400, "InvalidArgument")]
)
def test_create_is_exact_where_conditions_are_unknown(on_condition: Answer | None) -> None:
    bucket = Bucket(on_condition)
    start = threading.Barrier(4)

    def create(data: bytes) -> bool:
        store = open_store(f"s3:{endpoint}/bucket/p", credentials=SOMEBODY, patience_s=30)
        start.wait()
        created = store.create("config", data)
        store.close()
        return created

    with scripted_server(bucket) as endpoint, ThreadPoolExecutor(4) as pool:
        offers = [b"one", b"two", b"three", b"four"]
        won = [data for data, ok in zip(offers, pool.map(create, offers), strict=True) if ok]
    assert won == [bucket.objects.pop("p/config")]
    assert not bucket.objects


def test_a_lost_answer_to_create_is_no_defeat(s3_server: S3Server) -> None:
    """The write arrives, its answer does not: the repeated call finds its own object."""
    bucket = Bucket(None)
    lost: list[bool] = []

    def losing(request: Request) -> Answer:
        known = request.path.endswith("config") and request.path[8:] in bucket.objects
        if request.method == "PUT" and "if-none-match" in request.headers:
            if known or ("probe" in request.path and request.path[8:] in bucket.objects):
                return s3_error(412, "PreconditionFailed")
            bucket(request)
            if request.path.endswith("config") and not lost:
                lost.append(True)
                return s3_error(500, "InternalError")
            return Answer()
        return bucket(request)

    with scripted_server(losing) as endpoint:
        store = open_store(f"s3:{endpoint}/bucket", credentials=SOMEBODY, patience_s=20)
        assert store.create("config", b"mine") is True
        assert store.create("config", b"mine too") is False
        assert lost
        assert bucket.objects["config"] == b"mine"
        store.close()


def test_read_only_sends_nothing() -> None:
    sent: list[Request] = []

    def note(request: Request) -> Answer:
        sent.append(request)
        return Answer(404)

    with scripted_server(note) as endpoint:
        store = open_store(f"s3:{endpoint}/bucket", credentials=SOMEBODY, read_only=True)
        for call in (
            lambda: store.put("a", b""),
            lambda: store.create("a", b""),
            lambda: store.delete("a"),
        ):
            with pytest.raises(ReadOnly):
                call()
        assert not sent
        store.close()


def test_many_pages_are_listed(s3_server: S3Server) -> None:
    store = opened(s3_server.new_url("p"), s3_server.credentials)
    names = {f"data/{n % 256:02x}/{n:04}" for n in range(1100)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.put(name, b"x"), names))
    assert {info.name for info in store.list()} == names
    assert len(set(store.list_folders("data/"))) == 256
    store.close()


def test_what_is_not_ours_is_not_listed(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    outer = opened(f"s3:{s3_server.endpoint}/{bucket}", s3_server.credentials)
    inner = opened(f"s3:{s3_server.endpoint}/{bucket}/p", s3_server.credentials)
    outer.put("p-other/x", b"")
    inner.put("x", b"")
    client = inner._inner._client  # type: ignore[attr-defined]  # keys that our names don't allow
    for key in ("p/a b", "p/notes (1).txt", "p/.kubehaven-tmp-claim-x-1", "p/ä/x"):
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    assert [info.name for info in inner.list()] == ["x"]
    assert list(inner.list_folders()) == []
    with pytest.raises(NoSuchObject):
        inner.get("y")
    outer.close()
    inner.close()
