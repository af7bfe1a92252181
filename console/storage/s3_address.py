"""restic's way to name an S3 bucket: `s3:https://host:port/bucket/prefix`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from console.storage.errors import Unusable
from console.storage.names import is_object_name

HINT = "Write s3:https://host:port/bucket or s3:https://host:port/bucket/prefix."

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_AMAZON = re.compile(r"s3(?:[.-](?:dualstack\.)?([a-z0-9-]+))?\.amazonaws\.com(?:\.cn)?")
_TENCENT = re.compile(r"cos\.([a-z0-9-]+)\.myqcloud\.com")


@dataclass(frozen=True)
class S3Address:
    """A bucket at an endpoint, and the prefix in it."""

    endpoint: str  # http[s]://host[:port]
    bucket: str
    prefix: str = ""  # "" or "a/b/"

    @property
    def url(self) -> str:
        """Restic's form, without a `/` at the end."""
        return f"s3:{self.endpoint}/{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def host(self) -> str:
        """The endpoint's host name."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def region(self) -> str:
        """The region that the host's name tells, or ''."""
        match = _AMAZON.fullmatch(self.host) or _TENCENT.fullmatch(self.host)
        return (match[1] or "") if match else ""

    @property
    def is_amazon(self) -> bool:
        """Whether this is Amazon's own service."""
        return _AMAZON.fullmatch(self.host) is not None

    @property
    def wants_bucket_in_host(self) -> bool:
        """Whether this provider wants `bucket.host` rather than `host/bucket`."""
        return self.is_amazon or _TENCENT.fullmatch(self.host) is not None


def parse_s3_url(url: str) -> S3Address:
    """The address that `s3:…` stands for; without a scheme it is https.

    Raises:
        Unusable: It is no such URL, or holds a credential (then it is not repeated).
    """
    rest = url.removeprefix("s3:").removeprefix("//")
    split = _split(rest if "://" in rest else f"https://{rest}")
    bucket, _, prefix = split.path.strip("/").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise Unusable(f"{url!r} names no bucket", subject="url", hint=HINT)
    if prefix and not is_object_name(prefix):
        raise Unusable(f"{prefix!r} can't be a prefix", subject="url", hint=HINT)
    return S3Address(f"{split.scheme}://{split.netloc}", bucket, f"{prefix}/" if prefix else "")


def _split(text: str) -> SplitResult:
    try:
        split = urlsplit(text)
        is_server = bool(split.hostname) and split.port != 0 and split.scheme in {"http", "https"}
    except ValueError:
        raise Unusable("the S3 URL's host or port is wrong", subject="url", hint=HINT) from None
    if split.username is not None or split.password is not None:
        hint = "Give the access key as a credential, apart from the URL."
        raise Unusable("the S3 URL holds a credential", subject="url", hint=hint)
    if not is_server or split.query or split.fragment:
        raise Unusable("the S3 URL names no HTTP server, or holds ? or #", hint=HINT)
    return split
