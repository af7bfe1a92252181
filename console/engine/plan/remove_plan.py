"""What *remove* takes out of a cluster, what it keeps, and what stands in its way. Pure.

Out go our kinds with all their objects, roles, policies and accounts. What holds data
stays: the Secrets of `kubehaven` (keys, manifests, packs), the VolumeSnapshots of
`kubehaven-workers`, both namespaces. With them a later *prepare* brings local points back.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from console.engine.model import kinds
from console.engine.model.intent import Location
from console.engine.model.kinds import Kind, RawObject
from console.engine.model.names import LABEL_ROLE, LEASE, NAMESPACE
from console.engine.model.points import RestorePointContent
from console.engine.model.record import Action
from console.engine.model.views import (
    Blocker,
    GoneRecords,
    LostLocation,
    RemovedObject,
    RemovePlan,
)
from console.engine.plan.raw import labels_of, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterator


_WAITS_FOR_EVER = frozenset({"SelfServiceUnavailable", "OtherRequester", "RequesterMissing"})
_SECRETS = {
    "location-key": "the key of a location: without it or the recovery kit its data is lost",
    "location-credentials": "the access key of a location",
    "manifest": "brings a local restore point back",
    "objects-key": "opens the objects of local restore points",
    "pack": "objects of local restore points",
    "repository": "what the password of a repository is made of",
}


class Standing(NamedTuple):
    """One object that is there."""

    kind: Kind
    raw: RawObject


class RemoveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a cluster. Objects are raw; of Secrets, nothing but the metadata."""

    cluster: str
    crds: tuple[RawObject, ...] = ()  # of our group
    ours: tuple[Standing, ...] = ()  # what *prepare* wrote, in the order in which it goes
    lease: RawObject = {}  # as it stands; empty: there is none
    driven_by: str = ""  # another engine, whose Lease holds
    records: tuple[tuple[str, int], ...] = ()  # objects of our kinds, by resource
    actions: tuple[Action, ...] = ()
    locations: tuple[Location, ...] = ()
    contents: tuple[RestorePointContent, ...] = ()
    secrets: tuple[RawObject, ...] = ()  # ours, in `kubehaven`
    kept: tuple[tuple[Standing, str], ...] = ()  # what else stays, each with the reason
    newer: str = ""  # version of a newer Kubehaven that prepared the cluster
    retiring: tuple[Blocker, ...] = ()  # why the local points can't be freed


def plan_remove(facts: RemoveFacts, *, retire_local: bool) -> RemovePlan:
    """The plan as it is shown; its hash is over what would be deleted, freed and lost."""
    local = sorted(
        content.metadata.name
        for content in facts.contents
        if content.spec.kind == "local" and content.status.state in {"Ready", "Damaged"}
    )
    objects = (*_deleted(facts), *_kept(facts, retire_local=retire_local))
    plan = RemovePlan(
        cluster=facts.cluster,
        objects=objects,
        records=tuple(GoneRecords(resource=name, count=n) for name, n in facts.records if n),
        retires=tuple(local) if retire_local else (),
        locations=tuple(_lost(location) for location in facts.locations),
        blockers=tuple(_blockers(facts, retire_local=retire_local)),
    )
    exact = [*sorted(deleted_uids(facts)), plan.retires, plan.locations]
    digest = hashlib.sha256(msgspec.json.encode(exact, order="sorted")).hexdigest()
    return msgspec.structs.replace(plan, hash=digest)


def deleted(facts: RemoveFacts) -> tuple[Standing, ...]:
    """What goes, in order: the CRDs first, for nothing of ours can run without them."""
    return (*(Standing(kinds.CRDS, raw) for raw in facts.crds), *facts.ours)


def deleted_uids(facts: RemoveFacts) -> set[str]:
    """The uids of what goes."""
    return {uid_of(one.raw) for one in deleted(facts)}


def still_working(facts: RemoveFacts) -> tuple[Action, ...]:
    """The actions that an engine has to end, or to begin, before anything may go."""
    return tuple(
        action
        for action in facts.actions
        if action.status.phase != "Finished"
        and not (action.status.phase == "Pending" and action.status.reason in _WAITS_FOR_EVER)
    )


def _deleted(facts: RemoveFacts) -> Iterator[RemovedObject]:
    for kind, raw in deleted(facts):
        reason = "with every object of its kind" if kind == kinds.CRDS else ""
        yield _object("delete", kind, raw, reason)
    if facts.lease:
        yield RemovedObject(
            verb="delete", resource=kinds.LEASES.resource, namespace=NAMESPACE, name=LEASE
        )


def _kept(facts: RemoveFacts, *, retire_local: bool) -> Iterator[RemovedObject]:
    freed = {"manifest", "pack"} if retire_local else set()
    for raw in facts.secrets:
        role = str(labels_of(raw).get(LABEL_ROLE, ""))
        if role not in freed:
            yield _object("keep", kinds.SECRETS, raw, _SECRETS.get(role, "it is in use"))
    for (kind, raw), reason in facts.kept:
        if not (retire_local and kind == kinds.SNAPSHOTS):
            yield _object("keep", kind, raw, reason)


def _object(verb: str, kind: Kind, raw: RawObject, reason: str) -> RemovedObject:
    return RemovedObject(
        verb="delete" if verb == "delete" else "keep",
        resource=kind.resource,
        namespace=namespace_of(raw),
        name=name_of(raw),
        reason=reason,
    )


def _lost(location: Location) -> LostLocation:
    bucket, folder = location.spec.objectStore, location.spec.fileStore
    lost = LostLocation(name=location.metadata.name, folder=folder.path if folder else "")
    if bucket is None:
        return lost
    return msgspec.structs.replace(
        lost,
        bucket=bucket.name,
        endpoint=bucket.endpoint,
        region=bucket.region,
        prefix=bucket.path,
        virtual_host_style=not bucket.pathStyle,
        skip_tls_verify=bucket.skipSSLVerify,
    )


def _blockers(facts: RemoveFacts, *, retire_local: bool) -> Iterator[Blocker]:
    if facts.newer:
        yield Blocker(
            code="remove.newer",
            message=f"Kubehaven {facts.newer} prepared this cluster",
            object=facts.cluster,
            hint="update this Kubehaven, or remove it with that one",
        )
    if facts.driven_by:
        yield Blocker(
            code="remove.driven",
            message=f"{facts.driven_by} drives the cluster",
            object=f"leases/{LEASE}",
            hint="stop that engine first",
        )
    for action in still_working(facts)[:20]:
        meta = action.metadata
        yield Blocker(
            code="remove.busy",
            message=f"the action has not ended: {action.status.phase}",
            object=f"{type(action).__name__} {meta.namespace}/{meta.name}",
            hint="let it end, or cancel it: kubehaven action cancel",
        )
    if retire_local:
        yield from facts.retiring
