"""The restic-format repository (format version 2): no asyncio, no Kubernetes.

Everything blocks and may be called from any thread. Reading (opening, listing,
browsing, checking) works on every system; `back_up` and `restore_tree` are POSIX.
"""

from console.repository.backup import back_up
from console.repository.browsing import Entry, list_tree, read_file, walk
from console.repository.checking import check
from console.repository.comparing import find_difference
from console.repository.errors import (
    Cancelled,
    Damage,
    DamagedConfig,
    DamagedIndex,
    DamagedKey,
    DamagedPack,
    DamagedSnapshot,
    DamagedTree,
    LockLost,
    NoSuchPath,
    NoSuchSnapshot,
    ReadOnlyRepository,
    RepositoryError,
    RepositoryExists,
    RepositoryLocked,
    RepositoryMissing,
    SealFailed,
    SourceUnfit,
    TargetUnfit,
    UnsupportedVersion,
    WrongPassword,
)
from console.repository.keys import KeyInfo, list_keys
from console.repository.object_archive import back_up_objects
from console.repository.owning import map_owners
from console.repository.progress import Counts, Progress
from console.repository.repository import Repository, init_repository
from console.repository.restoring import restore_tree
from console.repository.results import BackupResult, CheckResult, ItemFailure, RestoreResult
from console.repository.snapshots import Snapshot, Summary
from console.repository.stopping import StopToken
from console.repository.trees import ExtendedAttribute, Node

__all__ = [
    "BackupResult",
    "Cancelled",
    "CheckResult",
    "Counts",
    "Damage",
    "DamagedConfig",
    "DamagedIndex",
    "DamagedKey",
    "DamagedPack",
    "DamagedSnapshot",
    "DamagedTree",
    "Entry",
    "ExtendedAttribute",
    "ItemFailure",
    "KeyInfo",
    "LockLost",
    "NoSuchPath",
    "NoSuchSnapshot",
    "Node",
    "Progress",
    "ReadOnlyRepository",
    "Repository",
    "RepositoryError",
    "RepositoryExists",
    "RepositoryLocked",
    "RepositoryMissing",
    "RestoreResult",
    "SealFailed",
    "Snapshot",
    "SourceUnfit",
    "StopToken",
    "Summary",
    "TargetUnfit",
    "UnsupportedVersion",
    "WrongPassword",
    "back_up",
    "back_up_objects",
    "check",
    "find_difference",
    "init_repository",
    "list_keys",
    "list_tree",
    "map_owners",
    "read_file",
    "restore_tree",
    "walk",
]
