"""Exported points: what a location's repositories say about themselves.

Blocking, for threads. The list of points is the list of `objects` snapshots; a
point whose volume snapshots are missing is Damaged, never listed as good. The
same code serves the cluster's catalogue, a browser without any cluster, and
the way back after a cluster is lost.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from console.engine.errors import EngineError
from console.engine.model.points import PointManifest
from console.repository import NoSuchPath, Repository, Snapshot, read_file, walk
from console.repository.location_keys import MARKER, RepositoryMarker, find_repositories
from console.repository.tags import OBJECTS, OURS, objects_tags
from console.storage import below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from console.engine.catalog.locations import OpenLocation
    from console.engine.model.points import RestorePointContent
    from console.repository import RepositoryError
    from console.repository.location_keys import LocationKey
    from console.storage import ObjectStore

MANIFEST_PATH = "restore-point.json"


class FoundPoint(NamedTuple):
    """An exported point as its repository tells it."""

    repository: str  # path below the location
    manifest: PointManifest
    objects_snapshot: str
    damage: str = ""  # why it is Damaged; empty = Ready


class DamagedRepository(NamedTuple):
    """A repository of a location that can't be read, or not to its end."""

    path: str
    code: str
    message: str


class FoundRepository(NamedTuple):
    """A repository of a location."""

    path: str
    marker: RepositoryMarker


def list_repositories(
    store: ObjectStore,
    *,
    cluster_uid: str = "",
    damaged: Callable[[str, RepositoryError], None] | None = None,
) -> Iterator[FoundRepository]:
    """The repositories of a location, of one cluster or of all.

    Args:
        damaged: Told the path and error of each whose marker can't be read; None raises.
    """
    for path, marker in find_repositories(store, damaged=damaged):
        if not cluster_uid or path.split("/", 1)[0] == cluster_uid:
            yield FoundRepository(path, marker)


def find_repository(store: ObjectStore, path: str) -> FoundRepository:
    """One repository of a location by its path."""
    return FoundRepository(path, RepositoryMarker.decode(store.get(f"{path}/{MARKER}")))


def open_repository(store: ObjectStore, found: FoundRepository, key: LocationKey) -> Repository:
    """Open one repository of a location for reading."""
    return Repository.open(
        below(store, f"{found.path}/"), key.password(found.marker.salt), read_only=True
    )


def list_points(repository: Repository, path: str) -> Iterator[FoundPoint]:
    """All points of a repository, oldest first; Damaged ones included and marked."""
    present = {snapshot.id for snapshot in repository.snapshots(tags=(OURS,))}
    for snapshot in repository.snapshots(tags=(OURS, OBJECTS)):
        manifest = read_manifest(repository, snapshot)
        missing = [v.pvc for v in manifest.volumes if v.repositorySnapshot not in present]
        damage = f"the data of {', '.join(missing)} is missing" if missing else ""
        yield FoundPoint(path, manifest, snapshot.id, damage)


def find_point(repository: Repository, path: str, point: str) -> FoundPoint:
    """One point of a repository.

    Raises:
        EngineError: `point.missing`.
    """
    for snapshot in repository.snapshots(tags=objects_tags(point)):
        return FoundPoint(path, read_manifest(repository, snapshot), snapshot.id)
    raise EngineError(
        "the restore point is not in the repository",
        subject=f"restore point {point}",
        hint="look into the location again: it may have been retired",
        code="point.missing",
    )


def read_manifest(repository: Repository, snapshot: Snapshot) -> PointManifest:
    """What an `objects` snapshot says its point is made of.

    Raises:
        EngineError: `point.damaged`.
    """
    try:
        data = b"".join(read_file(repository, snapshot, MANIFEST_PATH))
        return msgspec.json.decode(data, type=PointManifest)
    except (NoSuchPath, msgspec.MsgspecError) as error:
        raise EngineError(
            f"the restore point does not say what it is made of: {error}",
            subject=f"snapshot {snapshot.id[:8]}",
            code="point.damaged",
        ) from error


def read_objects(repository: Repository, point: FoundPoint) -> list[tuple[str, bytes]]:
    """A point's objects: (path, raw JSON), sorted by path."""
    snapshot = repository.find_snapshot(point.objects_snapshot)
    return sorted(
        (path, b"".join(read_file(repository, snapshot, path)))
        for path, node in walk(repository, snapshot)
        if node.type == "file" and path != MANIFEST_PATH
    )


def volume_snapshot(point: FoundPoint, pvc: str) -> str:
    """The id of the snapshot that holds one claim's data."""
    for volume in point.manifest.volumes:
        if volume.pvc == pvc and volume.repositorySnapshot:
            return volume.repositorySnapshot
    raise EngineError(
        "the restore point holds no such volume",
        subject=f"claim {pvc}",
        hint="browse volumes/ to see which there are",
        code="point.no_volume",
    )


@contextmanager
def opened_point(
    location: OpenLocation, content: RestorePointContent
) -> Iterator[tuple[Repository, FoundPoint]]:
    """An exported point, opened for reading."""
    store = location.store(read_only=True)
    try:
        found = find_repository(store, content.spec.repository)
        repository = open_repository(store, found, location.key)
        yield repository, find_point(repository, found.path, content.spec.id)
    finally:
        store.close()
