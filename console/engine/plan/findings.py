"""What stands in a restore's way: blockers, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.model.names import NAMESPACE, WORKERS_NAMESPACE
from console.engine.model.quantity import quantity_bytes, quantity_text
from console.engine.model.views import Blocker
from console.engine.plan.raw import (
    describe,
    group_kind,
    name_of,
    part,
    text,
)
from console.engine.plan.snapshots import claim_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.points import RestorePointContent, VolumeArtifact
    from console.engine.plan.facts import LiveClass, LiveFacts

_LAST_OWNER = 2**32 - 2


def about_point(point: RestorePointContent, claims: Collection[str]) -> Iterator[Blocker]:
    """Why a point can't be restored at all."""
    state, subject = point.status.state, f"RestorePointContent {point.metadata.name}"
    if state != "Ready":
        why = f": {point.status.reason}" if point.status.reason else ""
        yield Blocker(
            code="point.not_ready",
            message=f"the restore point is {state}{why}",
            object=subject,
            hint="choose another restore point of the application",
        )
    for volume in point.status.volumes:
        if volume.pvc not in claims:
            yield Blocker(
                code="point.claim_missing",
                message="the point has the volume's data, but not its claim",
                object=f"PersistentVolumeClaim {volume.pvc}",
                hint="the point is damaged; choose another one",
            )
        elif point.spec.kind == "local" and volume.claimUID and not volume.snapshot:
            yield Blocker(
                code="point.data_exported_only",
                message="no snapshot is possible of this claim: this point has it without its "
                "data, only an exported copy of the point has that",
                object=f"PersistentVolumeClaim {volume.pvc}",
                hint="restore the exported copy; see kubehaven point list",
            )
        elif not volume.snapshot and not volume.repositorySnapshot:
            yield Blocker(
                code="point.data_missing",
                message="the point has the claim, but not its data",
                object=f"PersistentVolumeClaim {volume.pvc}",
                hint="the point is damaged; choose another one",
            )


def about_namespace(target: str, live: LiveFacts) -> Iterator[Blocker]:
    """Why nothing can be written to the target namespace."""
    if target in {NAMESPACE, WORKERS_NAMESPACE}:
        yield Blocker(
            code="restore.own_namespace",
            message=f"{target} holds Kubehaven's own records and keys",
            object=f"Namespace {target}",
            hint="restore into another namespace",
        )
    if live.namespace_state == "terminating":
        yield Blocker(
            code="restore.terminating",
            message="the target namespace is being deleted",
            object=f"Namespace {target}",
            hint="wait until it is gone, or restore into another namespace",
        )


def exists(kind: Kind, target: str, obj: RawObject) -> Blocker:
    """An object that is there and was not made by this action."""
    claim = group_kind(obj) == ("", "PersistentVolumeClaim")
    what = "a claim with its own data" if claim else "an object"
    return Blocker(
        code="restore.exists",
        message=f"{what} of this name is in the target namespace",
        object=f"{kind.kind} {target}/{name_of(obj)}",
        hint="restore in place, or into a new namespace, or delete what is there",
    )


def not_served(obj: RawObject, served: Iterable[Kind]) -> Blocker:
    """A kind that the target does not know."""
    what = group_kind(obj)
    others = sorted(
        kind.api_version for kind in served if (kind.group, kind.kind) == (what.group, what.kind)
    )
    hint = (
        f"the target serves it as {', '.join(others)} only"
        if others
        else "install what brings this kind (its CustomResourceDefinition) into the target first"
    )
    return Blocker(
        code="restore.not_served",
        message=f"the target does not know {text(obj, 'apiVersion')} {what.kind}",
        object=describe(obj),
        hint=hint,
    )


def class_of(claim: RawObject, classes: Sequence[LiveClass]) -> LiveClass | Blocker:
    """The storage class that a planned claim will have in the target."""
    wanted = text(claim, "spec", "storageClassName")
    names = sorted(known.name for known in classes)
    there = f"the target has: {', '.join(names)}" if names else "the target has no storage class"
    if wanted:
        found = next((known for known in classes if known.name == wanted), None)
        return found or Blocker(
            code="restore.no_class",
            message=f"the target has no storage class {wanted}",
            object=describe(claim),
            hint=f"map {wanted} to another class; {there}",
        )
    defaults = [known for known in classes if known.is_default]
    static = "storageClassName" in part(claim, "spec")
    if not static and len(defaults) == 1:
        return defaults[0]
    why = "it was made for a volume without a class" if static else "the target has no one default"
    return Blocker(
        code="restore.class_needed",
        message=f"the claim names no storage class, and {why}",
        object=describe(claim),
        hint=f'map "" (claims without a class) to a class; {there}',
    )


def about_volume(volume: VolumeArtifact, chosen: LiveClass, claim: RawObject) -> Iterator[Blocker]:
    """Why a volume can't be filled in its class."""
    if chosen.templated:
        yield Blocker(
            code="restore.templated_class",
            message=f"the storage class {chosen.name} makes secrets' names from the claim's name "
            "(${pvc.…}), so a volume can't be filled elsewhere and handed over",
            object=describe(claim),
            hint="map it to a class without such parameters",
        )
    if volume.snapshot and volume.snapshot.driver != chosen.provisioner:
        yield Blocker(
            code="restore.other_driver",
            message=f"a snapshot of {volume.snapshot.driver} can't become a volume of "
            f"{chosen.provisioner} (storage class {chosen.name})",
            object=describe(claim),
            hint="restore the exported copy of this point, or map to a class of the same driver",
        )
    if not volume.snapshot and volume.volumeMode == "Block":
        yield Blocker(
            code="restore.block",
            message="a block volume can't be restored from a location yet",
            object=describe(claim),
            hint="restore a local point",
        )


def owner_pairs(owner_map: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """The owners to map, sorted; what is no number is left to `about_owners`."""
    return tuple(sorted((int(old), new) for old, new in owner_map.items() if _is_owner(old)))


def about_owners(owner_map: Mapping[str, int]) -> Iterator[Blocker]:
    """Why owners can't be mapped like this."""
    for old, new in owner_map.items():
        if not _is_owner(old) or not 0 <= new <= _LAST_OWNER:
            yield Blocker(
                code="restore.owner_map",
                message=f"{old}:{new} is no pair of user or group ids",
                object="owner map",
                hint=f"use numbers from 0 to {_LAST_OWNER}",
            )
        elif old in {str(other) for other in owner_map.values()}:
            yield Blocker(
                code="restore.owner_map",
                message=f"{old} is an owner to replace and a new owner",
                object="owner map",
                hint="a pass that is repeated would map it twice; use other ids",
            )


def _is_owner(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= _LAST_OWNER


def about_sizes(sizes: Mapping[str, str], claims: Collection[str]) -> Iterator[Blocker]:
    """Sizes that nothing can have."""
    for name, size in sorted(sizes.items()):
        if name not in claims:
            yield Blocker(
                code="restore.size",
                message="a size is given for a claim whose data is not in the point",
                object=f"PersistentVolumeClaim {name}",
                hint=f"the point has: {', '.join(sorted(claims)) or 'no volumes'}",
            )
        elif quantity_bytes(size) <= 0:
            yield Blocker(
                code="restore.size",
                message=f"{size!r} is no size",
                object=f"PersistentVolumeClaim {name}",
                hint="write it as 20Gi",
            )


def too_small(claim: RawObject, wanted: int, size: int) -> Blocker:
    """A claim that was asked for smaller than its data's own volume."""
    return Blocker(
        code="restore.size",
        message=f"a volume can't become smaller: {quantity_text(wanted)} is less than "
        f"{quantity_text(size)}",
        object=describe(claim),
        hint="ask for more, or for no size at all",
    )


def size_of(claim: RawObject, volume: VolumeArtifact) -> int:
    """Bytes that the new volume must have: never less than the data's own volume had."""
    restore_size = volume.snapshot.restoreSize if volume.snapshot else 0
    return max(claim_size(claim), volume.size, restore_size)


def sized(claim: RawObject, size: int, storage_class: str) -> RawObject:
    """A claim that asks for a size and names its class."""
    spec = part(claim, "spec")
    resources = part(spec, "resources")
    requests = part(resources, "requests")
    if size > claim_size(claim):
        requests = {**requests, "storage": quantity_text(size)}
    planned = {**spec, "resources": {**resources, "requests": requests}}
    if storage_class:
        # a volume keeps the class it was filled in, and a claim must name the same one
        planned["storageClassName"] = storage_class
    return {**claim, "spec": planned}
