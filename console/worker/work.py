"""One job under way: what a command is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from console.repository import Progress, Repository, StopToken
from console.storage import open_store
from console.worker.errors import BadJob
from console.worker.secret_files import ca_bundle, read_credentials, read_password

if TYPE_CHECKING:
    from pathlib import Path

    from console.storage import ObjectStore
    from console.worker.job import Job


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a worker finds and leaves things; all from its arguments."""

    job: Path
    secrets: Path
    termination_log: Path
    volume: Path | None = None  # backup, restore
    packs: Path | None = None  # objects


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job, its places, its store, and how far it is."""

    job: Job
    places: Places
    store: ObjectStore
    progress: Progress = field(default_factory=Progress)
    stop: StopToken = field(default_factory=StopToken)

    @property
    def password(self) -> bytes:
        """The repository's password, read anew."""
        return read_password(self.places.secrets)

    @property
    def volume(self) -> Path:
        """The folder of the volume."""
        if self.places.volume is None:
            raise BadJob("the argument --volume is missing", subject="--volume")
        return self.places.volume

    @property
    def packs(self) -> Path:
        """The folder of the sealed packs."""
        if self.places.packs is None:
            raise BadJob("the argument --packs is missing", subject="--packs")
        return self.places.packs

    def open(self) -> Repository:
        """The repository; a missing one is never created."""
        return Repository.open(self.store, self.password)


def store_of(job: Job, places: Places) -> ObjectStore:
    """The job's store, with the keys and certificates of the secrets folder."""
    return open_store(
        job.repository,
        credentials=read_credentials(places.secrets),
        region=job.store.region,
        path_style=job.store.path_style,
        skip_tls_verify=job.store.skip_tls_verify,
        ca_bundle=ca_bundle(places.secrets),
    )
