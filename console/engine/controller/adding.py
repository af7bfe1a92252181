"""Adds a location: tests it, saves and reads back the recovery kit, and only then makes it usable.

The order is the promise: nobody may store a byte under a key that is not
proven to be on paper. Touches the store from here, so the store must be
reachable from this machine.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from console.engine.catalog.locations import (
    ACCESS_KEY_ID,
    KEY_FIELD,
    SECRET_ACCESS_KEY,
    credentials_secret_name,
    key_secret_name,
    location_url,
    open_location_store,
    prove_writable,
)
from console.engine.catalog.own_secrets import own_secret
from console.engine.errors import LocationError
from console.engine.model.intent import (
    CredentialRef,
    FileStoreSpec,
    Location,
    LocationSpec,
    LocationStatus,
    ObjectStoreSpec,
)
from console.engine.model.kinds import LOCATIONS, SECRETS, RawObject
from console.engine.model.names import (
    API_VERSION,
    NAMESPACE,
)
from console.engine.model.record import NamedRef
from console.engine.model.wire import decode, encode
from console.repository.location_keys import (
    MARKER,
    LocationKey,
    LocationMarker,
    read_kit,
    write_kit,
)
from console.storage import Credentials, NoSuchObject, credentials_from_file

if TYPE_CHECKING:
    from console.engine.facade import LocationDraft
    from console.engine.kube import KubeClient
    from console.storage import ObjectStore

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

MAX_ERROR = 4096  # characters, as in resources/crds
PATIENCE_S = 5.0  # a wrong endpoint is told while the user looks


def draft_spec(draft: LocationDraft) -> LocationSpec:
    """The spec that a draft asks for.

    Raises:
        LocationError: The draft contradicts itself.
    """
    if not _NAME.fullmatch(draft.name):
        raise LocationError(
            "a location's name is 1 to 63 of a-z, 0-9 and dashes, with no dash at its ends",
            subject=draft.name,
            code="location.name",
        )
    if bool(draft.folder) == bool(draft.bucket):
        raise LocationError("a location is either a folder or a bucket", subject=draft.name)
    if draft.folder:
        folder = Path(draft.folder)
        if not folder.is_absolute():
            raise LocationError(
                "the folder must be an absolute path, the same on every node and here",
                subject=draft.folder,
            )
        return LocationSpec(type="FileStore", fileStore=FileStoreSpec(path=str(folder)))
    reference = CredentialRef(secret=NamedRef(name=credentials_secret_name(draft.name)))
    return LocationSpec(
        type="ObjectStore",
        objectStore=ObjectStoreSpec(
            name=draft.bucket,
            endpoint=draft.endpoint,
            region=draft.region,
            path=draft.prefix,
            pathStyle=draft.path_style,
            skipSSLVerify=draft.skip_tls_verify,
        ),
        credential=reference if draft.credentials_file else None,
    )


async def add_location(client: KubeClient, draft: LocationDraft) -> Location:
    """Add a location and make it usable.

    Raises:
        LocationError: What is missing or does not fit; nothing was stored under a new key.
        StoreError: The store does not do what a location needs.
    """
    spec = draft_spec(draft)
    there = await client.find(LOCATIONS, draft.name, NAMESPACE)
    if there is not None and location_url(decode(there, Location).spec) != location_url(spec):
        raise LocationError(
            "there is another location of this name",
            subject=f"Location {draft.name}",
            hint="choose another name",
            code="location.exists",
        )
    credentials = (
        await asyncio.to_thread(credentials_from_file, Path(draft.credentials_file))
        if draft.credentials_file
        else None
    )
    key = await asyncio.to_thread(_settle_key, draft, spec, credentials)
    await _put_secrets(client, draft.name, key, credentials)
    return await _put_location(client, draft.name, spec, key)


def _settle_key(
    draft: LocationDraft, spec: LocationSpec, credentials: Credentials | None
) -> LocationKey:
    """Find or make the location's key, prove it is saved, and mark the location with it."""
    if spec.fileStore is not None:
        _make_folder(Path(spec.fileStore.path))
    store = open_location_store(spec, credentials, patience_s=PATIENCE_S)
    try:
        prove_writable(store)
        marker = _read_marker(store)
        if marker is not None:
            return _join(draft, marker)
        return _found(draft, spec, store)
    finally:
        store.close()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocationError(
            f"the folder can't be made: {error.strerror or type(error).__name__}",
            subject=str(folder),
            hint="name a folder that this account may write to, on a mount that is there",
            code="location.folder",
        ) from error


def _join(draft: LocationDraft, marker: LocationMarker) -> LocationKey:
    """The key of a location that exists: the user's kit must hold exactly it."""
    kit = draft.location_key_file or draft.recovery_kit
    if not kit or not Path(kit).exists():
        raise LocationError(
            f"this location already holds restore points under key {marker.key_id}",
            subject=draft.name,
            hint="give its recovery kit with --location-key-file FILE",
            code="location.key_needed",
        )
    key = read_kit(Path(kit))
    if not marker.matches(key):
        raise LocationError(
            f"the recovery kit holds key {key.id}; the location was made with {marker.key_id}",
            subject=kit,
            hint="give the kit that was saved when this location was first added",
            code="location.wrong_key",
        )
    return key


def _found(draft: LocationDraft, spec: LocationSpec, store: ObjectStore) -> LocationKey:
    """A new location: make the key, save the kit, read it back, then mark the location."""
    if draft.location_key_file:
        key = read_kit(Path(draft.location_key_file))
    else:
        if not draft.recovery_kit:
            raise LocationError(
                "a new location needs a place for its recovery kit",
                subject=draft.name,
                hint="name a file with --recovery-kit FILE; without it the backups can't be "
                "read after this cluster is lost",
                code="location.no_kit",
            )
        key = LocationKey.generate()
        write_kit(Path(draft.recovery_kit), key, location=draft.name, url=location_url(spec))
        if read_kit(Path(draft.recovery_kit)) != key:
            raise LocationError(
                "the recovery kit does not read back as it was written",
                subject=draft.recovery_kit,
                code="location.kit_damaged",
            )
    if not store.create(MARKER, LocationMarker.of(key).encode()):
        marker = _read_marker(store)
        if marker is None or not marker.matches(key):
            raise LocationError(
                "somebody else has set this location up at the same moment",
                subject=draft.name,
                hint="add it again with that recovery kit",
                code="location.key_needed",
            )
    return key


def _read_marker(store: ObjectStore) -> LocationMarker | None:
    try:
        return LocationMarker.decode(store.get(MARKER))
    except NoSuchObject:
        return None


async def _put_secrets(
    client: KubeClient, name: str, key: LocationKey, credentials: Credentials | None
) -> None:
    await client.apply(
        SECRETS,
        own_secret(
            key_secret_name(name),
            role="location-key",
            full_name=f"location-key/{name}",
            data={KEY_FIELD: key.secret},
        ),
        force=True,
    )
    if credentials is not None:
        await client.apply(
            SECRETS,
            own_secret(
                credentials_secret_name(name),
                role="location-credentials",
                full_name=f"location-credentials/{name}",
                data={
                    ACCESS_KEY_ID: credentials.access_key_id.encode(),
                    SECRET_ACCESS_KEY: credentials.secret_access_key.encode(),
                },
            ),
            force=True,
        )


async def _put_location(
    client: KubeClient, name: str, spec: LocationSpec, key: LocationKey
) -> Location:
    body: RawObject = {
        "apiVersion": API_VERSION,
        "kind": "Location",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**encode(spec), "keyId": key.id},
    }
    raw = await client.apply(LOCATIONS, body, force=True)
    status = LocationStatus(validation="Success", recoveryKit=True)
    raw = await client.patch(
        LOCATIONS, name, NAMESPACE, merge={"status": encode(status)}, subresource="status"
    )
    return decode(raw, Location)


async def note_check(client: KubeClient, name: str, error: str, *, at: str) -> None:
    """Write down how the last look into the location went; an empty error is success."""
    status = {
        "validation": "Failed" if error else "Success",
        "error": error[:MAX_ERROR] or None,
        "checkedAt": at,
    }
    await client.patch(LOCATIONS, name, NAMESPACE, merge={"status": status}, subresource="status")
