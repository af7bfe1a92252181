"""What a retirement would free, and what stands in its way. Pure: no I/O, no clock.

The plan names every content and its data by id; a RetireAction carries exactly
these. The same rules are asked for the preview and again before anything goes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from console.engine.model.intent import LocationSpec
from console.engine.model.points import RestorePointContent
from console.engine.model.record import RetiredData, RetiredPoint
from console.engine.model.views import Blocker, RetiredItem, RetirePreview

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from console.engine.facade import RetireRequest

MOST_SKEW_S = 60.0
MOST_POINTS, MOST_DATA = 100, 500  # as in resources/crds
_FIFTH = 5


class RetireFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a retirement is planned."""

    contents: tuple[RestorePointContent, ...]  # of the whole cluster
    cluster_uid: str
    damaged: tuple[str, ...] = ()  # names of those that are Retiring and were Damaged before
    locations: dict[str, LocationSpec] = {}  # that are there, by name
    in_use: dict[str, str] = {}  # name of a content: the unfinished action that works on it
    terminating: tuple[str, ...] = ()  # our CRDs and namespaces that are being deleted
    skew_s: float = 0.0  # between the API server's clock and this one's
    also_named_by: dict[str, tuple[str, ...]] = {}  # handle: contents of others that name it


class RetirePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A retirement as a value."""

    application: str = ""  # namespace
    points: tuple[RetiredPoint, ...] = ()
    data: tuple[RetiredData, ...] = ()
    kept: tuple[str, ...] = ()  # handles that stay, because others name them
    taken_at: dict[str, str] = {}  # by the content's name
    blockers: tuple[Blocker, ...] = ()
    warnings: tuple[Blocker, ...] = ()

    @property
    def hash(self) -> str:
        """Over what would be freed; the same for the same things."""
        named = [self.application, self.points, self.data, sorted(self.kept)]
        return hashlib.sha256(msgspec.json.encode(named, order="sorted")).hexdigest()


def plan_retire(
    chosen: Sequence[RestorePointContent], facts: RetireFacts, request: RetireRequest
) -> RetirePlan:
    """The retirement of the chosen contents."""
    chosen = sorted(chosen, key=lambda content: content.metadata.name)
    points = tuple(_point(content) for content in chosen)
    data = tuple(one for content in chosen for one in _data(content))
    kept = tuple(sorted({one.id for one in data if facts.also_named_by.get(one.id)}))
    blockers = [*_for_all(chosen, data, facts)]
    for content in chosen:
        blockers += _for_one(content, facts)
    blockers += _questions(chosen, facts, request)
    return RetirePlan(
        application=chosen[0].spec.application.namespace if chosen else "",
        points=points,
        data=data,
        kept=kept,
        taken_at={content.metadata.name: content.status.actionTime for content in chosen},
        blockers=tuple(blockers),
        warnings=tuple(_warnings(chosen, data, facts)),
    )


def to_preview(plan: RetirePlan, *, cluster: str) -> RetirePreview:
    """A plan as it is shown."""
    return RetirePreview(
        cluster=cluster,
        application=plan.application,
        items=tuple(_shown(plan)),
        blockers=plan.blockers,
        warnings=plan.warnings,
        hash=plan.hash,
    )


def _shown(plan: RetirePlan) -> Iterator[RetiredItem]:
    for point in plan.points:
        local = point.kind == "local"
        first = RetiredItem(
            point=point.name,
            kind=point.kind,
            what="Manifest" if local else "RepositorySnapshot",
            id=point.id if local else point.objectsSnapshot,
            location=point.location,
            taken_at=plan.taken_at.get(point.name, ""),
            bytes="now" if local else "prune",
        )
        yield first
        for one in plan.data:
            if one.point == point.name:
                yield msgspec.structs.replace(
                    first,
                    what="VolumeSnapshot" if local else "RepositorySnapshot",
                    id=one.id,
                    pvc=one.pvc,
                    bytes="kept" if one.id in plan.kept else first.bytes,
                )


def _point(content: RestorePointContent) -> RetiredPoint:
    spec, status = content.spec, content.status
    return RetiredPoint(
        name=content.metadata.name,
        uid=content.metadata.uid,
        id=spec.id,
        kind=spec.kind,
        state="Damaged" if status.state == "Damaged" else "Ready",
        location=spec.location,
        repository=spec.repository,
        objectsSnapshot=status.objectsSnapshot,
    )


def _data(content: RestorePointContent) -> Iterator[RetiredData]:
    for volume in content.status.volumes:
        if content.spec.kind == "local" and volume.snapshot is not None:
            yield RetiredData(
                point=content.metadata.name,
                id=volume.snapshot.handle,
                pvc=volume.pvc,
                driver=volume.snapshot.driver,
                name=volume.snapshot.name,
            )
        elif content.spec.kind == "exported" and volume.repositorySnapshot:
            yield RetiredData(
                point=content.metadata.name, id=volume.repositorySnapshot, pvc=volume.pvc
            )


def _for_all(
    chosen: Sequence[RestorePointContent], data: Sequence[RetiredData], facts: RetireFacts
) -> Iterator[Blocker]:
    if abs(facts.skew_s) > MOST_SKEW_S:
        yield Blocker(
            code="clock.skew",
            message=f"the clocks of this machine and of the cluster are {abs(facts.skew_s):.0f} s "
            "apart; nothing is retired while they are more than 60 s apart",
            hint="set the clocks right (NTP) and ask again",
        )
    for name in facts.terminating:
        yield Blocker(
            code="retire.terminating",
            message="it is being deleted; nothing is retired meanwhile",
            object=name,
            hint="wait until it is gone, prepare the cluster again, then look at the points",
        )
    applications = {content.spec.application.namespace for content in chosen}
    if len(applications) > 1:
        yield Blocker(
            code="retire.applications",
            message=f"the points belong to several applications: {', '.join(sorted(applications))}",
            hint="retire the points of one application at a time",
        )
    if len(chosen) > MOST_POINTS or len(data) > MOST_DATA:
        yield Blocker(
            code="retire.too_much",
            message=f"{len(chosen)} points with {len(data)} volumes; one action may name "
            f"{MOST_POINTS} points and {MOST_DATA} volumes",
            hint="retire fewer points at once",
        )


def _for_one(content: RestorePointContent, facts: RetireFacts) -> Iterator[Blocker]:
    spec, name = content.spec, content.metadata.name
    subject = f"RestorePointContent {name}"
    if content.status.state == "Building":
        yield Blocker(
            code="retire.building",
            message="it is being made and is no restore point yet",
            object=subject,
            hint="cancel its action instead",
        )
    if spec.clusterUID != facts.cluster_uid:
        yield Blocker(
            code="retire.other_owner",
            message=f"the point belongs to another cluster ({spec.clusterUID})",
            object=subject,
            hint="retire it from the cluster that made it",
        )
    if name in facts.in_use:
        yield Blocker(
            code="point.in_use",
            message=f"{facts.in_use[name]} works on it",
            object=subject,
            hint="wait for its end, or cancel it",
        )
    if spec.kind == "exported":
        yield from _for_location(spec.location, facts)


def _for_location(name: str, facts: RetireFacts) -> Iterator[Blocker]:
    location = facts.locations.get(name)
    if location is None:
        yield Blocker(
            code="location.missing",
            message="the location of the point is not there any more",
            object=f"Location {name}",
            hint="add the location again under this name, with its recovery kit",
        )
    elif location.readOnly:
        yield Blocker(
            code="retire.read_only",
            message="the location is read-only",
            object=f"Location {name}",
            hint="nothing in it is ever deleted from here",
        )


def _questions(
    chosen: Sequence[RestorePointContent], facts: RetireFacts, request: RetireRequest
) -> Iterator[Blocker]:
    """What a person has to say yes to. A point is gone when its last good copy is."""
    for namespace in sorted({content.spec.application.namespace for content in chosen}):
        good = [
            content
            for content in facts.contents
            if content.spec.application.namespace == namespace
            and content.spec.clusterUID == facts.cluster_uid
            and _is_good(content, chosen, facts)
        ]
        before = _ids(good)
        after = _ids(content for content in good if not _among(content, chosen))
        gone = len(before - after)
        if before and not after and not request.allow_last:
            yield Blocker(
                code="retire.last",
                message=f"no good restore point of {namespace} would be left",
                object=f"application {namespace}",
                hint="if that is meant, ask again with --allow-last (spec.allowLast)",
            )
        if gone * _FIFTH > len(before) and not request.allow_many:
            yield Blocker(
                code="retire.many",
                message=f"{gone} of {len(before)} restore points of {namespace} would be gone, "
                "more than a fifth",
                object=f"application {namespace}",
                hint="if that is meant, ask again with --allow-many (spec.allowMany)",
            )


def _is_good(
    content: RestorePointContent, chosen: Sequence[RestorePointContent], facts: RetireFacts
) -> bool:
    """Another action's Retiring points are as good as gone; ours were good until we marked them."""
    if content.status.state == "Retiring":
        return _among(content, chosen) and content.metadata.name not in facts.damaged
    return content.status.state == "Ready"


def _ids(contents: Iterable[RestorePointContent]) -> set[str]:
    return {content.spec.id for content in contents}


def _among(content: RestorePointContent, chosen: Sequence[RestorePointContent]) -> bool:
    return any(one.metadata.uid == content.metadata.uid for one in chosen)


def _warnings(
    chosen: Sequence[RestorePointContent], data: Sequence[RetiredData], facts: RetireFacts
) -> Iterator[Blocker]:
    for one in data:
        others = facts.also_named_by.get(one.id, ())
        if others:
            yield Blocker(
                code="retire.kept",
                message=f"the snapshot of {one.pvc} stays: {', '.join(others)} names it too",
                object=f"snapshot {one.id}",
            )
    places = sorted({c.spec.location for c in chosen if c.spec.kind == "exported"})
    for place in places:
        yield Blocker(
            code="retire.prune_later",
            message="the snapshots are removed now; their bytes come back when the repository "
            "is pruned",
            object=f"Location {place}",
        )
