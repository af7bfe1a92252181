"""The two markers that make a location explain itself. Neither holds a secret.

`kubehaven.json` at a location's root says which key belongs to it;
`kubehaven.json` beside a repository holds its salt and whose it is.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

import msgspec

from console.repository.errors import RepositoryError, UnsupportedVersion
from console.storage import NoSuchObject, below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from console.repository.location_keys import LocationKey
    from console.storage import ObjectStore

MARKER = "kubehaven.json"
SALT_BYTES = 32
VERSION = 1

_LOCATION = "kubehaven-location"
_REPOSITORY = "kubehaven-repository"
_SALT_IN_USERNAME = re.compile(r"kubehaven-([0-9a-f]{64})")
_LONGEST_NAME = 200


class BadMarker(RepositoryError):
    """A `kubehaven.json` is not one of ours, or is damaged."""

    code = "location.marker"


class LocationMarker(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`<prefix>/kubehaven.json`: which key is a location's."""

    format: str = _LOCATION
    version: int = VERSION
    key_id: str
    check: str

    @classmethod
    def of(cls, key: LocationKey) -> LocationMarker:
        """The marker of a key's location."""
        return cls(key_id=key.id, check=key.check)

    def matches(self, key: LocationKey) -> bool:
        """Whether this is the location's key."""
        return hmac.compare_digest(self.check.encode(), key.check.encode())

    def encode(self) -> bytes:
        """JSON; the same marker gives the same bytes."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"

    @classmethod
    def decode(cls, data: bytes, *, where: str = MARKER) -> LocationMarker:
        """Read a marker.

        Raises:
            BadMarker: It is none.
            UnsupportedVersion: A newer Kubehaven wrote it.
        """
        return _decoded(data, cls, _LOCATION, where)


class RepositoryMarker(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`<repository>/kubehaven.json`: a repository's salt, and whose it is."""

    format: str = _REPOSITORY
    version: int = VERSION
    salt: bytes  # 32; base64 in JSON
    cluster_uid: str = msgspec.field(name="clusterUID")
    application: str  # `<namespace>[~<selection>]`
    namespace_uid: str = msgspec.field(default="", name="namespaceUID")
    created_at: str = ""  # RFC 3339, UTC

    @classmethod
    def new(
        cls, cluster_uid: str, application: str, *, namespace_uid: str = "", created_at: str = ""
    ) -> RepositoryMarker:
        """A marker with a fresh salt."""
        return cls(
            salt=secrets.token_bytes(SALT_BYTES),
            cluster_uid=cluster_uid,
            application=application,
            namespace_uid=namespace_uid,
            created_at=created_at,
        )

    @property
    def username(self) -> str:
        """The `username` of the repository's key file: with it a lost marker loses nothing."""
        return f"kubehaven-{self.salt.hex()}"

    def encode(self) -> bytes:
        """JSON; the same marker gives the same bytes."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"

    @classmethod
    def decode(cls, data: bytes, *, where: str = MARKER) -> RepositoryMarker:
        """Read a marker.

        Raises:
            BadMarker: It is none.
            UnsupportedVersion: A newer Kubehaven wrote it.
        """
        marker = _decoded(data, cls, _REPOSITORY, where)
        if len(marker.salt) != SALT_BYTES:
            raise BadMarker(f"{where}: the salt has {len(marker.salt)} bytes", subject=where)
        return marker


def salt_of_username(username: str) -> bytes | None:
    """The salt that a key file's `username` carries; None when it carries none."""
    match = _SALT_IN_USERNAME.fullmatch(username)
    return bytes.fromhex(match[1]) if match else None


def repository_path(cluster_uid: str, namespace: str, selection: str = "") -> str:
    """Where an application's repository lies: `<cluster uid>/<namespace>[~<selection>]`.

    Args:
        selection: A label selection; what a store's name can't hold, or is over
            200 bytes, is replaced, and a hash of the whole put behind it.
    """
    return f"{cluster_uid}/{namespace}" + (f"~{_named(selection)}" if selection else "")


def find_repositories(
    store: ObjectStore, *, damaged: Callable[[str, RepositoryError], None] | None = None
) -> Iterator[tuple[str, RepositoryMarker]]:
    """The repositories of a location: path (no `/` at its end) and marker.

    Args:
        damaged: Told the path and error of each marker that can't be read; None raises.
    """
    for cluster in store.list_folders():
        for application in store.list_folders(cluster):
            path = f"{cluster}{application}".rstrip("/")
            try:
                data = below(store, f"{path}/").get(MARKER)
                marker = RepositoryMarker.decode(data, where=f"{path}/{MARKER}")
            except NoSuchObject:
                continue
            except RepositoryError as error:
                if damaged is None:
                    raise
                damaged(path, error)
            else:
                yield path, marker


_Marker = TypeVar("_Marker", LocationMarker, RepositoryMarker)


class _Head(msgspec.Struct):
    format: str = ""
    version: int = 0


def _decoded(data: bytes, kind: type[_Marker], format_name: str, where: str) -> _Marker:
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format == format_name and head.version > VERSION:
            message = f"{where} has version {head.version}; this program reads {VERSION}"
            raise UnsupportedVersion(message, subject=where, hint="Use a newer Kubehaven.")
        marker = msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise BadMarker(f"{where} can't be read: {error}", subject=where) from error
    if marker.format != format_name or marker.version != VERSION:
        hint = "Is this the right location and prefix?"
        message = f"{where} is no {format_name} marker of version {VERSION}"
        raise BadMarker(message, subject=where, hint=hint)
    return marker


def _named(selection: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", selection)
    if plain == selection and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[: _LONGEST_NAME - 13]}-{sha256(selection.encode()).hexdigest()[:12]}"
