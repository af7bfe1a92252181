"""One job under way: what a command is given."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from console.repository import Progress, Repository, StopToken
from console.storage import FileStore, StoreError, open_store
from console.worker.errors import BadJob
from console.worker.secret_files import ca_bundle, read_credentials, read_password

if TYPE_CHECKING:
    from pathlib import Path

    from console.storage import ObjectStore
    from console.worker.job import Job


log = logging.getLogger(__name__)

PATIENCE_S = 60.0
STALE_S = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a worker finds and leaves things; all from its arguments."""

    job: Path
    secrets: Path
    termination_log: Path
    volume: Path | None = None  # backup, restore, place, own, probe
    packs: Path | None = None  # objects


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job, its places, and how far it is."""

    job: Job
    places: Places
    progress: Progress = field(default_factory=Progress)
    stop: StopToken = field(default_factory=StopToken)

    @cached_property
    def store(self) -> ObjectStore:
        """The job's store, with the keys and certificates of the secrets folder."""
        return self.open_store(patience_s=PATIENCE_S)

    def open_store(self, *, patience_s: float) -> ObjectStore:
        """The job's store anew; `patience_s` is how long what may pass is tried again."""
        options, secrets = self.job.store, self.places.secrets
        return open_store(
            self.job.repository,
            credentials=read_credentials(secrets),
            region=options.region,
            path_style=options.path_style,
            skip_tls_verify=options.skip_tls_verify,
            ca_bundle=ca_bundle(secrets),
            patience_s=patience_s,
        )

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

    def tidy(self) -> None:
        """In a folder: take away what writers that died a day ago have left, by name.

        What can't be taken away is logged: it is no failure of the work.
        """
        if not self.job.repository.startswith("/"):
            return
        store = FileStore(self.job.repository)
        try:
            for name in store.remove_stale_temporaries(older_than_s=STALE_S):
                log.info("removed the temporary file %s, left by a writer that died", name)
        except StoreError as fault:
            log.warning("temporary files stay behind: %s", fault)

    def open(self) -> Repository:
        """The repository; a missing one is never created."""
        return Repository.open(self.store, self.password)
