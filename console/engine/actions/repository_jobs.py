"""What every worker Job on a repository needs: where it is, its password, its access key."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from console.engine.catalog.locations import (
    ACCESS_KEY_ID,
    SECRET_ACCESS_KEY,
    OpenLocation,
    open_location,
)
from console.engine.catalog.repositories import adopt_salt, known_repository, note_created
from console.engine.errors import EngineError
from console.engine.plan.jobs import WorkerRequest
from console.engine.plan.placement import ANYWHERE, Placement
from console.engine.volumes.jobs import OtherSalt, run_job
from console.repository.location_keys import RepositoryMarker

if TYPE_CHECKING:
    from console.engine.plan.jobs import Command, PackSource
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive

WIRE_VERSION = 1


class JobTarget(NamedTuple):
    """A repository that workers may use."""

    location: OpenLocation
    path: str
    password: bytes

    def request(
        self,
        command: Command,
        *,
        origin: Origin,
        step: str,
        subject: str,
        job: dict[str, Any],
        secrets: dict[str, bytes] | None = None,
        claim: str = "",
        packs: tuple[PackSource, ...] = (),
        placement: Placement = ANYWHERE,
    ) -> WorkerRequest:
        """A worker Job on this repository."""
        options, access = store_access(self.location)
        return WorkerRequest(
            command=command,
            origin=origin,
            step=step,
            subject=subject,
            job={
                "version": WIRE_VERSION,
                "repository": f"{self.location.url}/{self.path}",
                "point": origin.point,
                **options,
                **job,
            },
            secrets={"password": self.password, **access, **(secrets or {})},
            claim=claim,
            folder=folder_of(self.location),
            packs=packs,
            placement=placement,
        )


def store_access(location: OpenLocation) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a worker needs to speak to a location: fields of job.json, and files of its secrets."""
    spec, options, files = location.location.spec, {}, {}
    if spec.objectStore is not None:
        options["store"] = {
            "region": spec.objectStore.region,
            "pathStyle": spec.objectStore.pathStyle,
            "skipTLSVerify": spec.objectStore.skipSSLVerify,
        }
    if location.credentials is not None:
        files[ACCESS_KEY_ID] = location.credentials.access_key_id.encode()
        files[SECRET_ACCESS_KEY] = location.credentials.secret_access_key.encode()
    if spec.caBundle:
        files["ca.crt"] = spec.caBundle.encode()
    return options, files


def folder_of(location: OpenLocation) -> str:
    """The folder of every node that a worker mounts for a file store; empty for a bucket."""
    spec = location.location.spec
    return spec.fileStore.path if spec.fileStore else ""


async def existing_target(drive: Drive, location: str, path: str) -> JobTarget:
    """A repository that is there already, as a restore needs it."""
    opened = await open_location(drive.client, location)
    known = await known_repository(drive.client, location, path)
    if not known.created:
        marker = await drive.in_thread(_read_marker, opened, path)
        salt = base64.b64encode(marker.salt).decode()
        known = await adopt_salt(drive.client, known, salt)
        await note_created(drive.client, known)
    return JobTarget(opened, path, opened.key.password(known.salt))


async def created_target(
    drive: Drive, location: str, path: str, *, origin: Origin, namespace_uid: str
) -> JobTarget:
    """A repository for writing; created now, by a worker Job of its own, if it is not there."""
    opened = await open_location(drive.client, location)
    known = await known_repository(drive.client, location, path)
    for attempt in ("create", "create again"):
        target = JobTarget(opened, path, opened.key.password(known.salt))
        if known.created:
            return target
        marker = RepositoryMarker(
            salt=known.salt,
            cluster_uid=drive.cluster_uid,
            application=origin.application,
            namespace_uid=namespace_uid,
            created_at=await drive.now(),
        )
        request = target.request(
            "init",
            origin=origin,
            step="repository",
            subject=attempt,
            job={"marker": msgspec.json.decode(marker.encode())},
        )
        label = f"creation of the repository of {origin.application}"
        try:
            await run_job(drive, request, work="job", label=label)
        except OtherSalt as error:
            known = await adopt_salt(drive.client, known, error.salt)
            continue
        await note_created(drive.client, known)
        return target
    raise EngineError(
        "the repository has another salt each time it is looked at",
        subject=f"{location}/{path}",
        hint="do two clusters write to the same place?",
        code="repository.other_salt",
    )


def _read_marker(location: OpenLocation, path: str) -> RepositoryMarker:
    store = location.repository_store(path, read_only=True)
    try:
        return RepositoryMarker.decode(store.get("kubehaven.json"))
    finally:
        store.close()
