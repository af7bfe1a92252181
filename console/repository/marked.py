"""Repositories of a location: made together with their marker, and their salt found again.

The salt stands in `kubehaven.json` and in the `username` of the key file: one
lost file loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.repository.errors import RepositoryError, RepositoryExists, RepositoryMissing
from console.repository.keys import list_keys
from console.repository.markers import MARKER, RepositoryMarker, salt_of_username
from console.repository.repository import Repository, init_repository
from console.storage.errors import NoSuchObject, NoSuchStore

if TYPE_CHECKING:
    from console.storage.protocol import ObjectStore


class OtherSalt(RepositoryError):
    """There is a repository with another salt, so with another password; `salt` is its own."""

    code = "repository.other_salt"

    def __init__(self, message: str, *, salt: bytes, subject: str = "", hint: str = "") -> None:
        super().__init__(message, subject=subject, hint=hint)
        self.salt = salt


def init_marked(store: ObjectStore, password: bytes, marker: RepositoryMarker) -> bool:
    """Make a repository that explains itself; one that is there already is the same.

    Exactly one salt wins where several callers bring their own. What an
    interrupted call left behind is completed; a lost marker is written again.

    Returns:
        Whether the repository was made by this call.

    Raises:
        OtherSalt: The place has another salt.
        RepositoryExists: There is a repository that was never one of a location.
        WrongPassword: The repository's password is another, though its salt is the same.
        BadMarker, StoreError.
    """
    salt = find_salt(store)
    if salt is None:
        if _has_config(store):
            raise RepositoryExists(
                "there is a repository here that is not one of a location",
                subject=store.url,
                hint="choose another prefix; `kubehaven repo` opens it with its own password",
            )
        salt = marker.salt
    if salt == marker.salt and not store.create(MARKER, marker.encode()):
        salt = RepositoryMarker.decode(store.get(MARKER)).salt
    if salt != marker.salt:
        raise OtherSalt(
            "there is a repository here with another salt",
            salt=salt,
            subject=store.url,
            hint="derive the password from its own salt",
        )
    try:
        init_repository(store, password, username=marker.username)
    except RepositoryExists:
        Repository.open(store, password, read_only=True)
        return False
    return True


def find_salt(store: ObjectStore) -> bytes | None:
    """A repository's salt, from its marker, else from its key files; None when neither has one.

    Raises:
        BadMarker: The marker can't be read, and no key file has the salt.
        StoreError.
    """
    damage: RepositoryError | None = None
    try:
        return RepositoryMarker.decode(store.get(MARKER)).salt
    except (NoSuchObject, NoSuchStore):
        pass
    except RepositoryError as fault:
        damage = fault
    try:
        salts = [salt_of_username(key.username) for key in list_keys(store)]
    except NoSuchStore:
        salts = []
    found = next((salt for salt in salts if salt is not None), None)
    if found is None and damage is not None:
        raise damage
    return found


def known_salt(store: ObjectStore) -> bytes:
    """The salt of a repository that has to be there.

    Raises:
        RepositoryMissing: There is no repository, or it was never one of a location.
        BadMarker, StoreError.
    """
    salt = find_salt(store)
    if salt is None:
        raise RepositoryMissing(
            f"{store.url} holds no repository of a location: neither {MARKER} nor a key has a salt",
            subject=store.url,
            hint="check the address; a repository of another kind opens with its own password",
        )
    return salt


def _has_config(store: ObjectStore) -> bool:
    try:
        store.stat("config")
    except (NoSuchObject, NoSuchStore):
        return False
    return True
