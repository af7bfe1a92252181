"""Points without any cluster: a location's URL and its key are enough.

Blocking. For the command line and for the day on which the cluster is gone.
Every function raises StoreError, RepositoryError or EngineError: what is wrong
with the place, the key, the data.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from console.engine.catalog import browsing, exported
from console.engine.catalog.exported import DamagedRepository
from console.engine.errors import EngineError, LocationError
from console.engine.model.views import PointView, PointVolumeView
from console.repository import Repository, RepositoryError, WrongPassword
from console.repository.location_keys import MARKER, LocationMarker, read_kit
from console.repository.marked import known_salt
from console.storage import Credentials, NoSuchObject, NoSuchStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.engine.catalog.exported import FoundPoint
    from console.engine.model.views import BrowseEntry
    from console.repository.location_keys import LocationKey
    from console.storage import ObjectStore


class OfflinePlace(NamedTuple):
    """A location that no cluster knows, or one repository in it."""

    url: str  # restic's syntax: a folder, or s3:https://host/bucket/prefix
    key_file: str  # the recovery kit
    credentials: Credentials | None = None
    region: str = ""
    path_style: bool | None = None
    skip_tls_verify: bool = False
    ca_bundle: str = ""


class OfflinePoint(NamedTuple):
    """An exported point found without a cluster."""

    repository: str  # path below the location
    view: PointView


class OfflineListing(NamedTuple):
    """What a location holds, as far as it can be read."""

    points: list[OfflinePoint]  # the newest first
    damaged: list[DamagedRepository]


def offline_points(place: OfflinePlace) -> OfflineListing:
    """All points of a location or repository; a damaged repository hides no other's points.

    Raises:
        RepositoryError: The place is one repository, and it is damaged.
    """
    key = read_kit(Path(place.key_file))
    damaged: list[DamagedRepository] = []
    with _store(place) as store:
        rows = [OfflinePoint(path, _view(point)) for path, _, point in _points(store, key, damaged)]
    rows.sort(key=lambda row: row.view.taken_at, reverse=True)
    return OfflineListing(rows, damaged)


def offline_password(place: OfflinePlace) -> str:
    """The password of one repository, as restic reads it."""
    key = read_kit(Path(place.key_file))
    with _store(place) as store:
        password = key.password(known_salt(store))
        Repository.open(store, password, read_only=True)
    return password.decode()


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
        place.url,
        credentials=place.credentials,
        region=place.region,
        path_style=place.path_style,
        skip_tls_verify=place.skip_tls_verify,
        ca_bundle=place.ca_bundle,
        read_only=True,
    )
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _opened(place: OfflinePlace, point: str) -> Iterator[tuple[Repository, FoundPoint]]:
    key = read_kit(Path(place.key_file))
    damaged: list[DamagedRepository] = []
    with _store(place) as store:
        for _, repository, one in _points(store, key, damaged):
            if one.manifest.id == point:
                yield repository, one
                return
    unread = ", ".join(one.path for one in damaged)
    raise EngineError(
        "the location holds no such restore point"
        + (f", as far as it can be read: {unread} is damaged" if unread else ""),
        subject=point,
        hint="see which there are with: kubehaven point list --location URL",
        code="point.missing",
    )


def _points(
    store: ObjectStore, key: LocationKey, damaged: list[DamagedRepository]
) -> Iterator[tuple[str, Repository, FoundPoint]]:
    """Every point of a location, or of the one repository that the URL itself names.

    A repository of a location that is damaged is noted, and the next one is read.
    """
    if _has(store, "config"):
        repository = Repository.open(store, key.password(known_salt(store)), read_only=True)
        for point in exported.list_points(repository, ""):
            yield "", repository, point
        return

    def note(path: str, error: RepositoryError | EngineError) -> None:
        damaged.append(DamagedRepository(path, error.code, error.message))

    marked = _prove_location(store, key)
    is_empty = True
    for found in exported.list_repositories(store, damaged=note):
        is_empty = False
        try:
            repository = exported.open_repository(store, found, key)
            points = list(exported.list_points(repository, found.path))
        except (RepositoryError, EngineError) as error:
            if isinstance(error, WrongPassword) and not marked:
                raise  # nothing has proven the key: it is another location's
            note(found.path, error)
            continue
        for point in points:
            yield found.path, repository, point
    if is_empty and not damaged and not marked:
        raise LocationError(
            "there is neither a location nor a repository",
            subject=store.url,
            hint="check the address: a location holds the file kubehaven.json",
            code="location.missing",
        )


def _prove_location(store: ObjectStore, key: LocationKey) -> bool:
    """Whether the location says what its key is; then it must be this key."""
    try:
        marker = LocationMarker.decode(store.get(MARKER))
    except (NoSuchObject, NoSuchStore):
        return False  # lost: each repository's own marker is enough
    if not marker.matches(key):
        raise LocationError(
            f"the recovery kit holds key {key.id}; the location was made with {marker.key_id}",
            subject=store.url,
            hint="give the kit that was saved when this location was first added",
            code="location.wrong_key",
        )
    return True


def _has(store: ObjectStore, name: str) -> bool:
    try:
        store.stat(name)
    except (NoSuchObject, NoSuchStore):
        return False
    return True


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
