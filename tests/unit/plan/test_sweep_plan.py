"""What the sweeper may touch: leftovers by name, and never what a point names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.model.names import (
    ANNOTATION_RECLAIM_POLICY,
    ANNOTATION_RESTORED_BY,
    LABEL_ACTION_UID,
    LABEL_POINT,
    LABEL_ROLE,
    WORKERS_NAMESPACE,
)
from console.engine.model.points import (
    Application,
    PointManifest,
    PointState,
    RestorePointContent,
    RestorePointContentSpec,
    RestorePointContentStatus,
    SnapshotHandle,
    VolumeArtifact,
)
from console.engine.model.record import Meta
from console.engine.plan.sweep_plan import SweepFacts, plan_sweep

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

SHOP = Application(name="shop", namespace="shop")
VOLUMES = (VolumeArtifact(pvc="data", snapshot=SnapshotHandle(handle="h-1", driver="csi.test")),)


def content(state: PointState, *, action: str = "a-1") -> RestorePointContent:
    """The content of a local point with one volume."""
    return RestorePointContent(
        metadata=Meta(name="shop-1", uid="u-1"),
        spec=RestorePointContentSpec(
            id="shop-1", kind="local", application=SHOP, clusterUID="c", actionUID=action
        ),
        status=RestorePointContentStatus(
            state=state, volumes=() if state == "Building" else VOLUMES
        ),
    )


def raw(kind: str, name: str, namespace: str = "", **more: Any) -> RawObject:
    """An object with labels and annotations."""
    labels = {LABEL_ACTION_UID: "a-1", LABEL_POINT: "shop-1", **more.pop("labels", {})}
    metadata = {"name": name, "uid": f"u-{name}", "labels": labels}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"annotations": more.pop("annotations", {})}
    return {"kind": kind, "metadata": metadata, **more}


def cut(*, namespace: str = "shop") -> RawObject:
    """A snapshot of the cut, bound to `snapcontent-1`."""
    status = {"boundVolumeSnapshotContentName": "snapcontent-1"}
    return raw("VolumeSnapshot", "kh-1", namespace, labels={LABEL_ROLE: "cut"}, status=status)


def bound(handle: str = "h-1") -> RawObject:
    """The content that a driver made for the cut; it carries no label of ours."""
    made = raw(
        "VolumeSnapshotContent",
        "snapcontent-1",
        spec={
            "volumeSnapshotClassName": "kh-class",
            "volumeSnapshotRef": {"namespace": "shop", "name": "kh-1"},
        },
        status={"snapshotHandle": handle},
    )
    made["metadata"]["labels"] = {}
    return made


def names(facts: SweepFacts) -> list[tuple[str, str]]:
    """Verb and name of each leftover, in order."""
    return [(one.verb, one.name) for one in plan_sweep(facts)]


def test_a_cut_of_a_building_point_goes_with_its_data() -> None:
    facts = SweepFacts(
        unfinished=frozenset(),
        contents=(content("Building"),),
        snapshots=(cut(),),
        snapshot_contents=(bound(),),
    )
    assert names(facts) == [("delete", "kh-1"), ("free", "snapcontent-1"), ("delete", "shop-1")]


def test_nothing_of_an_unfinished_action_is_a_leftover() -> None:
    facts = SweepFacts(
        unfinished=frozenset({"a-1"}),
        contents=(content("Building"),),
        snapshots=(cut(),),
        snapshot_contents=(bound(),),
        working=(raw("Job", "kh-2", WORKERS_NAMESPACE), raw("Secret", "kh-2", WORKERS_NAMESPACE)),
        manifests=(
            (
                raw("Secret", "kh-3"),
                PointManifest(id="shop-1", application=SHOP, clusterUID="c", actionUID="a-1"),
            ),
        ),
        cutting=True,
    )
    assert names(facts) == []


def test_a_handle_that_a_point_names_is_out_of_reach() -> None:
    """The application's pair of an adoption that was interrupted, with the point Ready."""
    ready = SweepFacts(
        unfinished=frozenset(),
        contents=(content("Ready"),),
        snapshots=(cut(),),
        snapshot_contents=(bound(),),
        our_classes=frozenset({"kh-class"}),
    )
    assert names(ready) == []
    assert names(msgspec.structs.replace(ready, snapshots=())) == []
    forgotten = msgspec.structs.replace(ready, contents=())
    assert names(forgotten) == [("delete", "kh-1"), ("free", "snapcontent-1")]
    manifest = PointManifest(id="shop-1", application=SHOP, clusterUID="c", volumes=VOLUMES)
    secret = raw("Secret", "kh-3")
    protected = msgspec.structs.replace(
        forgotten, manifests=((secret, manifest),), ready=frozenset({"kh-3"})
    )
    assert names(protected) == []


def test_a_cut_whose_namespace_is_gone_is_found_by_our_class() -> None:
    facts = SweepFacts(
        unfinished=frozenset(),
        snapshot_contents=(bound(),),
        our_classes=frozenset({"kh-class"}),
    )
    assert names(facts) == [("free", "snapcontent-1")]
    assert names(msgspec.structs.replace(facts, cutting=True)) == []
    assert names(msgspec.structs.replace(facts, our_classes=frozenset({"other"}))) == []


def test_adopted_snapshots_go_with_their_building_point_only() -> None:
    adopted = raw("VolumeSnapshot", "kh-4", WORKERS_NAMESPACE, labels={LABEL_ROLE: "snapshot"})
    own = raw("VolumeSnapshotContent", "kh-4", spec={"source": {"snapshotHandle": "h-1"}})
    facts = SweepFacts(
        unfinished=frozenset(),
        contents=(content("Building"),),
        snapshots=(adopted,),
        snapshot_contents=(own,),
    )
    assert names(facts) == [("delete", "kh-4"), ("free", "kh-4"), ("delete", "shop-1")]
    assert names(msgspec.structs.replace(facts, contents=())) == []


def test_a_volume_goes_back_to_its_policy_when_its_restore_has_ended() -> None:
    volume = raw(
        "PersistentVolume",
        "pv-1",
        annotations={ANNOTATION_RECLAIM_POLICY: "Delete"},
        spec={"claimRef": {"uid": "u-data"}},
        status={"phase": "Bound"},
    )
    claim = raw(
        "PersistentVolumeClaim", "data", "shop", annotations={ANNOTATION_RESTORED_BY: "r-1"}
    )
    facts = SweepFacts(unfinished=frozenset(), volumes=(volume,), claims=(claim,))
    assert names(facts) == [("return", "pv-1")]
    assert names(msgspec.structs.replace(facts, unfinished=frozenset({"r-1"}))) == []
    released = {**volume, "status": {"phase": "Released"}}
    assert names(msgspec.structs.replace(facts, volumes=(released,))) == []
    assert names(msgspec.structs.replace(facts, claims=())) == []


def test_a_retiring_point_is_its_actions() -> None:
    facts = SweepFacts(unfinished=frozenset(), contents=(content("Retiring"),))
    assert names(facts) == [("mark", "shop-1")]
    assert names(msgspec.structs.replace(facts, retiring=frozenset({"shop-1"}))) == []
