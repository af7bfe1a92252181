"""What backups, restores and checks hand back."""

from __future__ import annotations

from typing import Literal

import msgspec

from console.repository.errors import Damage

Outcome = Literal["Complete", "Partial"]


class ItemFailure(msgspec.Struct, frozen=True):
    """One file or folder that could not be handled, or not wholly; work went on.

    Codes: `item.vanished`, `item.denied`, `item.changed` (stored as it was read),
    `item.read`, `item.socket` (sockets are never stored), `item.write`,
    `item.owner`, `item.mode`, `item.xattr`, `item.times`, `item.special`, `item.link`.
    """

    path: str  # relative to the tree's root; bytes that are not UTF-8 as surrogates
    code: str
    message: str


class BackupResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished backup: its snapshot exists."""

    snapshot: str  # id
    tree: str  # id of the root tree
    files: int
    dirs: int
    bytes_total: int  # content of all files, holes included
    bytes_new: int  # of blobs the repository did not hold, before compression
    bytes_stored: int  # of those blobs, in packs
    files_new: int
    files_changed: int
    files_unchanged: int
    failures: tuple[ItemFailure, ...] = ()
    skipped: tuple[ItemFailure, ...] = ()  # sockets: reported, no failure

    @property
    def outcome(self) -> Outcome:
        """Partial when any item failed."""
        return "Partial" if self.failures else "Complete"


class RestoreResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished restore."""

    files: int
    dirs: int
    bytes: int  # content of all files, holes included
    failures: tuple[ItemFailure, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Partial when any item failed."""
        return "Partial" if self.failures else "Complete"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a check looked at, and what it found."""

    packs: int
    blobs: int
    trees: int
    snapshots: int
    problems: tuple[Damage, ...] = ()
