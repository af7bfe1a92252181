"""Which claims can be snapshotted and exported, with which class, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.model.names import (
    ANNOTATION_SNAPSHOT_CLASS,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from console.engine.model.views import Blocker
from console.engine.plan.raw import (
    annotations_of,
    describe,
    labels_of,
    name_of,
    namespace_of,
    part,
    text,
)
from console.engine.plan.snapshots import DEFAULT_CLASS, SNAPSHOT_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from console.engine.model.kinds import RawObject
    from console.engine.model.points import VolumeArtifact

_ONE = "ReadWriteOncePod"


class Snapshottable(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that can be snapshotted, and with which class of the cluster's."""

    claim: str
    driver: str
    snapshot_class: str


# who marked a class, the strongest first
_MARKS: tuple[Callable[[RawObject], bool], ...] = (
    lambda obj: annotations_of(obj).get(ANNOTATION_SNAPSHOT_CLASS) == "true",
    lambda obj: annotations_of(obj).get("k10.kasten.io/is-snapshot-class") == "true",
    lambda obj: labels_of(obj).get("velero.io/csi-volumesnapshot-class") == "true",
    lambda obj: annotations_of(obj).get(DEFAULT_CLASS) == "true",
    lambda obj: True,
)


def is_ours(obj: RawObject) -> bool:
    """Whether an object was made by Kubehaven."""
    return labels_of(obj).get(LABEL_MANAGED_BY) == MANAGED_BY


def choose_class(driver: str, classes: Iterable[RawObject]) -> RawObject | Blocker:
    """The VolumeSnapshotClass for a driver; a blocker when there is none or a choice to make.

    Our mark wins over K10's, that over Velero's, that over the default; without
    any mark a driver's only class is it. Our own copies never count.
    """
    mine = [obj for obj in classes if text(obj, "driver") == driver and not is_ours(obj)]
    if not mine:
        return Blocker(
            code="snapshot.no_class",
            message=f"the cluster has no VolumeSnapshotClass for the driver {driver}",
            object=f"VolumeSnapshotClass for {driver}",
            hint="ask the storage's vendor for one, or create it with the storage's parameters",
        )
    marked: list[RawObject] = next(
        found for mark in _MARKS if (found := [obj for obj in mine if mark(obj)])
    )
    if len(marked) == 1:
        return marked[0]
    names = ", ".join(sorted(name_of(obj) for obj in marked))
    return Blocker(
        code="snapshot.which_class",
        message=f"{len(marked)} VolumeSnapshotClasses could be used for {driver}: {names}",
        object=f"VolumeSnapshotClass for {driver}",
        hint=f"annotate the one to use: {ANNOTATION_SNAPSHOT_CLASS}=true",
    )


def check_claim(
    claim: RawObject, volume: RawObject | None, classes: Sequence[RawObject]
) -> Snapshottable | Blocker:
    """Whether a claim can be snapshotted, or why not.

    `claim.pending` says that there is no data yet: nothing is lost without a snapshot.

    Args:
        volume: The claim's PersistentVolume; None when it has none.
        classes: All VolumeSnapshotClasses of the cluster.
    """
    phase = text(claim, "status", "phase")
    if phase == "Pending":
        return _refused(
            claim,
            "claim.pending",
            "the claim has no volume yet, so it is in the point without data",
            "see the claim's events, or leave it out by the label kubehaven.io/exclude=true",
        )
    if phase == "Lost" or volume is None:
        return _refused(
            claim,
            "claim.lost",
            "the claim's volume is gone, and its data with it",
            "restore the claim from an earlier point, or delete it, or leave it out by the label "
            "kubehaven.io/exclude=true",
        )
    if text(claim, "metadata", "deletionTimestamp"):
        return _refused(
            claim,
            "claim.deleting",
            "the claim is being deleted, and a cluster takes no snapshot of such a claim",
            "let its pods end, so that it goes, or leave it out by the label "
            "kubehaven.io/exclude=true",
        )
    driver = text(volume, "spec", "csi", "driver")
    if not driver:
        return _no_snapshot(claim, "its volume does not come from a CSI driver")
    chosen = choose_class(driver, classes)
    if isinstance(chosen, Blocker):
        if chosen.code == "snapshot.no_class":
            return _no_snapshot(claim, chosen.message)
        return msgspec.structs.replace(chosen, object=describe(claim))
    return Snapshottable(claim=name_of(claim), driver=driver, snapshot_class=name_of(chosen))


def no_snapshots_known() -> Blocker:
    """A cluster whose API has no VolumeSnapshots at all."""
    return Blocker(
        code="snapshot.no_crds",
        message="the cluster does not know VolumeSnapshots, so no volume can be snapshotted",
        object=f"CustomResourceDefinition volumesnapshots.{SNAPSHOT_GROUP}",
        hint="install the snapshot CRDs and the snapshot controller, "
        "or leave the claims out by the label kubehaven.io/exclude=true",
    )


def check_export(volume: VolumeArtifact) -> Blocker | None:
    """Why a volume of a local point can't be copied into a location; None when it can."""
    if volume.volumeMode != "Block":
        return None
    return Blocker(
        code="volume.block",
        message="a block volume can't be exported yet",
        object=f"PersistentVolumeClaim {volume.pvc}",
        hint="its local point can be restored; leave the claim out to export the rest",
    )


def no_snapshot(refusal: Blocker, copy: Blocker) -> Blocker:
    """A claim that can be neither snapshotted nor copied as it is."""
    return msgspec.structs.replace(
        refusal, code=copy.code, message=f"{refusal.message}; {copy.message}", hint=copy.hint
    )


def _no_snapshot(claim: RawObject, why: str) -> Blocker:
    modes = part(claim, "spec").get("accessModes") or []
    if _ONE in modes:
        return _refused(
            claim,
            "claim.one_pod",
            f"{why}, and only its own pod may mount it ({_ONE})",
            "use a storage class that can snapshot, or the access mode ReadWriteOnce",
        )
    if text(claim, "spec", "volumeMode") == "Block":
        return _refused(
            claim,
            "claim.block",
            f"{why}, and a block volume can't be copied file by file",
            "use a storage class that can snapshot",
        )
    return _refused(
        claim,
        "claim.no_snapshot",
        f"no snapshot is possible: {why}",
        "use a CSI storage class that can snapshot, or leave the claim out by the label "
        "kubehaven.io/exclude=true",
    )


def _refused(claim: RawObject, code: str, message: str, hint: str) -> Blocker:
    subject = f"PersistentVolumeClaim {namespace_of(claim)}/{name_of(claim)}"
    return Blocker(code=code, message=message, object=subject, hint=hint)
