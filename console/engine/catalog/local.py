"""The local half of a point: its manifest and its sealed object packs, Secrets in `kubehaven`.

A pack is content-addressed and belongs to every manifest that names it (owner
references: Kubernetes' garbage collector counts). A manifest is immutable and
has no owner: deleting a RestorePointContent takes nothing along.
"""

from __future__ import annotations

import base64
import secrets
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from console.engine.aiokit import side_by_side
from console.engine.catalog.own_secrets import own_secret
from console.engine.errors import AlreadyExists, Conflict, EngineError, NotFound
from console.engine.model.kinds import SECRETS, RawObject
from console.engine.model.names import (
    ANNOTATION_BYTES,
    ANNOTATION_DIGEST,
    LABEL_ACTION_UID,
    LABEL_APP_NAMESPACE,
    LABEL_POINT,
    LABEL_ROLE,
    NAMESPACE,
    derived_name,
)
from console.engine.model.points import PointManifest
from console.repository.object_packs import LARGEST_PACK, SealedPack, open_pack

if TYPE_CHECKING:
    from console.engine.kube import KubeClient

MANIFEST_FIELD = "restore-point.json"
PACK_FIELD = "pack"
KEY_FIELD = "key"
LABEL_STATE = "kubehaven.io/state"
READY = "ready"
WRITES_AT_ONCE = 16
PACK_TRIES = 20  # other points may join the same pack's owners at the same time

_KEY_NAME = derived_name("objects-key")


async def objects_key(client: KubeClient) -> bytes:
    """The 32-byte key that this cluster's object packs are sealed with; made at first use."""
    secret = await client.find(SECRETS, _KEY_NAME, NAMESPACE)
    if secret is None:
        made = own_secret(
            _KEY_NAME,
            role="objects-key",
            full_name="objects-key",
            data={KEY_FIELD: secrets.token_bytes(32)},
        )
        try:
            secret = await client.create(SECRETS, made)
        except AlreadyExists:
            secret = await client.get(SECRETS, _KEY_NAME, NAMESPACE)
    return base64.b64decode(secret["data"][KEY_FIELD])


def manifest_name(point: str, attempt: int) -> str:
    """The Secret that holds a point's manifest; each attempt of the cut has its own."""
    return derived_name("manifest", point, str(attempt))


def pack_name(digest: str) -> str:
    """The Secret that holds a sealed pack."""
    return derived_name("pack", digest)


async def write_manifest(client: KubeClient, manifest: PointManifest) -> RawObject:
    """Store a manifest; one of the same point and attempt that is already there wins."""
    name = manifest_name(manifest.id, manifest.attempt)
    secret = own_secret(
        name,
        role="manifest",
        full_name=f"manifest/{manifest.id}/{manifest.attempt}",
        data={MANIFEST_FIELD: msgspec.json.encode(manifest)},
        labels={
            LABEL_POINT: manifest.id,
            LABEL_ACTION_UID: manifest.actionUID,
            LABEL_APP_NAMESPACE: manifest.application.namespace,
        },
        immutable=True,
    )
    try:
        return await client.create(SECRETS, secret)
    except AlreadyExists:
        return await client.get(SECRETS, name, NAMESPACE)


async def mark_manifest_ready(client: KubeClient, manifest: PointManifest) -> None:
    """Say that the manifest's point is complete: from now on it can bring its content back."""
    await client.patch(
        SECRETS,
        manifest_name(manifest.id, manifest.attempt),
        NAMESPACE,
        merge={"metadata": {"labels": {LABEL_STATE: READY}}},
    )


async def find_manifest(client: KubeClient, point: str, attempt: int) -> PointManifest | None:
    """The manifest of one attempt, if it was written."""
    secret = await client.find(SECRETS, manifest_name(point, attempt), NAMESPACE)
    return None if secret is None else decode_manifest(secret)


async def list_manifests(client: KubeClient, *, ready_only: bool = True) -> list[PointManifest]:
    """Every local point's manifest."""
    labels = f"{LABEL_ROLE}=manifest" + (f",{LABEL_STATE}={READY}" if ready_only else "")
    return [decode_manifest(s) for s in await client.list(SECRETS, NAMESPACE, labels=labels)]


def decode_manifest(secret: RawObject) -> PointManifest:
    """The manifest inside a Secret.

    Raises:
        EngineError: `point.damaged`, naming the Secret.
    """
    subject = f"Secret {NAMESPACE}/{secret['metadata']['name']}"
    try:
        data = base64.b64decode(secret["data"][MANIFEST_FIELD])
        return msgspec.json.decode(data, type=PointManifest)
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        message = f"the manifest of a restore point can't be read: {error}"
        raise EngineError(message, subject=subject, code="point.damaged") from error


async def write_packs(client: KubeClient, manifest: RawObject, packs: list[SealedPack]) -> None:
    """Store packs and make the manifest one of their owners."""
    owner = {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
    }
    await side_by_side(
        (partial(_write_pack, client, owner, pack) for pack in packs), at_once=WRITES_AT_ONCE
    )


async def packs_present(client: KubeClient, manifest: PointManifest) -> bool:
    """Whether every pack that the manifest names is there and belongs to it."""
    name = manifest_name(manifest.id, manifest.attempt)
    for digest in manifest.packs:
        secret = await client.find(SECRETS, pack_name(digest), NAMESPACE)
        if secret is None:
            return False
        owners = secret["metadata"].get("ownerReferences", [])
        if not any(owner["name"] == name for owner in owners):
            return False
    return True


async def read_packs(client: KubeClient, manifest: PointManifest) -> list[bytes]:
    """The sealed packs of a local point, in the manifest's order.

    Raises:
        EngineError: `point.damaged` when one is missing.
    """
    packs = []
    for digest in manifest.packs:
        try:
            secret = await client.get(SECRETS, pack_name(digest), NAMESPACE)
        except NotFound as error:
            raise EngineError(
                f"a part of the restore point's objects is missing (pack {digest[:12]})",
                subject=f"RestorePointContent {manifest.id}",
                hint="restore an exported copy of this point instead",
                code="point.damaged",
            ) from error
        packs.append(base64.b64decode(secret["data"][PACK_FIELD]))
    return packs


async def read_objects(client: KubeClient, manifest: PointManifest) -> list[tuple[str, bytes]]:
    """A local point's objects: (path, raw JSON), sorted by path."""
    key = await objects_key(client)
    entries = [
        entry for pack in await read_packs(client, manifest) for entry in open_pack(key, pack)
    ]
    return sorted(entries)


async def packed_bytes(client: KubeClient) -> int:
    """Bytes of all packs in this cluster, for the budget."""
    packs = await client.list(SECRETS, NAMESPACE, labels=f"{LABEL_ROLE}=pack", metadata_only=True)
    return sum(_bytes_of(pack) for pack in packs)


def _bytes_of(pack: RawObject) -> int:
    said = str((pack["metadata"].get("annotations") or {}).get(ANNOTATION_BYTES, ""))
    return int(said) if said.isdecimal() else LARGEST_PACK  # rather too much than too little


async def _write_pack(client: KubeClient, owner: RawObject, pack: SealedPack) -> None:
    name = pack_name(pack.digest)
    secret = own_secret(
        name,
        role="pack",
        full_name=f"pack/{pack.digest}",
        data={PACK_FIELD: pack.data},
        annotations={ANNOTATION_DIGEST: pack.digest, ANNOTATION_BYTES: str(len(pack.data))},
        owner=owner,
        immutable=True,
    )
    # the garbage collector may take the last owner's pack away while we look: then make it anew
    for _ in range(PACK_TRIES):
        try:
            await client.create(SECRETS, secret)
        except AlreadyExists:
            if await _join_owners(client, name, owner, pack):
                return
        else:
            return
    message = f"object pack {name} keeps vanishing while it is written"
    raise EngineError(message, subject=f"Secret {NAMESPACE}/{name}", code="point.packs")


async def _join_owners(client: KubeClient, name: str, owner: RawObject, pack: SealedPack) -> bool:
    there = await client.find(SECRETS, name, NAMESPACE)
    if there is None or there["metadata"].get("deletionTimestamp"):
        return False
    if there["metadata"].get("annotations", {}).get(ANNOTATION_DIGEST) != pack.digest:
        message = f"Secret {name} holds another pack than {pack.digest[:12]}"
        raise EngineError(message, subject=f"Secret {NAMESPACE}/{name}", code="point.packs")
    owners = there["metadata"].get("ownerReferences", [])
    if any(other["uid"] == owner["uid"] for other in owners):
        return True
    merge = {
        "metadata": {
            "ownerReferences": [*owners, owner],
            "resourceVersion": there["metadata"]["resourceVersion"],
        }
    }
    try:
        await client.patch(SECRETS, name, NAMESPACE, merge=merge)
    except (NotFound, Conflict):
        return False
    return await client.find(SECRETS, name, NAMESPACE) is not None
