"""The last step of every backup: the snapshot is stored, and the result made."""

from __future__ import annotations

import time as clock
from typing import TYPE_CHECKING

import msgspec

import console
from console.repository.results import BackupResult
from console.repository.snapshots import Snapshot, Summary
from console.repository.trees import format_time

if TYPE_CHECKING:
    from collections.abc import Collection

    from console.repository.packing import Added
    from console.repository.repository import Repository
    from console.repository.tally import Tally


def draft_snapshot(
    started: int,
    tree: bytes,
    *,
    paths: Collection[str],
    tags: Collection[str],
    hostname: str,
) -> Snapshot:
    """The snapshot to be, without what was counted."""
    return Snapshot(
        time=format_time(started),
        tree=tree.hex(),
        paths=tuple(paths),
        hostname=hostname,
        username="kubehaven",
        tags=tuple(tags),
        program_version=f"kubehaven {console.__version__}",
    )


def save_result(
    repo: Repository, draft: Snapshot, tally: Tally, added: Added, parent: Snapshot | None
) -> BackupResult:
    """Store the snapshot, the last step: with it the backup exists."""
    counts = tally.progress.snapshot()
    summary = Summary(
        backup_start=draft.time,
        backup_end=format_time(clock.time_ns()),
        files_new=counts.files_new,
        files_changed=counts.files_changed,
        files_unmodified=counts.files_unchanged,
        dirs_new=tally.dirs_new,
        dirs_changed=tally.dirs_changed,
        dirs_unmodified=tally.dirs_unchanged,
        data_blobs=added.data_blobs,
        tree_blobs=added.tree_blobs,
        data_added=added.raw_bytes,
        data_added_packed=added.packed_bytes,
        total_files_processed=counts.files_done,
        total_bytes_processed=counts.bytes_done,
        items_failed=len(tally.failures),
    )
    repo.check_lock()
    snapshot = repo.save_snapshot(
        msgspec.structs.replace(draft, parent=parent.id if parent else "", summary=summary)
    )
    return BackupResult(
        snapshot=snapshot.id,
        tree=snapshot.tree,
        files=counts.files_done,
        dirs=tally.dirs_new + tally.dirs_changed + tally.dirs_unchanged,
        bytes_total=counts.bytes_done,
        bytes_new=added.raw_bytes,
        bytes_stored=added.packed_bytes,
        files_new=counts.files_new,
        files_changed=counts.files_changed,
        files_unchanged=counts.files_unchanged,
        failures=tuple(tally.failures),
        skipped=tuple(tally.skipped),
    )
