"""What is left of actions that are gone, each by name and with its reason. Pure.

A leftover is what never became a point. The data of a Ready point is freed by a
RetireAction alone: whatever a point or a manifest names is never in this list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.model.kinds import RawObject
from console.engine.model.names import (
    ANNOTATION_KEPT_UNTIL,
    ANNOTATION_RECLAIM_POLICY,
    ANNOTATION_RESTORED_BY,
    CHECK_UID,
    LABEL_ACTION_UID,
    LABEL_POINT,
    LABEL_ROLE,
    WORKERS_NAMESPACE,
)
from console.engine.model.points import PointManifest, RestorePointContent
from console.engine.model.views import Leftover
from console.engine.plan.raw import (
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    part,
    text,
    uid_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDED = "its action has ended"
_CHECK = "it belongs to a check of the cluster that was interrupted"
_NEVER = "it belongs to a backup that was interrupted and never became a point"


class SweepFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in a cluster when leftovers are looked for. Objects are raw."""

    unfinished: frozenset[str]  # uids of actions still to be carried out, and of a running check
    retiring: frozenset[str] = frozenset()  # contents that an unfinished RetireAction names
    contents: tuple[RestorePointContent, ...] = ()
    manifests: tuple[tuple[RawObject, PointManifest], ...] = ()  # Secrets with what they hold
    ready: frozenset[str] = frozenset()  # names of the manifest Secrets of complete points
    working: tuple[RawObject, ...] = ()  # Jobs, claims and Secrets in kubehaven-workers
    snapshots: tuple[RawObject, ...] = ()  # our VolumeSnapshots, of all namespaces
    snapshot_contents: tuple[RawObject, ...] = ()  # all VolumeSnapshotContents
    twins: tuple[RawObject, ...] = ()  # PersistentVolumes of ours, on the data of others
    volumes: tuple[RawObject, ...] = ()  # PersistentVolumes that we have set to Retain
    claims: tuple[RawObject, ...] = ()  # that such volumes are bound to
    kept: tuple[RawObject, ...] = ()  # PersistentVolumes that are kept for an undo
    undoing: frozenset[str] = frozenset()  # names of those that an unfinished action swaps
    now: str = ""  # the API server's time, RFC 3339 UTC; empty: nothing is out of date
    our_classes: frozenset[str] = frozenset()  # names of our copies of VolumeSnapshotClasses
    cutting: bool = False  # an unfinished BackupAction, or a check, may be in its cut


def plan_sweep(facts: SweepFacts) -> tuple[Leftover, ...]:
    """Every leftover, in the order in which they go."""
    found = [
        *_volumes(facts),  # before their claims: with the claim gone nobody knows whose they are
        *_kept(facts),
        *_working(facts),
        *_twins(facts),
        *_cuts(facts),
        *_manifests(facts),
        *_points(facts),
    ]
    return tuple({(one.resource, one.namespace, one.name): one for one in found}.values())


def _volumes(facts: SweepFacts) -> Iterator[Leftover]:
    """Volumes of a hand-over that ended before their reclaim policy went back."""
    claims = {uid_of(claim): claim for claim in facts.claims}
    for volume in facts.volumes:
        policy = annotations_of(volume).get(ANNOTATION_RECLAIM_POLICY, "")
        claim = claims.get(text(volume, "spec", "claimRef", "uid"))
        bound = text(volume, "status", "phase") == "Bound"
        if not policy or claim is None or not bound or _owner(claim) in facts.unfinished:
            continue  # a Released volume stays Retain: its data would be gone within a second
        yield _leftover(
            volume,
            "persistentvolumes",
            f"its restore has ended; its reclaim policy goes back to {policy}",
            verb="return",
        )


def _kept(facts: SweepFacts) -> Iterator[Leftover]:
    """Old volumes of restores in place, past the time in which an undo could have them back."""
    for volume in facts.kept:
        until = str(annotations_of(volume).get(ANNOTATION_KEPT_UNTIL, ""))
        bound = text(volume, "status", "phase") == "Bound"
        if not until or until >= facts.now or bound or name_of(volume) in facts.undoing:
            continue
        yield _leftover(
            volume,
            "persistentvolumes",
            f"it was kept for an undo until {until}; its own reclaim policy applies again",
            verb="release",
        )


def _owner(claim: RawObject) -> object:
    if namespace_of(claim) == WORKERS_NAMESPACE:
        return labels_of(claim).get(LABEL_ACTION_UID, "")
    return annotations_of(claim).get(ANNOTATION_RESTORED_BY, "")


_RESOURCES = {
    "Job": "jobs.batch",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Secret": "secrets",
}


def _working(facts: SweepFacts) -> Iterator[Leftover]:
    order = tuple(_RESOURCES)
    for raw in sorted(facts.working, key=lambda raw: (order.index(raw["kind"]), name_of(raw))):
        action = labels_of(raw).get(LABEL_ACTION_UID)
        if action and action not in facts.unfinished:
            why = _CHECK if _of_check(raw) else _ENDED
            yield _leftover(raw, _RESOURCES[raw["kind"]], why)


def _of_check(raw: RawObject) -> bool:
    """Whether a check of the cluster made it: nothing of it ever becomes a point."""
    return str(labels_of(raw).get(LABEL_ACTION_UID, "")).startswith(CHECK_UID)


def _twins(facts: SweepFacts) -> Iterator[Leftover]:
    for twin in sorted(facts.twins, key=name_of):
        if labels_of(twin).get(LABEL_ACTION_UID, "") not in facts.unfinished:
            reason = f"{_ENDED}; the data belongs to another volume and stays"
            yield _leftover(twin, "persistentvolumes", reason)


def _cuts(facts: SweepFacts) -> Iterator[Leftover]:
    """Snapshots of cuts that never became a point; a point's own handles are out of reach."""
    building = {c.spec.id for c in facts.contents if c.status.state == "Building"}
    points = {c.spec.id for c in facts.contents} - building
    protected = set(_handles(facts))
    contents = {name_of(raw): raw for raw in facts.snapshot_contents}
    for snapshot in sorted(facts.snapshots, key=lambda raw: (namespace_of(raw), name_of(raw))):
        labels = labels_of(snapshot)
        if labels.get(LABEL_ACTION_UID, "") in facts.unfinished:
            continue
        lasting = labels.get(LABEL_ROLE) != "cut" and not _of_check(snapshot)
        if lasting and labels.get(LABEL_POINT) not in building:
            continue  # an adopted snapshot outlives a forgotten point; it can be adopted again
        bound = contents.get(text(snapshot, "status", "boundVolumeSnapshotContentName"))
        if bound is not None and _handle(bound) in protected:
            continue
        why = _CHECK if _of_check(snapshot) else _NEVER
        yield _leftover(snapshot, "volumesnapshots.snapshot.storage.k8s.io", why)
        if bound is not None:
            yield _freed(bound)
    yield from _orphaned_cuts(facts, protected)
    for raw in facts.snapshot_contents:
        labels = labels_of(raw)
        point = labels.get(LABEL_POINT)
        ended = labels.get(LABEL_ACTION_UID, "") not in facts.unfinished
        never = _of_check(raw) or (point in building and point not in points)
        if never and ended and _handle(raw) not in protected:
            yield _freed(raw)


def _orphaned_cuts(facts: SweepFacts, protected: set[str]) -> Iterator[Leftover]:
    """Contents of a cut whose VolumeSnapshot went with its namespace: Retain keeps them."""
    if facts.cutting:
        return  # the name of a cut tells nothing about whose it is
    there = {(namespace_of(raw), name_of(raw)) for raw in facts.snapshots}
    for raw in facts.snapshot_contents:
        ref = part(raw, "spec", "volumeSnapshotRef")
        of_ours = text(raw, "spec", "volumeSnapshotClassName") in facts.our_classes
        adopted = text(raw, "spec", "source", "snapshotHandle")
        lost = (text(ref, "namespace"), text(ref, "name")) not in there
        if of_ours and lost and not adopted and _handle(raw) not in protected:
            yield _freed(raw)


def _handles(facts: SweepFacts) -> Iterator[str]:
    """The handles that a point names: by its content, or by the manifest that brings it back."""
    volumes = [
        volume
        for content in facts.contents
        if content.status.state != "Building"
        for volume in content.status.volumes
    ]
    volumes += [
        volume
        for secret, manifest in facts.manifests
        if name_of(secret) in facts.ready
        for volume in manifest.volumes
    ]
    yield from (volume.snapshot.handle for volume in volumes if volume.snapshot is not None)


def _handle(content: RawObject) -> str:
    return text(content, "status", "snapshotHandle") or text(
        content, "spec", "source", "snapshotHandle"
    )


def _manifests(facts: SweepFacts) -> Iterator[Leftover]:
    for secret, manifest in facts.manifests:
        if name_of(secret) not in facts.ready and manifest.actionUID not in facts.unfinished:
            yield _leftover(secret, "secrets", _NEVER)


def _points(facts: SweepFacts) -> Iterator[Leftover]:
    resource = "restorepointcontents.kubehaven.io"
    whole = {manifest.id for secret, manifest in facts.manifests if name_of(secret) in facts.ready}
    for content in facts.contents:
        meta, state = content.metadata, content.status.state
        if state == "Building" and content.spec.actionUID in facts.unfinished:
            continue
        if state == "Building" and content.spec.id in whole:
            yield Leftover(
                verb="complete",
                resource=resource,
                name=meta.name,
                uid=meta.uid,
                reason="its backup had ended but for the last word: it is a restore point",
            )
        elif state == "Building":
            yield Leftover(
                verb="delete", resource=resource, name=meta.name, uid=meta.uid, reason=_NEVER
            )
        elif state == "Retiring" and meta.name not in facts.retiring:
            yield Leftover(
                verb="mark",
                resource=resource,
                name=meta.name,
                uid=meta.uid,
                reason="its retirement was interrupted and its action is gone: it is Damaged now, "
                "retire it again",
            )


def _freed(content: RawObject) -> Leftover:
    why = _CHECK if _of_check(content) else _NEVER
    return _leftover(content, "volumesnapshotcontents.snapshot.storage.k8s.io", why, verb="free")


def _leftover(raw: RawObject, resource: str, reason: str, *, verb: str = "delete") -> Leftover:
    return msgspec.convert(
        {
            "verb": verb,
            "resource": resource,
            "namespace": namespace_of(raw),
            "name": name_of(raw),
            "uid": uid_of(raw),
            "reason": reason,
        },
        Leftover,
    )
