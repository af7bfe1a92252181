"""A store in an S3 bucket, by boto3.

One client is shared by all threads (clients may be, sessions may not: each
store makes its own). The SDK does not retry: `RetryingStore` does.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.storage.errors import (
    NoSuchObject,
    NoSuchStore,
    ShortRead,
    StoreError,
    Unavailable,
    Unusable,
)
from console.storage.names import TEMPORARY, checked_name, checked_prefix, is_object_name
from console.storage.protocol import ObjectInfo
from console.storage.s3_claims import CLAIM_LIFE_S, create_by_claim
from console.storage.s3_client import CaFile, S3Settings, new_client
from console.storage.s3_errors import ENDPOINT_HINT, SDK_ERRORS, code_of, status_of, translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.storage.credentials import Credentials
    from console.storage.s3_address import S3Address
    from console.storage.s3_errors import AnySdkError

_PLAIN = S3Settings()
_NO_CONDITIONS = {"NotImplemented", "InvalidArgument", "InvalidRequest", "MalformedHeader"}


class S3Store:
    """Objects below a prefix of a bucket."""

    def __init__(
        self,
        address: S3Address,
        credentials: Credentials | None = None,
        settings: S3Settings = _PLAIN,
    ) -> None:
        """Make the client; nothing is sent yet.

        Args:
            credentials: None takes what the SDK finds: environment, profile,
                workload identity, instance role.

        Raises:
            StoreError: A setting can't be used.
        """
        self._address = address
        self._bucket = address.bucket
        self._bucket_seen = False
        self._conditional: bool | None = None
        self._claim_id = secrets.token_hex(8)
        self._claiming = threading.Lock()
        self._ca_file = CaFile(settings.ca_bundle)
        try:
            self._client = new_client(address, credentials, settings, self._ca_file.path)
        except (*SDK_ERRORS, ValueError, Unusable) as error:
            self._ca_file.remove()
            if isinstance(error, Unusable):
                raise
            raise Unusable(f"{address.url}: {error}", subject=address.url) from error

    @property
    def url(self) -> str:
        """`s3:<endpoint>/<bucket>[/<prefix>]`."""
        return self._address.url

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Store an object whole."""
        key = self._key(name)
        with self._told(name):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=bytes(data))

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does.

        By `If-None-Match: *` where a probe shows that the store honours it
        (some take it and ignore it), else by claims.
        """
        key = self._key(name)
        if self._exists(name):
            return False
        with self._told(name):
            if self._conditional is None:
                self._conditional = self._honours_conditions()
            if self._conditional:
                return self._put_if_absent(key, bytes(data))
        with self._claiming:
            return create_by_claim(_S3Claims(self, name), lambda: self.put(name, data))

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""
        key = self._key(name)
        with self._told(name):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        key = self._key(name)
        if length == 0:
            return b""
        span = f"bytes={offset}-{offset + length - 1}"
        with self._told(name):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, Range=span)
            data = answer["Body"].read()
        if len(data) != length:
            message = f"{name} gave {len(data)} of {length} bytes from {offset}"
            raise ShortRead(message, subject=name)
        return data

    def stat(self, name: str) -> ObjectInfo:
        """Name and size."""
        key = self._key(name)
        with self._told(name):
            head = self._client.head_object(Bucket=self._bucket, Key=key)
            return ObjectInfo(name, head["ContentLength"])

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix, a page (1000) at a time."""
        cut = len(self._address.prefix)
        for page in self._pages(checked_prefix(prefix)):
            for item in page.get("Contents", ()):
                if is_object_name(name := item["Key"][cut:]):
                    yield ObjectInfo(name, item["Size"])

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix."""
        cut = len(self._address.prefix) + len(prefix)
        for page in self._pages(checked_prefix(prefix), delimiter="/"):
            for item in page.get("CommonPrefixes", ()):
                if is_object_name((name := item["Prefix"][cut:])[:-1]):
                    yield name

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        with suppress(NoSuchObject):
            self._delete_key(self._key(name))

    def clock(self) -> float:
        """The `Date` of an answer; also of one that says no."""
        with self._told(""):
            try:
                answer: Any = self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if status_of(error) != 403:
                    raise
                answer = error.response
        return _date_of(answer, self.url)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._ca_file.remove()

    def _key(self, name: str) -> str:
        return self._address.prefix + checked_name(name)

    def _exists(self, name: str) -> bool:
        try:
            self.stat(name)
        except NoSuchObject:
            return False
        return True

    def _delete_key(self, key: str) -> None:
        with self._told(key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _pages(self, prefix: str, *, delimiter: str = "") -> Iterator[Any]:
        more: dict[str, Any] = {"Delimiter": delimiter} if delimiter else {}
        while True:
            with self._told(""):
                page = self._client.list_objects_v2(
                    Bucket=self._bucket,
                    Prefix=self._address.prefix + prefix,
                    **more,
                )
            if "Name" not in page and "KeyCount" not in page:
                message = f"{self.url}: the answer is no list of objects"
                raise NoSuchStore(message, subject=self.url, hint=ENDPOINT_HINT)
            yield page
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def _put_if_absent(self, key: str, data: bytes) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if status_of(error) == 412:
                return False
            raise
        return True

    def _honours_conditions(self) -> bool:
        probe = f"{self._address.prefix}{TEMPORARY}probe-{secrets.token_hex(8)}"
        try:
            self._put_if_absent(probe, b"")
            honours = not self._put_if_absent(probe, b"")
        except ClientError as error:
            if status_of(error) != 501 and code_of(error) not in _NO_CONDITIONS:
                raise
            return False
        with suppress(StoreError):  # a key that may not delete leaves an empty object
            self._delete_key(probe)
        return honours

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Raise what the SDK raises as a `StoreError`."""
        try:
            yield
        except SDK_ERRORS as error:
            told = self._explained(error)
            raise translated(told, self._address, name if told is error else "") from error
        self._bucket_seen = True

    def _explained(self, error: AnySdkError) -> AnySdkError:
        """A better error where the answer had no body to say why: those to HEAD."""
        if not isinstance(error, ClientError) or code_of(error) not in {"400", "403", "404"}:
            return error
        if code_of(error) == "404" and self._bucket_seen:
            return error
        try:
            self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
        except ClientError as told:
            return told
        except SDK_ERRORS:
            return error
        return error


class _S3Claims:
    """The claims beside a name: `<folder>/.kubehaven-tmp-claim-<last part>-<id of the store>`."""

    def __init__(self, store: S3Store, name: str) -> None:
        self._store = store
        self._name = name
        key = store._key(name)
        folder, _, last = key.rpartition("/")
        self._prefix = f"{folder}/{TEMPORARY}claim-{last}-".lstrip("/")
        self._own = self._prefix + store._claim_id

    def is_taken(self) -> bool:
        return self._store._exists(self._name)

    def write(self) -> None:
        with self._store._told(self._own):
            self._store._client.put_object(Bucket=self._store._bucket, Key=self._own, Body=b"")

    def rivals(self) -> int:
        with self._store._told(self._own):
            page = self._store._client.list_objects_v2(
                Bucket=self._store._bucket, Prefix=self._prefix
            )
        oldest = _date_of(page, self._store.url) - CLAIM_LIFE_S
        return sum(
            item["Key"] != self._own and item["LastModified"].timestamp() > oldest
            for item in page.get("Contents", ())
        )

    def withdraw(self) -> None:
        self._store._delete_key(self._own)


def _date_of(answer: Any, url: str) -> float:
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError) as error:
        raise Unavailable(f"{url}: the answer has no valid Date", subject=url) from error
