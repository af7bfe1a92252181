"""What exactly a restore does: a value that is shown, hashed, and then carried out.

The hash names the work: the point, the target, every object as it will be
created, every volume. It is the same in a preview and in the action, before and
after the engine was replaced half-way; it depends neither on the order in which
objects were read nor on anything that the target's server counts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from console.engine.model.kinds import CLAIMS, NAMESPACES, Kind
from console.engine.model.names import ANNOTATION_RESTORED_BY
from console.engine.model.points import VolumeArtifact
from console.engine.model.quantity import quantity_bytes
from console.engine.model.views import Blocker, PlannedObject, PointVolumeView, RestorePreview
from console.engine.plan import findings
from console.engine.plan.cautions import about_copies, warnings
from console.engine.plan.facts import LiveClass, LiveFacts, LiveObject, served_by_kind
from console.engine.plan.order import waves
from console.engine.plan.owners import PlannedOwner, planned_owners
from console.engine.plan.raw import group_kind, name_of, namespace_of, part, text, uid_of
from console.engine.plan.sanitise import RestoreContext, sanitise
from console.engine.plan.swap_plan import SwapPlan, plan_swap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from console.engine.facade import RestoreRequest
    from console.engine.model.kinds import RawObject
    from console.engine.model.points import RestorePointContent

Verb = Literal["create", "update", "keep"]


class PlannedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a restore."""

    kind: Kind
    obj: dict[str, Any]  # as it will be created
    verb: Verb = "create"  # `keep`: stays as it is; `update`: its volume is swapped
    changes: tuple[str, ...] = ()  # what was removed or changed, in words
    done: bool = False  # this same action made it already
    owners: tuple[PlannedOwner, ...] = ()  # set when all objects are there

    @property
    def name(self) -> str:
        """The object's name."""
        return name_of(self.obj)


class PlannedVolume(msgspec.Struct, frozen=True, kw_only=True):
    """One claim with data: filled in `kubehaven-workers`, then handed over."""

    claim: PlannedItem  # created by the hand-over, bound to its volume by name
    artifact: VolumeArtifact  # how it was, and where its data is
    size: int  # bytes to ask for
    storage_class: str  # that it will have; empty when none could be found (a blocker says so)
    access_modes: tuple[str, ...]
    volume_mode: str


class RestorePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A restore, before it is done. Nothing may be written while there are blockers."""

    point: str  # id
    target: str
    namespace: PlannedItem
    waves: tuple[tuple[PlannedItem, ...], ...]  # all but the Namespace and `volumes`
    volumes: tuple[PlannedVolume, ...]
    owner_map: tuple[tuple[int, int], ...] = ()  # of the files in the volumes
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[Blocker, ...] = ()
    hash: str = ""
    in_place: bool = False
    swap: SwapPlan = SwapPlan()


def plan_restore(
    objects: Iterable[RawObject],
    *,
    point: RestorePointContent,
    request: RestoreRequest,
    live: LiveFacts,
    action_uid: str = "",
) -> RestorePlan:
    """Plan a restore of a point's objects and volumes into one namespace.

    Args:
        objects: As they were stored, in any order; what a backup leaves out was left out.
        action_uid: The RestoreAction's; empty for a preview. Stamped on all that is made;
            what stands in the target with this stamp is no clash.
    """
    context = _context(point, request, action_uid)
    planner = _Planner(context, live, in_place=request.in_place, sizes=request.claim_sizes)
    stored = tuple(obj for wave in waves(objects) for obj in wave)
    planned = _owned(
        [(obj, planner.item(obj)) for obj in stored if group_kind(obj) != ("", "Namespace")]
    )
    stored_as = {volume.pvc: volume for volume in point.status.volumes}
    claims = {item.name: item for item in planned if item.kind == CLAIMS}
    with_data = {name: item for name, item in claims.items() if name in stored_as}
    made = [planner.volume(item, stored_as[name]) for name, item in sorted(with_data.items())]
    rest = [item for item in planned if with_data.get(item.name) is not item]
    plan = RestorePlan(
        point=point.spec.id,
        target=context.target_namespace,
        namespace=planner.namespace(stored),
        waves=_in_waves(rest),
        volumes=tuple(made),
        in_place=request.in_place,
        swap=_swap(live, with_data),
        owner_map=findings.owner_pairs(request.owner_map),
    )
    found = (
        *findings.about_point(point, with_data),
        *findings.about_namespace(context.target_namespace, live),
    )
    cautions = (
        *about_copies(point),
        *warnings(stored, context=context, live=live, mapped=request.owner_map),
    )
    return msgspec.structs.replace(
        plan,
        blockers=(*found, *planner.blockers, *plan.swap.blockers, *_asked(request, with_data)),
        warnings=(*cautions, *plan.swap.warnings),
        hash=_hash(plan),
    )


def _context(
    point: RestorePointContent, request: RestoreRequest, action_uid: str
) -> RestoreContext:
    source = point.spec.application.namespace
    return RestoreContext(
        source_namespace=source,
        target_namespace=request.target or source,
        action_uid=action_uid,
        storage_class_map=dict(request.storage_class_map),
    )


def _asked(request: RestoreRequest, with_data: Collection[str]) -> Iterator[Blocker]:
    """What is wrong with the request itself."""
    yield from findings.about_owners(request.owner_map)
    yield from findings.about_sizes(request.claim_sizes, with_data)


def to_preview(plan: RestorePlan, *, cluster: str = "") -> RestorePreview:
    """The plan as people see it, in the order it is carried out."""
    claims = [volume.claim for volume in plan.volumes]
    rest = [item for wave in plan.waves for item in wave]
    return RestorePreview(
        cluster=cluster,
        point=plan.point,
        target=plan.target,
        objects=tuple(_shown(item) for item in (plan.namespace, *claims, *rest)),
        volumes=tuple(
            PointVolumeView(
                pvc=volume.claim.name,
                size=volume.size,
                logical_size=volume.artifact.logicalSize or -1,
                physical_size=volume.artifact.physicalSize or -1,
                crash_consistent=volume.artifact.crashConsistent,
                copied_at=volume.artifact.copiedAt,
            )
            for volume in plan.volumes
        ),
        blockers=plan.blockers,
        warnings=plan.warnings,
        stops=tuple(f"{one.kind} {one.name}" for one in plan.swap.workloads),
        swaps=tuple(f"{one.pvc}: {one.old}" for one in plan.swap.volumes if one.old),
        hash=plan.hash,
    )


class _Planner:
    """Plans object by object; collects blockers on the way."""

    def __init__(
        self, context: RestoreContext, live: LiveFacts, *, in_place: bool, sizes: dict[str, str]
    ) -> None:
        self.context = context
        self.in_place = in_place
        self.live = live
        self.sizes = sizes
        self.blockers: list[Blocker] = []
        self._served = served_by_kind(live.served)
        self._there = {(obj.resource, obj.name): obj for obj in live.objects}

    def item(self, obj: RawObject) -> PlannedItem:
        kind = self._kind(obj)
        made, changes = sanitise(obj, context=self.context)
        there = self._there.get((kind.resource, name_of(made)))
        ours = there is not None and self._is_ours(there)
        if there and not ours and self.in_place:
            return PlannedItem(kind=kind, obj=made, verb="keep")
        if there and not ours:
            self.blockers.append(findings.exists(kind, self.context.target_namespace, made))
        return PlannedItem(kind=kind, obj=made, changes=changes, done=ours)

    def namespace(self, stored: tuple[RawObject, ...]) -> PlannedItem:
        target, live = self.context.target_namespace, self.live
        bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target}}
        found = next((obj for obj in stored if group_kind(obj) == ("", "Namespace")), bare)
        made, changes = sanitise(found, context=self.context)
        ours = bool(self.context.action_uid) and (
            live.namespace_restored_by == self.context.action_uid
        )
        keeps = live.namespace_state != "absent" and not ours
        return PlannedItem(
            kind=NAMESPACES,
            obj=made,
            verb="keep" if keeps else "create",
            changes=() if keeps else changes,
            done=ours,
        )

    def volume(self, item: PlannedItem, artifact: VolumeArtifact) -> PlannedVolume:
        spec = part(item.obj, "spec")
        chosen = findings.class_of(item.obj, self.live.storage_classes)
        if isinstance(chosen, Blocker):
            self.blockers.append(chosen)
        else:
            self.blockers += findings.about_volume(artifact, chosen, item.obj)
        name = chosen.name if isinstance(chosen, LiveClass) else ""
        size = findings.size_of(item.obj, artifact)
        wanted = quantity_bytes(self.sizes.get(item.name, ""))
        if 0 <= wanted < size and item.name in self.sizes:
            self.blockers.append(findings.too_small(item.obj, wanted, size))
        size = max(size, wanted)
        return PlannedVolume(
            claim=msgspec.structs.replace(
                item,
                verb="update" if item.verb == "keep" else item.verb,
                obj=findings.sized(item.obj, size, name),
            ),
            artifact=artifact,
            size=size,
            storage_class=name,
            access_modes=tuple(spec.get("accessModes") or artifact.accessModes),
            volume_mode=text(item.obj, "spec", "volumeMode") or artifact.volumeMode,
        )

    def _is_ours(self, there: LiveObject) -> bool:
        return bool(self.context.action_uid) and there.restored_by == self.context.action_uid

    def _kind(self, obj: RawObject) -> Kind:
        what = group_kind(obj)
        version = text(obj, "apiVersion").rpartition("/")[2]
        kind = self._served.get((what, version))
        if kind:
            return kind
        self.blockers.append(findings.not_served(obj, self.live.served))
        return Kind(
            what.group, version, f"{what.kind.lower()}s", what.kind, bool(namespace_of(obj))
        )


def _owned(planned: list[tuple[RawObject, PlannedItem]]) -> list[PlannedItem]:
    """The items with their owners, as far as these are in the same point."""
    by_uid = {uid_of(obj): (item.kind, item.name) for obj, item in planned if uid_of(obj)}
    made = []
    for obj, item in planned:
        owners = planned_owners(obj, by_uid)
        if owners and item.verb == "create":
            names = ", ".join(f"{owner.kind.kind} {owner.name}" for owner in owners)
            said = f"ownerReferences set again, with new uids, when all is there: {names}"
            changes = (*item.changes, said)
            made.append(msgspec.structs.replace(item, owners=owners, changes=changes))
        else:
            made.append(item)
    return made


def _swap(live: LiveFacts, claims: Iterable[str]) -> SwapPlan:
    return plan_swap(live.swap.objects, live.served, set(claims)) if live.swap else SwapPlan()


def _in_waves(planned: list[PlannedItem]) -> tuple[tuple[PlannedItem, ...], ...]:
    # sanitising keeps group, kind and the order inside a wave; items are looked up by identity
    by_obj = {id(item.obj): item for item in planned}
    return tuple(
        tuple(by_obj[id(obj)] for obj in wave) for wave in waves(item.obj for item in planned)
    )


def _shown(item: PlannedItem) -> PlannedObject:
    reason = ""
    if item.done:
        reason = "made by this action already"
    elif item.verb == "update":
        reason = "it gets another volume; the old one is kept for 24 h, for an undo"
    elif item.verb == "keep":
        reason = "it is there and stays as it is"
    return PlannedObject(
        verb=item.verb,
        resource=item.kind.resource,
        namespace=namespace_of(item.obj),
        name=item.name,
        changes=item.changes,
        reason=reason,
    )


def _hash(plan: RestorePlan) -> str:
    work: dict[str, Any] = {
        "point": plan.point,
        "target": plan.target,
        "namespace": [plan.namespace.verb, _unstamped(plan.namespace)],
        "objects": [[_unstamped(item) for item in wave] for wave in plan.waves],
        "volumes": [[_unstamped(v.claim), v.artifact, v.storage_class] for v in plan.volumes],
    }
    if plan.in_place:
        work["inPlace"] = True
    if plan.owner_map:
        work["owners"] = plan.owner_map
    items = [*(item for wave in plan.waves for item in wave), *(v.claim for v in plan.volumes)]
    owned = [[item.kind.resource, item.name, item.owners] for item in items if item.owners]
    if owned:
        work["owned"] = owned
    return hashlib.sha256(msgspec.json.encode(work, order="sorted")).hexdigest()


def _unstamped(item: PlannedItem) -> RawObject:
    metadata = part(item.obj, "metadata")
    notes = part(metadata, "annotations")
    kept = {key: value for key, value in notes.items() if key != ANNOTATION_RESTORED_BY}
    return {**item.obj, "metadata": {**metadata, "annotations": kept}}
