"""What stands in a restore's way (blockers), and what a person should know (warnings)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.model.quantity import quantity_text
from console.engine.model.views import Blocker
from console.engine.plan.raw import (
    GroupKind,
    describe,
    group_kind,
    items,
    name_of,
    namespace_of,
    part,
    text,
)
from console.engine.plan.snapshots import claim_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.record import RestorePointContent, VolumeArtifact
    from console.engine.plan.draft import RestoreContext
    from console.engine.plan.facts import LiveClass, LiveFacts


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
        elif not volume.snapshot and not volume.repositorySnapshot:
            yield Blocker(
                code="point.data_missing",
                message="the point has the claim, but not its data",
                object=f"PersistentVolumeClaim {volume.pvc}",
                hint="the point is damaged; choose another one",
            )


def about_namespace(target: str, live: LiveFacts) -> Iterator[Blocker]:
    """Why nothing can be written to the target namespace."""
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
        hint="restore into a new namespace, or delete what is there",
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


def warnings(
    objects: Iterable[RawObject], *, context: RestoreContext, served: Sequence[Kind]
) -> tuple[Blocker, ...]:
    """What a person should know before the restore; nothing here stops it."""
    groups = {kind.group for kind in served}
    found: list[Blocker] = []
    for obj in objects:
        found += _about_finalizers(obj, groups)
        found += _about_addresses(obj)
        if context.moves:
            found += _about_hosts(obj)
    return tuple(found)


_KNOWN_FINALIZERS = frozenset({"foregroundDeletion", "orphan"})


def _about_finalizers(obj: RawObject, groups: set[str]) -> Iterator[Blocker]:
    """MA c.9 rule 6: nobody will take it off, and the namespace can never be deleted."""
    if group_kind(obj) == ("", "Namespace"):
        return
    for finalizer in part(obj, "metadata").get("finalizers") or ():
        domain = finalizer.partition("/")[0]
        if finalizer in _KNOWN_FINALIZERS or domain in groups or domain.endswith("kubernetes.io"):
            continue
        yield Blocker(
            code="restore.finalizer",
            message=f"the finalizer {finalizer} is kept; no kind of {domain} is served, so its "
            "controller may be absent and the object could not be deleted",
            object=describe(obj),
            hint="check that its controller runs in the target",
        )


def _about_addresses(obj: RawObject) -> Iterator[Blocker]:
    """MA c.9 rule 4: addresses that belong to the source's network."""
    if group_kind(obj) != ("", "Service"):
        return
    spec = part(obj, "spec")
    for field in ("externalIPs", "loadBalancerIP"):
        if spec.get(field):
            shown = spec[field] if isinstance(spec[field], str) else ", ".join(spec[field])
            yield Blocker(
                code="restore.address",
                message=f"the Service keeps {field} {shown}",
                object=describe(obj),
                hint="check that this address belongs to the target",
            )


_ROUTED = {
    GroupKind("networking.k8s.io", "Ingress"): ("spec", "rules"),
    GroupKind("extensions", "Ingress"): ("spec", "rules"),
}


def _about_hosts(obj: RawObject) -> Iterator[Blocker]:
    """Two namespaces that answer for one host name."""
    kind = group_kind(obj)
    hosts: list[str] = []
    if kind in _ROUTED:
        hosts = [text(rule, "host") for rule in items(obj, *_ROUTED[kind])]
    elif kind in {("route.openshift.io", "Route"), ("gateway.networking.k8s.io", "HTTPRoute")}:
        names = part(obj, "spec").get("hostnames") or ()
        hosts = [text(obj, "spec", "host"), *names]
    if any(hosts):
        yield Blocker(
            code="restore.host",
            message=f"it answers for {', '.join(host for host in hosts if host)}, "
            f"as the one in {namespace_of(obj)} does",
            object=describe(obj),
            hint="change the host name after the restore, or remove the other one",
        )
