"""`worker objects`: an application's objects become a snapshot, the last one of a point.

A point exists when, and only when, this snapshot does. So it is written only
after everything that its manifest names was found.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from console.repository import back_up_objects
from console.repository.object_packs import open_pack
from console.repository.tags import objects_tags
from console.worker.commands.backup import list_ours, newest, result_of
from console.worker.errors import BadPacks
from console.worker.job import Manifest, decode_manifest
from console.worker.result import Result
from console.worker.secret_files import read_objects_key

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from console.repository import Snapshot
    from console.worker.work import Work

log = logging.getLogger(__name__)

MANIFEST = "restore-point.json"


def back_point_up(work: Work) -> Result:
    """Write the objects and the manifest; what an earlier try wrote is handed back instead."""
    job = work.job
    manifest = decode_manifest(job, where=str(work.places.job))
    repository = work.open()
    tags = objects_tags(job.point)
    ours = list_ours(repository)
    made = newest(ours, tags)
    if made is not None:
        log.info("an earlier try made the snapshot %s", made.id)
        return result_of(made)
    _require_volumes(manifest, ours)
    entries = _unsealed(work.packs, read_objects_key(work.places.secrets))
    if len(entries) < manifest.object_count:
        raise BadPacks(
            f"the packs hold {len(entries)} objects, the manifest names {manifest.object_count}",
            subject=str(work.packs),
        )
    if MANIFEST in entries:
        raise BadPacks(f"the packs hold an object of the name {MANIFEST}", subject=MANIFEST)
    entries[MANIFEST] = msgspec.json.format(bytes(job.manifest), indent=2) + b"\n"
    work.stop.check()
    work.progress.add(
        files_total=len(entries), bytes_total=sum(len(content) for content in entries.values())
    )
    done = back_up_objects(
        repository,
        sorted(entries.items()),
        tags=tags,
        paths=("/objects",),
        hostname=job.hostname,
        time=manifest.action_time,
    )
    work.tidy()
    return Result(
        outcome=done.outcome,
        snapshot=done.snapshot,
        files_total=done.files,
        files_done=done.files,
        bytes_total=done.bytes_total,
        bytes_done=done.bytes_total,
        bytes_new=done.bytes_new,
        bytes_stored=done.bytes_stored,
    )


def _require_volumes(manifest: Manifest, snapshots: Collection[Snapshot]) -> None:
    there = {snapshot.id for snapshot in snapshots}
    for volume in manifest.volumes:
        if volume.repository_snapshot and volume.repository_snapshot not in there:
            raise BadPacks(
                f"the volume {volume.pvc} has no snapshot {volume.repository_snapshot}",
                subject=volume.pvc,
                code="objects.no_volume",
            )


def _unsealed(folder: Path, key: bytes) -> dict[str, bytes]:
    """Path and content of every object in the packs of a folder."""
    entries: dict[str, bytes] = {}
    for pack in _files(folder):
        for path, content in open_pack(key, pack):
            if path in entries:
                raise BadPacks(f"two packs hold {path}", subject=path)
            entries[path] = content
    return entries


def _files(folder: Path) -> list[bytes]:
    """The content of the files in a folder; what a mount keeps beside them begins with dots."""
    try:
        names = sorted(path for path in folder.iterdir() if not path.name.startswith(".."))
        return [path.read_bytes() for path in names]
    except OSError as fault:
        said = f"{fault.filename}: {fault.strerror or type(fault).__name__}"
        raise BadPacks(f"the packs can't be read: {said}", subject=str(folder)) from fault
