"""A location opened: its store, its key, and what both together make usable.

Blocking: everything that touches the store runs in a thread of the caller's
choosing. The location key and the access key lie in Secrets in `kubehaven`;
they are read, held in memory while work runs, and never written elsewhere.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, NamedTuple

from console.engine.errors import LocationError
from console.engine.model.intent import Location, LocationSpec
from console.engine.model.kinds import LOCATIONS, SECRETS
from console.engine.model.names import NAMESPACE, derived_name
from console.engine.model.wire import decode
from console.repository.location_keys import LocationKey
from console.storage import Credentials, ObjectStore, below, open_store

if TYPE_CHECKING:
    from console.engine.kube import KubeClient

ACCESS_KEY_ID = "aws_access_key_id"
SECRET_ACCESS_KEY = "aws_secret_access_key"  # noqa: S105  (the name of a field)
KEY_FIELD = "location-key"


class OpenLocation(NamedTuple):
    """A usable location."""

    location: Location
    key: LocationKey
    credentials: Credentials | None

    @property
    def name(self) -> str:
        """The Location's name."""
        return self.location.metadata.name

    @property
    def url(self) -> str:
        """Where it is, in restic's syntax, without a trailing slash."""
        return location_url(self.location.spec)

    def store(self, *, read_only: bool = False) -> ObjectStore:
        """A new store on the location; the caller closes it."""
        return open_location_store(self.location.spec, self.credentials, read_only=read_only)

    def repository_store(self, path: str, *, read_only: bool = False) -> ObjectStore:
        """A new store on one repository of the location."""
        return below(self.store(read_only=read_only), f"{path}/")


def key_secret_name(location: str) -> str:
    """The Secret that holds a location's key."""
    return derived_name("location-key", location)


def credentials_secret_name(location: str) -> str:
    """The Secret that holds a location's access key."""
    return derived_name("location-credentials", location)


def location_url(spec: LocationSpec) -> str:
    """The location in restic's repository syntax.

    Raises:
        LocationError: Neither a bucket nor a folder is named.
    """
    if spec.fileStore is not None:
        return spec.fileStore.path.rstrip("/")
    if spec.objectStore is None:
        raise LocationError("the location names neither a bucket nor a folder")
    store = spec.objectStore
    endpoint = store.endpoint or f"https://s3.{store.region or 'us-east-1'}.amazonaws.com"
    path = f"/{store.path.strip('/')}" if store.path.strip("/") else ""
    return f"s3:{endpoint.rstrip('/')}/{store.name}{path}"


def open_location_store(
    spec: LocationSpec,
    credentials: Credentials | None,
    *,
    read_only: bool = False,
    patience_s: float = 60.0,
) -> ObjectStore:
    """A store on a location's prefix; `patience_s` is how long what may pass is tried again."""
    store = spec.objectStore
    return open_store(
        location_url(spec),
        credentials=credentials,
        region=store.region if store else "",
        path_style=store.pathStyle if store else True,
        skip_tls_verify=store.skipSSLVerify if store else False,
        ca_bundle=spec.caBundle,
        read_only=read_only or spec.readOnly,
        patience_s=patience_s,
    )


def prove_writable(store: ObjectStore) -> None:
    """Write, read back and delete one small object.

    Raises:
        LocationError: `location.damaged`.
    """
    name, data = f"kubehaven-probe-{secrets.token_hex(6)}", secrets.token_bytes(32)
    store.put(name, data)
    back = store.get(name)
    store.delete(name)
    if back != data:
        raise LocationError(
            "the store did not give back what was written",
            subject=store.url,
            code="location.damaged",
        )


async def open_location(client: KubeClient, name: str) -> OpenLocation:
    """Read a Location and its Secrets.

    Raises:
        NotFound: There is no such Location.
        LocationError: It may not be used: its recovery kit is not proven, or a Secret is missing.
    """
    location = decode(await client.get(LOCATIONS, name, NAMESPACE), Location)
    subject = f"Location {name}"
    if not location.status.recoveryKit:
        raise LocationError(
            "the recovery kit of this location was never saved and read back",
            subject=subject,
            hint="add the location again with --recovery-kit FILE",
            code="location.no_kit",
        )
    key = await client.find(SECRETS, key_secret_name(name), NAMESPACE)
    if key is None:
        raise LocationError(
            "the location key is missing from the cluster",
            subject=subject,
            hint="add the location again with its recovery kit",
            code="location.no_key",
        )
    return OpenLocation(
        location=location,
        key=LocationKey(base64.b64decode(key["data"][KEY_FIELD])),
        credentials=await _credentials(client, location),
    )


async def _credentials(client: KubeClient, location: Location) -> Credentials | None:
    reference = location.spec.credential
    if reference is None:
        return None
    secret = await client.find(SECRETS, reference.secret.name, NAMESPACE)
    if secret is None:
        raise LocationError(
            "the location's access key is missing from the cluster",
            subject=f"Location {location.metadata.name}",
            hint="add the location again with --credentials FILE",
            code="location.no_credentials",
        )
    data = secret["data"]
    return Credentials(
        access_key_id=base64.b64decode(data[ACCESS_KEY_ID]).decode(),
        secret_access_key=base64.b64decode(data[SECRET_ACCESS_KEY]).decode(),
    )
