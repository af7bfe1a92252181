"""What can go wrong with a repository.

RepositoryError
├── RepositoryMissing      there is no repository in this place (exit 10)
├── RepositoryExists       there is one already
├── RepositoryLocked       somebody else holds it (exit 11)
├── LockLost               our lock could not be refreshed in time
├── WrongPassword          no key of the repository opens with this password (exit 12)
├── UnsupportedVersion     the format is not version 2
├── ReadOnlyRepository     it was opened for reading only
├── NoSuchSnapshot         no snapshot, or more than one, fits
├── NoSuchPath             the snapshot holds no such path, or not of that kind
├── TargetUnfit            a tree can't be restored to this folder
├── SourceUnfit            a tree can't be backed up from this folder
├── SealFailed             what was sealed did not open again: faulty memory
├── Cancelled              the stop token was used
└── Damage                 what is stored is not what was written; `subject` names the file
    ├── DamagedKey, DamagedConfig, DamagedSnapshot, DamagedIndex
    └── DamagedPack, DamagedTree

Errors of the store below (`console.storage.errors.StoreError`) pass through as they are.
"""

from __future__ import annotations


class RepositoryError(Exception):
    """A repository did not do what was asked.

    Attributes:
        code: Stable, for programs: `repository.missing`, `repository.damage.pack`, ...
        subject: The file in the repository, the snapshot or the path concerned.
        hint: What the user can do next; may be empty.
    """

    code = "repository.failed"

    def __init__(self, message: str, *, subject: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.hint = hint


class RepositoryMissing(RepositoryError):
    """There is no repository in this place."""

    code = "repository.missing"


class RepositoryExists(RepositoryError):
    """There is a repository in this place already."""

    code = "repository.exists"


class RepositoryLocked(RepositoryError):
    """Somebody else holds the repository; the message names host, process and time."""

    code = "repository.locked"


class LockLost(RepositoryError):
    """Our lock could not be refreshed in time; others may have taken the repository."""

    code = "repository.lock_lost"


class WrongPassword(RepositoryError):
    """No key of the repository opens with this password."""

    code = "repository.password"


class UnsupportedVersion(RepositoryError):
    """The repository's format is not one we read."""

    code = "repository.version"


class ReadOnlyRepository(RepositoryError):
    """The repository was opened for reading only."""

    code = "repository.read_only"


class NoSuchSnapshot(RepositoryError):
    """No snapshot fits the id given, or several do."""

    code = "repository.no_snapshot"


class NoSuchPath(RepositoryError):
    """The snapshot holds no such path, or it is not of the kind asked for."""

    code = "repository.no_path"


class TargetUnfit(RepositoryError):
    """A tree can't be restored to this folder: not a folder, not empty, not writable."""

    code = "repository.target"


class SourceUnfit(RepositoryError):
    """A tree can't be backed up from this folder: not there, not a folder, not readable."""

    code = "repository.source"


class SealFailed(RepositoryError):
    """What was just sealed did not open to the same bytes; nothing of it was stored."""

    code = "repository.seal"


class Cancelled(RepositoryError):
    """The stop token was used; what was finished before stays valid."""

    code = "repository.cancelled"


class Damage(RepositoryError):
    """What is stored is not what was written; `subject` is the file in the repository."""

    code = "repository.damage"


class DamagedKey(Damage):
    """A key file can't be used."""

    code = "repository.damage.key"


class DamagedConfig(Damage):
    """The file `config` can't be used."""

    code = "repository.damage.config"


class DamagedSnapshot(Damage):
    """A snapshot file can't be used."""

    code = "repository.damage.snapshot"


class DamagedIndex(Damage):
    """An index file can't be used, or no index names a blob that a tree needs."""

    code = "repository.damage.index"


class DamagedPack(Damage):
    """A pack is missing, short, or holds a blob that is not what its name says."""

    code = "repository.damage.pack"


class DamagedTree(Damage):
    """A tree does not hold what a tree may hold."""

    code = "repository.damage.tree"
