"""Object stores behind one protocol: s3, files, memory, and the wrappers retrying and readonly."""

from __future__ import annotations

import re

from console.storage.below import below
from console.storage.credentials import (
    Credentials,
    credentials_from_environment,
    credentials_from_file,
    credentials_from_folder,
)
from console.storage.errors import (
    AccessDenied,
    BadCredentials,
    BadName,
    Damaged,
    NoSuchObject,
    NoSuchStore,
    OutOfSpace,
    ReadOnly,
    ShortRead,
    StoreError,
    Unavailable,
    Untrusted,
    Unusable,
)
from console.storage.files import FileStore
from console.storage.memory import MemoryStore
from console.storage.protocol import ObjectInfo, ObjectStore
from console.storage.readonly import ReadOnlyStore
from console.storage.retrying import RetryingStore

__all__ = [
    "AccessDenied",
    "BadCredentials",
    "BadName",
    "Credentials",
    "Damaged",
    "FileStore",
    "MemoryStore",
    "NoSuchObject",
    "NoSuchStore",
    "ObjectInfo",
    "ObjectStore",
    "OutOfSpace",
    "ReadOnly",
    "ReadOnlyStore",
    "RetryingStore",
    "ShortRead",
    "StoreError",
    "Unavailable",
    "Untrusted",
    "Unusable",
    "below",
    "credentials_from_environment",
    "credentials_from_file",
    "credentials_from_folder",
    "open_store",
]

PATIENCE_S = 60.0

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters at least: `C:` is a drive


def open_store(
    url: str,
    *,
    credentials: Credentials | None = None,
    region: str = "",
    path_style: bool | None = None,
    skip_tls_verify: bool = False,
    ca_bundle: str = "",
    proxy: str = "",
    read_only: bool = False,
    patience_s: float = PATIENCE_S,
) -> ObjectStore:
    """Open what restic's repository syntax names; nothing is sent or made yet.

    Args:
        url: A folder's path, `local:<path>`, or `s3:http[s]://host[:port]/bucket[/prefix]`.
        credentials: None takes what the SDK finds (environment, workload identity).
        region: "" is what the host's name tells, else us-east-1.
        path_style: None is what this provider wants.
        ca_bundle: The path of a PEM file, or the PEM text itself.
        proxy: "" is what the environment says.
        patience_s: How long calls that may succeed later are repeated; 0 tries once.

    Raises:
        Unusable: The URL or a setting is wrong.
    """
    store: ObjectStore
    if url.startswith("s3:"):
        # boto3 takes a third of a second to import: only who needs it pays
        from console.storage.s3 import S3Store
        from console.storage.s3_address import parse_s3_url
        from console.storage.s3_client import S3Settings

        settings = S3Settings(region, path_style, skip_tls_verify, ca_bundle, proxy)
        store = S3Store(parse_s3_url(url), credentials, settings)
    else:
        store = FileStore(_folder(url))
    if read_only:
        store = ReadOnlyStore(store)
    return RetryingStore(store, patience_s=patience_s)


def _folder(url: str) -> str:
    scheme = _SCHEME.match(url)
    if scheme and scheme[1] != "local":
        hint = "Give a folder's path, or s3:https://host:port/bucket/prefix."
        raise Unusable(f"stores of kind {scheme[1]!r} are not known", subject="url", hint=hint)
    folder = url.removeprefix("local:")
    if not folder:
        raise Unusable("the URL of the store is empty", subject="url")
    return folder
