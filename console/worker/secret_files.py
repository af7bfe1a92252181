"""Secrets, as files of one folder. Their content is never logged, nor part of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.storage import Credentials, credentials_from_folder
from console.storage.credentials import ID_FILE
from console.worker.errors import BadSecret

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "password"  # noqa: S105 - a file's name
OBJECTS_KEY = "objects-key"
CA_BUNDLE = "ca.crt"
OBJECTS_KEY_BYTES = 32

_LONGEST = 65536


def read_password(folder: Path) -> bytes:
    """The repository's password; white space around it does not belong to it, as with restic."""
    return _content(folder / PASSWORD).strip() or _refuse(folder / PASSWORD, "is empty")


def read_objects_key(folder: Path) -> bytes:
    """The key of the sealed packs of objects."""
    key = _content(folder / OBJECTS_KEY)
    if len(key) != OBJECTS_KEY_BYTES:
        _refuse(folder / OBJECTS_KEY, f"has {len(key)} bytes, not {OBJECTS_KEY_BYTES}")
    return key


def read_credentials(folder: Path) -> Credentials | None:
    """The access key of the store; None where the place is keyless."""
    return credentials_from_folder(folder) if (folder / ID_FILE).exists() else None


def ca_bundle(folder: Path) -> str:
    """The path of the certificates to trust, or ''."""
    return str(folder / CA_BUNDLE) if (folder / CA_BUNDLE).exists() else ""


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST)
    except OSError as fault:
        said = fault.strerror or type(fault).__name__
        raise BadSecret(f"{path} can't be read: {said}", subject=str(path)) from fault


def _refuse(path: Path, what: str) -> bytes:
    raise BadSecret(f"{path} {what}", subject=str(path))
