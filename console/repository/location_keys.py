"""Location keys: the 32 random bytes from which a location's passwords come, and their kits.

From the key and a repository's salt comes that repository's password; workers
get the password, never the key. A location is usable once its key was saved in
a recovery kit and read back. The markers are part of this module's face.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from console.repository.markers import (
    MARKER,
    SALT_BYTES,
    BadMarker,
    LocationMarker,
    RepositoryMarker,
    find_repositories,
    repository_path,
    salt_of_username,
)
from console.repository.recovery_kits import BadKit, kit_text, secret_in_kit
from console.storage.durable import create_file

if TYPE_CHECKING:
    import os

__all__ = [
    "KEY_BYTES",
    "MARKER",
    "SALT_BYTES",
    "BadKit",
    "BadMarker",
    "LocationKey",
    "LocationMarker",
    "RepositoryMarker",
    "find_repositories",
    "read_kit",
    "repository_path",
    "salt_of_username",
    "write_kit",
]

KEY_BYTES = 32
_LONGEST_KIT = 65536


class LocationKey:
    """The 32 bytes that a location's passwords come from. Compared in constant time."""

    __slots__ = ("secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a location key has {KEY_BYTES} bytes, not {len(secret)}")
        self.secret = bytes(secret)

    @classmethod
    def generate(cls) -> LocationKey:
        """A new key from the system's randomness."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @property
    def id(self) -> str:
        """A short public name: 12 hex digits that tell nothing about the key."""
        return self._derived(b"", "kubehaven/location/id/v1", 6).hex()

    @property
    def check(self) -> str:
        """32 hex digits by which a key proves to be a location's own."""
        return self._derived(b"", "kubehaven/location/check/v1", 16).hex()

    def password(self, salt: bytes) -> bytes:
        """The password of the repository with this salt: 64 hex digits, as `restic` reads them.

        HKDF-SHA256(location key, salt, "kubehaven/repository/v1").
        """
        if len(salt) != SALT_BYTES:
            raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
        return self._derived(salt, "kubehaven/repository/v1", 32).hex().encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocationKey) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"LocationKey(id={self.id!r})"

    def _derived(self, salt: bytes, info: str, length: int) -> bytes:
        kdf = HKDF(algorithm=SHA256(), length=length, salt=salt, info=info.encode())
        return kdf.derive(self.secret)


def write_kit(path: str | os.PathLike[str], key: LocationKey, *, location: str, url: str) -> None:
    """Save a key in a new file (mode 0600), durably, and read it back.

    Raises:
        BadKit: The file exists, can't be written, or does not read back.
    """
    path = Path(path)
    text = kit_text(key.secret, key_id=key.id, location=location, url=url)
    try:
        created = create_file(path.absolute(), text.encode())
    except OSError as error:
        message = f"{path} can't be written: {error.strerror or type(error).__name__}"
        raise BadKit(message, subject=str(path)) from error
    if not created:
        hint = "Choose another file: a recovery kit is never overwritten."
        raise BadKit(f"{path} exists already", subject=str(path), hint=hint)
    if read_kit(path) != key:
        raise BadKit(f"{path} does not read back as it was written", subject=str(path))


def read_kit(path: str | os.PathLike[str]) -> LocationKey:
    """The key in a recovery kit; text around its five lines does not matter.

    Raises:
        BadKit: The file can't be read, a row is missing, twice there, or has a typo.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_KIT).decode("utf-8-sig", errors="replace")
    except OSError as error:
        message = f"{path} can't be read: {error.strerror or type(error).__name__}"
        raise BadKit(message, subject=str(path)) from error
    return LocationKey(secret_in_kit(text, str(path)))
