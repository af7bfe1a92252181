"""Looks into exported points: with a cluster that knows the location, or with nothing but its key.

Blocking, for threads. Two folders at the top: `objects` and `volumes`.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Literal, NamedTuple

from console.engine.catalog import exported
from console.engine.errors import EngineError
from console.engine.model.views import BrowseEntry
from console.repository import Snapshot, list_tree, read_file, walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from console.engine.catalog.exported import FoundPoint
    from console.repository import Repository

OBJECTS, VOLUMES = "objects", "volumes"
TOP = "volume"  # the one node of a volume's snapshot
_KINDS: dict[str, Literal["folder", "file", "link"]] = {
    "dir": "folder",
    "file": "file",
    "symlink": "link",
}


class Place(NamedTuple):
    """Where a path of a point lies in its repository."""

    snapshot: Snapshot
    path: str


def list_folder(repository: Repository, point: FoundPoint, path: str) -> list[BrowseEntry]:
    """One folder of a point.

    Raises:
        EngineError: `point.no_path`, `point.no_volume`.
        RepositoryError: The repository is damaged, or has no such path.
    """
    parts = _parts(path)
    if not parts:
        return [_folder(OBJECTS), _folder(VOLUMES)]
    if parts == [VOLUMES]:
        return [_folder(volume.pvc) for volume in point.manifest.volumes]
    place = _place(repository, point, parts)
    return [
        BrowseEntry(
            name=entry.name,
            kind=_KINDS.get(entry.type, "other"),
            size=entry.size if entry.type == "file" else -1,
            modified_at=entry.mtime,
            mode=entry.mode,
        )
        for entry in list_tree(repository, place.snapshot, place.path)
    ]


def copy_out(repository: Repository, point: FoundPoint, path: str, target: Path) -> int:
    """Copy a file or folder of a point into a folder of this machine; the bytes written.

    Names come from the point and never lead out of the target; links are left
    out, and so is what is neither file nor folder. Nothing that exists is
    overwritten, and a file appears whole or not at all.
    """
    parts = _parts(path)
    if not parts:
        return sum(copy_out(repository, point, top, target) for top in (OBJECTS, VOLUMES))
    if parts == [VOLUMES]:
        return sum(
            copy_out(repository, point, f"{VOLUMES}/{volume.pvc}", target / VOLUMES)
            for volume in point.manifest.volumes
        )
    place = _place(repository, point, parts)
    name = parts[-1]
    written = 0
    for found, node in walk(repository, place.snapshot, place.path):
        below = found[len(place.path) :].strip("/")
        to = _inside(target / name, below)
        if node.type == "dir":
            to.mkdir(parents=True, exist_ok=True)
        elif node.type == "file":
            to.parent.mkdir(parents=True, exist_ok=True)
            written += _write_file(read_file(repository, place.snapshot, found), to)
    return written


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if any(part in {".", ".."} for part in parts):
        raise EngineError("a path of a restore point holds no dots", subject=path, code="usage")
    return parts


def _place(repository: Repository, point: FoundPoint, parts: list[str]) -> Place:
    if parts[0] == OBJECTS:
        snapshot = repository.find_snapshot(point.objects_snapshot)
        return Place(snapshot, "/".join(parts[1:]))
    if parts[0] == VOLUMES:
        snapshot = repository.find_snapshot(exported.volume_snapshot(point, parts[1]))
        return Place(snapshot, "/".join((TOP, *parts[2:])))
    raise EngineError(
        "a restore point has two folders: objects and volumes",
        subject="/".join(parts),
        code="point.no_path",
    )


def _folder(name: str) -> BrowseEntry:
    return BrowseEntry(name=name, kind="folder")


def _inside(folder: Path, below: str) -> Path:
    to = folder / below if below else folder
    if ".." in to.parts[len(folder.parts) :]:
        raise EngineError("a name leads out of the target", subject=below, code="point.damaged")
    return to


def _write_file(pieces: Iterator[bytes], to: Path) -> int:
    if to.exists() or to.is_symlink():
        raise EngineError(
            "the file is there already and is not overwritten",
            subject=str(to),
            hint="choose an empty folder",
            code="get.exists",
        )
    part = to.with_name(f".{to.name[:200]}.{secrets.token_hex(4)}.part")
    written = 0
    try:
        with part.open("xb") as file:
            for piece in pieces:
                written += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.rename(to)
    finally:
        part.unlink(missing_ok=True)
    return written
