"""The repositories of a cluster's applications: their salts, and so their passwords.

A repository's salt stands in its own `kubehaven.json`; the cluster keeps a
copy, so that the engine need not reach the location to give a worker its
password. The location's copy rules.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, NamedTuple

from console.engine.catalog.own_secrets import own_secret
from console.engine.errors import AlreadyExists, EngineError
from console.engine.model.kinds import SECRETS, RawObject
from console.engine.model.names import (
    NAMESPACE,
    derived_name,
)

if TYPE_CHECKING:
    from console.engine.kube import KubeClient

SALT_FIELD = "salt"
LABEL_STATE = "kubehaven.io/state"
CREATED = "created"


class KnownRepository(NamedTuple):
    """What the cluster keeps of a repository."""

    name: str  # of the Secret
    salt: bytes
    created: bool  # a worker has said that it is there


async def known_repository(client: KubeClient, location: str, path: str) -> KnownRepository:
    """The cluster's copy of a repository's salt; made now if there is none."""
    name = derived_name("repository", location, path)
    secret = await client.find(SECRETS, name, NAMESPACE)
    if secret is None:
        body = own_secret(
            name,
            role="repository",
            full_name=f"repository/{location}/{path}",
            data={SALT_FIELD: secrets.token_bytes(32)},
        )
        try:
            secret = await client.create(SECRETS, body)
        except AlreadyExists:
            secret = await client.get(SECRETS, name, NAMESPACE)
    return _known(secret)


async def note_created(client: KubeClient, known: KnownRepository) -> None:
    """Write down that the repository is there."""
    merge = {"metadata": {"labels": {LABEL_STATE: CREATED}}}
    await client.patch(SECRETS, known.name, NAMESPACE, merge=merge)


async def adopt_salt(client: KubeClient, known: KnownRepository, salt: str) -> KnownRepository:
    """Take over the salt (base64) of a repository that was there before this cluster's copy."""
    if known.created:
        raise EngineError(
            "the repository's salt has changed since it was created",
            subject=f"Secret {NAMESPACE}/{known.name}",
            hint="was the location's folder replaced by another one?",
            code="repository.other_salt",
        )
    secret = await client.patch(SECRETS, known.name, NAMESPACE, merge={"data": {SALT_FIELD: salt}})
    return _known(secret)


def _known(secret: RawObject) -> KnownRepository:
    labels = secret["metadata"].get("labels", {})
    return KnownRepository(
        name=secret["metadata"]["name"],
        salt=base64.b64decode(secret["data"][SALT_FIELD]),
        created=labels.get(LABEL_STATE) == CREATED,
    )
