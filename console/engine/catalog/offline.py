"""Points without any cluster: a location's URL and its key are enough.

Blocking. For the command line and for the day on which the cluster is gone.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from console.engine.catalog import browsing, exported
from console.engine.errors import EngineError
from console.engine.model.views import PointView, PointVolumeView
from console.repository.location_keys import read_kit
from console.storage import Credentials, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.engine.catalog.exported import FoundPoint
    from console.engine.model.views import BrowseEntry
    from console.repository import Repository
    from console.storage import ObjectStore


class OfflinePlace(NamedTuple):
    """A location that no cluster knows."""

    url: str  # restic's syntax: a folder, or s3:https://host/bucket/prefix
    key_file: str  # the recovery kit
    credentials: Credentials | None = None
    region: str = ""


class OfflinePoint(NamedTuple):
    """An exported point found without a cluster."""

    repository: str  # path below the location
    view: PointView


def offline_points(place: OfflinePlace) -> list[OfflinePoint]:
    """All points of a location, the newest first.

    Raises:
        StoreError, RepositoryError, EngineError: What is wrong with the place, the key, the data.
    """
    key = read_kit(Path(place.key_file))
    with _store(place) as store:
        rows = [
            OfflinePoint(found.path, _view(point))
            for found in exported.list_repositories(store)
            for point in exported.list_points(
                exported.open_repository(store, found, key), found.path
            )
        ]
    return sorted(rows, key=lambda row: row.view.taken_at, reverse=True)


def offline_browse(place: OfflinePlace, point: str, path: str = "") -> list[BrowseEntry]:
    """A folder of a point; `objects/…` or `volumes/<claim>/…`."""
    with _opened(place, point) as (repository, found):
        return browsing.list_folder(repository, found, path)


def offline_get(place: OfflinePlace, point: str, path: str, target: Path) -> int:
    """Copy a file or folder of a point into a folder of this machine; the bytes written."""
    with _opened(place, point) as (repository, found):
        return browsing.copy_out(repository, found, path, target)


@contextmanager
def _store(place: OfflinePlace) -> Iterator[ObjectStore]:
    store = open_store(
        place.url, credentials=place.credentials, region=place.region, read_only=True
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _opened(place: OfflinePlace, point: str) -> Iterator[tuple[Repository, FoundPoint]]:
    key = read_kit(Path(place.key_file))
    with _store(place) as store:
        for found in exported.list_repositories(store):
            repository = exported.open_repository(store, found, key)
            for one in exported.list_points(repository, found.path):
                if one.manifest.id == point:
                    yield repository, one
                    return
    raise EngineError(
        "the location holds no such restore point",
        subject=point,
        hint="see which there are with: kubehaven point list --location URL",
        code="point.missing",
    )


def _view(point: FoundPoint) -> PointView:
    manifest = point.manifest
    return PointView(
        cluster=manifest.clusterUID,
        name=manifest.id,
        id=manifest.id,
        kind="exported",
        state="Damaged" if point.damage else "Ready",
        application=manifest.application.name,
        taken_at=manifest.actionTime,
        logical_size=sum(v.logicalSize for v in manifest.volumes),
        physical_size=sum(v.physicalSize for v in manifest.volumes),
        objects=manifest.objectCount,
        volumes=tuple(
            PointVolumeView(
                pvc=v.pvc, size=v.size, logical_size=v.logicalSize, physical_size=v.physicalSize
            )
            for v in manifest.volumes
        ),
        reason=point.damage,
    )
