"""Takes away, by name, what never became a point: leftovers of actions that are gone.

Runs when an engine begins to drive, and now and then while it does. What would
go can be read by anybody; it goes only while the Lease is ours, and each removal
is told: a notice here, an Event in `kubehaven` for those who look later.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from console.engine.catalog import local
from console.engine.catalog.contents import find_content, list_contents, set_state
from console.engine.catalog.rediscover import complete_local
from console.engine.errors import ClusterError, EngineError, LostLease, NotFound
from console.engine.kube.lease import is_expired
from console.engine.model import kinds
from console.engine.model.names import (
    ANNOTATION_RECLAIM_POLICY,
    CHECK_LEASE,
    LABEL_ACTION_UID,
    LABEL_MANAGED_BY,
    LABEL_ROLE,
    LEASE,
    MANAGED_BY,
    NAMESPACE,
    ROLE_UNDO,
    WORKERS_NAMESPACE,
)
from console.engine.model.record import BackupAction, RestoreAction, RetireAction
from console.engine.plan.copies import TWIN
from console.engine.plan.raw import annotations_of, labels_of, name_of, part, text
from console.engine.plan.sweep_plan import SweepFacts, plan_sweep
from console.engine.volumes.cutting import free_content
from console.engine.volumes.handover import give_policy_back
from console.engine.volumes.jobs import delete_job
from console.engine.volumes.swapping import release
from console.engine.volumes.twins import drop_twin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from console.engine.kube import KubeClient
    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.record import Action
    from console.engine.model.views import Leftover
    from console.engine.volumes.drive import Drive

log = logging.getLogger(__name__)

_KINDS = {
    kind.resource: kind
    for kind in (
        kinds.JOBS,
        kinds.CLAIMS,
        kinds.SECRETS,
        kinds.SNAPSHOTS,
        kinds.SNAPSHOT_CONTENTS,
        kinds.VOLUMES,
        kinds.RESTORE_POINT_CONTENTS,
    )
}


async def find_leftovers(client: KubeClient, actions: Iterable[Action]) -> tuple[Leftover, ...]:
    """What no action that is still to be carried out needs; writes nothing.

    Args:
        actions: All actions of the cluster.
    """
    return plan_sweep(await _facts(client, list(actions)))


async def sweep(
    drive: Drive, actions: Iterable[Action], *, on_swept: Callable[[Leftover], None]
) -> None:
    """Take leftovers away; live work and every Ready point stay untouched.

    One that can't be removed is logged and stays for the next time.

    Raises:
        LostLease: Another engine drives by now.
        ClusterError: The cluster does not answer.
    """
    for leftover in await find_leftovers(drive.client, actions):
        await _refuse_unless_driving(drive)
        try:
            if not await _remove(drive, leftover):
                continue
            log.warning("swept: %s", _words(leftover))
            on_swept(leftover)
            await _tell(drive, leftover)
        except EngineError as error:
            if isinstance(error, ClusterError) and error.retryable:
                raise
            log.warning("not swept, or not told: %s: %s", _words(leftover), error)


async def _facts(client: KubeClient, actions: list[Action]) -> SweepFacts:
    unfinished = [action for action in actions if action.status.phase != "Finished"]
    checks = await running_checks(client)
    manifests = await client.list(kinds.SECRETS, NAMESPACE, labels=f"{LABEL_ROLE}=manifest")
    volumes = [
        raw
        for raw in await client.list(kinds.VOLUMES)
        if ANNOTATION_RECLAIM_POLICY in annotations_of(raw)
    ]
    return SweepFacts(
        unfinished=frozenset(action.metadata.uid for action in unfinished) | checks,
        retiring=frozenset(
            point.name
            for action in unfinished
            if isinstance(action, RetireAction)
            for point in action.spec.points
        ),
        contents=tuple(await list_contents(client)),
        manifests=tuple((raw, local.decode_manifest(raw)) for raw in manifests),
        ready=frozenset(
            name_of(raw)
            for raw in manifests
            if labels_of(raw).get(local.LABEL_STATE) == local.READY
        ),
        working=tuple(await _working(client)),
        snapshots=tuple(await _snapshots(client, kinds.SNAPSHOTS, ours=True)),
        snapshot_contents=tuple(await _snapshots(client, kinds.SNAPSHOT_CONTENTS)),
        twins=tuple(await client.list(kinds.VOLUMES, labels=f"{LABEL_ROLE}={TWIN}")),
        volumes=tuple(volumes),
        claims=tuple(await _claims_of(client, volumes)),
        kept=tuple(await client.list(kinds.VOLUMES, labels=f"{LABEL_ROLE}={ROLE_UNDO}")),
        undoing=frozenset(_swapped(unfinished)),
        now=(await client.server_time()).strftime("%Y-%m-%dT%H:%M:%SZ"),
        our_classes=frozenset(
            name_of(raw) for raw in await _snapshots(client, kinds.SNAPSHOT_CLASSES, ours=True)
        ),
        cutting=bool(checks) or any(isinstance(action, BackupAction) for action in unfinished),
    )


async def running_checks(client: KubeClient) -> frozenset[str]:
    """The uid of the check of the cluster that runs now, if one does."""
    lease = await client.find(kinds.LEASES, CHECK_LEASE, NAMESPACE) or {}
    holder = text(lease, "spec", "holderIdentity")
    if not holder or is_expired(part(lease, "spec"), await client.server_time()):
        return frozenset()
    return frozenset({holder})


def _swapped(actions: Iterable[Action]) -> Iterator[str]:
    """The volumes that unfinished actions swap."""
    for action in actions:
        if isinstance(action, RestoreAction) and action.status.swap is not None:
            for volume in action.status.swap.volumes:
                yield from (volume.old, volume.new)


async def _working(client: KubeClient) -> list[RawObject]:
    found: list[RawObject] = []
    for kind in (kinds.JOBS, kinds.CLAIMS, kinds.SECRETS):
        found += await client.list(kind, WORKERS_NAMESPACE, labels=LABEL_ACTION_UID)
    return found


async def _snapshots(client: KubeClient, kind: Kind, *, ours: bool = False) -> list[RawObject]:
    try:
        return await client.list(kind, labels=f"{LABEL_MANAGED_BY}={MANAGED_BY}" if ours else "")
    except NotFound:  # a cluster that knows no snapshots
        return []


async def _claims_of(client: KubeClient, volumes: list[RawObject]) -> list[RawObject]:
    found = []
    for volume in volumes:
        ref = part(volume, "spec", "claimRef")
        if text(ref, "name"):
            claim = await client.find(kinds.CLAIMS, text(ref, "name"), text(ref, "namespace"))
            found += [claim] if claim is not None else []
    return found


async def _refuse_unless_driving(drive: Drive) -> None:
    lease = await drive.client.find(kinds.LEASES, LEASE, NAMESPACE) or {}
    holder = text(lease, "spec", "holderIdentity")
    if holder != drive.holder:
        raise LostLease(f"{holder or 'nobody'} holds the Lease now", subject=f"Lease {LEASE}")


async def _remove(drive: Drive, leftover: Leftover) -> bool:
    """Whether it was still there, the very same object, and was removed."""
    kind = _KINDS[leftover.resource]
    there = await drive.client.find(kind, leftover.name, leftover.namespace)
    if there is None or there["metadata"]["uid"] != leftover.uid:
        return False
    if leftover.verb == "free":
        await free_content(drive, there)
    elif leftover.verb == "return":
        await give_policy_back(drive, there)
    elif leftover.verb == "release":
        await release(drive, there)
    elif leftover.verb == "mark":
        content = await find_content(drive.client, leftover.name)
        if content is not None:
            await set_state(drive.client, content, "Damaged", leftover.reason)
    elif leftover.verb == "complete":
        await _complete(drive.client, leftover.name)
    elif kind == kinds.VOLUMES:
        await drop_twin(drive, there)
    elif kind == kinds.JOBS:
        await delete_job(drive, leftover.name)
    else:
        await drive.client.delete(kind, leftover.name, leftover.namespace, uid=leftover.uid)
    return True


async def _complete(client: KubeClient, name: str) -> None:
    content = await find_content(client, name)
    for manifest in await local.list_manifests(client):
        if content is not None and manifest.id == content.spec.id:
            await complete_local(client, content, manifest)


def _words(leftover: Leftover) -> str:
    where = f"{leftover.namespace}/{leftover.name}" if leftover.namespace else leftover.name
    return f"{leftover.verb} {leftover.resource} {where}: {leftover.reason}"


async def _tell(drive: Drive, leftover: Leftover) -> None:
    """An Event on our Lease: `kubectl get events -n kubehaven` says what went, and why."""
    now = await drive.now()
    await drive.client.create(
        kinds.EVENTS,
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{LEASE}.swept.{secrets.token_hex(8)}",
                "namespace": NAMESPACE,
            },
            "involvedObject": {
                "apiVersion": kinds.LEASES.api_version,
                "kind": kinds.LEASES.kind,
                "namespace": NAMESPACE,
                "name": LEASE,
            },
            "type": "Normal",
            "reason": "Swept",
            "message": _words(leftover)[:1024],
            "source": {"component": MANAGED_BY},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        },
    )
