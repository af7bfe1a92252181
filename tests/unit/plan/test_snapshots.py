"""CSI snapshots: the class that is chosen, what is refused, and the objects that are made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.engine.model.points import SnapshotHandle, VolumeArtifact
from console.engine.model.record import NamedRef
from console.engine.model.views import Blocker
from console.engine.plan import snapshots
from console.engine.plan.claims import Snapshottable, check_claim, check_export, choose_class
from console.engine.plan.snapshots import Origin
from tests.builders.objects import claim, made, snapshot_class, volume

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

DRIVER = "csi.example.test"
ORIGIN = Origin(action_uid="a-1", point="visits-1", application="visits", attempt=2)
OURS = {"kubehaven.io/snapshot-class": "true"}
K10 = {"k10.kasten.io/is-snapshot-class": "true"}
VELERO = {"velero.io/csi-volumesnapshot-class": "true"}
DEFAULT = {"snapshot.storage.kubernetes.io/is-default-class": "true"}

CHAIN = [
    snapshot_class("plain"),
    snapshot_class("default", annotations=DEFAULT),
    snapshot_class("velero", labels=VELERO),
    snapshot_class("k10", annotations=K10),
    snapshot_class("ours", annotations=OURS),
]


def chosen(classes: list[RawObject]) -> str:
    found = choose_class(DRIVER, classes)
    return (
        f"{found.code}: {found.message}"
        if isinstance(found, Blocker)
        else found["metadata"]["name"]
    )


def going(obj: RawObject) -> RawObject:
    """The object while a finalizer holds it."""
    return obj | {"metadata": obj["metadata"] | {"deletionTimestamp": "2026-11-01T00:00:00Z"}}


@pytest.mark.parametrize("count", range(1, len(CHAIN) + 1))
def test_the_strongest_mark_wins(count: int) -> None:
    assert chosen(CHAIN[:count]) == CHAIN[count - 1]["metadata"]["name"]


def test_two_candidates_are_a_question() -> None:
    both = [snapshot_class("b", annotations=K10), snapshot_class("a", annotations=K10)]
    assert chosen(both).startswith("snapshot.which_class")
    assert "a, b" in chosen(both)
    assert chosen([*both, snapshot_class("ours", annotations=OURS)]) == "ours"
    assert chosen([snapshot_class("a"), snapshot_class("b")]).startswith("snapshot.which_class")


def test_other_drivers_and_our_own_copies_do_not_count() -> None:
    other = snapshot_class("other", driver="x.example.test", annotations=OURS)
    copy = snapshots.class_copy(snapshot_class("plain"))
    assert chosen([other, copy, snapshot_class("plain")]) == "plain"
    assert chosen([other, copy]).startswith("snapshot.no_class")


def test_our_copy_keeps_what_it_takes() -> None:
    source = snapshot_class("k10", annotations=K10 | DEFAULT, parameters={"secret": "x"})
    copy = snapshots.class_copy(source)
    assert copy["deletionPolicy"] == "Retain"
    assert (copy["driver"], copy["parameters"]) == (DRIVER, {"secret": "x"})
    assert not (K10 | DEFAULT).keys() & copy["metadata"]["annotations"].keys()
    assert copy == snapshots.class_copy(source)
    changed = snapshots.class_copy(source | {"parameters": {"secret": "y"}})
    assert changed["metadata"]["name"] != copy["metadata"]["name"]


@pytest.mark.parametrize(
    ("obj", "pv", "code"),
    [
        (claim(), None, "claim.lost"),
        (claim(phase="Lost"), volume(), "claim.lost"),
        (claim(phase="Pending"), None, "claim.pending"),
        (claim(phase="Pending"), volume(), "claim.pending"),
        (going(claim()), volume(), "claim.deleting"),
        (claim(), volume(driver=""), "claim.no_snapshot"),
        (claim(modes=("ReadWriteOncePod",)), volume(driver=""), "claim.one_pod"),
        (claim(mode="Block"), volume(driver=""), "claim.block"),
        (claim(), volume(driver="unknown.example.test"), "claim.no_snapshot"),
    ],
)
def test_claims_that_can_not_be_snapshotted(
    obj: RawObject, pv: RawObject | None, code: str
) -> None:
    found = check_claim(obj, pv, [snapshot_class("plain")])
    assert isinstance(found, Blocker)
    assert (found.code, found.object) == (code, "PersistentVolumeClaim visits/data")
    assert found.hint


@pytest.mark.parametrize("obj", [claim(), claim(mode="Block"), claim(modes=("ReadWriteOncePod",))])
def test_a_csi_claim_can_be_snapshotted_whatever_its_mode(obj: RawObject) -> None:
    assert check_claim(obj, volume(), [snapshot_class("plain")]) == Snapshottable(
        claim="data", driver=DRIVER, snapshot_class="plain"
    )


def test_a_question_about_the_class_names_the_claim() -> None:
    found = check_claim(claim(), volume(), [snapshot_class("a"), snapshot_class("b")])
    assert isinstance(found, Blocker)
    assert found.object == "PersistentVolumeClaim visits/data"


def test_block_volumes_are_not_exported_yet() -> None:
    assert check_export(VolumeArtifact(pvc="data")) is None
    found = check_export(VolumeArtifact(pvc="data", volumeMode="Block"))
    assert found
    assert found.code == "volume.block"


def test_names_depend_on_action_step_object_and_attempt() -> None:
    names = {
        origin.name(step, obj)
        for origin in (
            ORIGIN,
            Origin(action_uid="a-2", point="visits-1", application="visits", attempt=2),
            Origin(action_uid="a-1", point="visits-1", application="visits", attempt=3),
        )
        for step in ("cut", "adopt")
        for obj in ("data", "log")
    }
    assert len(names) == 12
    assert all(re.fullmatch(r"kh-[0-9a-f]{12}", name) for name in names)


def test_the_cut_takes_a_snapshot_in_the_applications_namespace() -> None:
    found = snapshots.cut_snapshot("data", origin=ORIGIN, snapshot_class="kh-c")
    assert found["metadata"]["namespace"] == "visits"
    assert found["metadata"]["labels"]["kubehaven.io/attempt"] == "2"
    assert found["spec"] == {
        "volumeSnapshotClassName": "kh-c",
        "source": {"persistentVolumeClaimName": "data"},
    }


CONTENT = made(
    "VolumeSnapshotContent",
    "snapcontent-1",
    api="snapshot.storage.k8s.io/v1",
    namespace="",
    meta={
        "annotations": {
            "snapshot.storage.kubernetes.io/deletion-secret-name": "creds",
            "snapshot.storage.kubernetes.io/deletion-secret-namespace": "storage",
        }
    },
    spec={"driver": DRIVER, "volumeSnapshotClassName": "kh-c", "sourceVolumeMode": "Filesystem"},
    status={
        "snapshotHandle": "snap-7",
        "creationTime": 1764000000123456789,
        "restoreSize": 2 << 30,
        "readyToUse": False,
    },
)
HANDLE = SnapshotHandle(
    handle="snap-7",
    driver=DRIVER,
    snapshotClass="kh-c",
    restoreSize=2 << 30,
    creationTime="2025-11-24T16:00:00.123Z",
    deletionSecret=NamedRef(name="creds", namespace="storage"),
    name="kh-x",
)


def test_a_content_with_handle_and_time_is_cut_ready_or_not() -> None:
    assert snapshots.snapshot_handle(CONTENT, name="kh-x") == HANDLE


def test_a_content_without_annotations_needs_no_secret() -> None:
    bare = CONTENT | {"metadata": {"name": "c"}}
    found = snapshots.snapshot_handle(bare, name="kh-x")
    assert found == msgspec.structs.replace(HANDLE, deletionSecret=None)
    assert found is not None
    content = snapshots.adopted_content("data", found, origin=ORIGIN)
    assert list(content["metadata"]["annotations"]) == ["kubehaven.io/fullName"]


@pytest.mark.parametrize("missing", ["snapshotHandle", "creationTime"])
def test_a_content_that_says_too_little_is_not_cut_yet(missing: str) -> None:
    status = {key: value for key, value in CONTENT["status"].items() if key != missing}
    assert snapshots.snapshot_handle(CONTENT | {"status": status}, name="kh-x") is None
    assert snapshots.snapshot_handle(CONTENT | {"status": None}, name="kh-x") is None


def test_adoption_names_the_same_snapshot_and_keeps_it() -> None:
    content = snapshots.adopted_content("data", HANDLE, origin=ORIGIN)
    snapshot = snapshots.adopted_snapshot("data", HANDLE, origin=ORIGIN)
    assert content["spec"]["deletionPolicy"] == "Retain"
    assert content["spec"]["source"] == {"snapshotHandle": "snap-7"}
    reference = content["spec"]["volumeSnapshotRef"]
    assert (reference["namespace"], reference["name"]) == (
        snapshot["metadata"]["namespace"],
        snapshot["metadata"]["name"],
    )
    assert snapshot["spec"]["source"] == {"volumeSnapshotContentName": content["metadata"]["name"]}
    notes = content["metadata"]["annotations"]
    assert CONTENT["metadata"]["annotations"].items() <= notes.items()


ARTIFACT = VolumeArtifact(
    pvc="data",
    size=1 << 30,
    storageClass="standard",
    accessModes=("ReadWriteMany",),
    snapshot=HANDLE,
)


def test_an_artifact_is_the_claim_as_it_was() -> None:
    assert snapshots.artifact(claim(modes=("ReadWriteMany",)), HANDLE) == ARTIFACT


def test_a_clone_is_as_large_as_its_snapshot_and_keeps_the_access_modes() -> None:
    found = snapshots.work_claim(ARTIFACT, origin=ORIGIN, step="clone")
    assert found["metadata"]["namespace"] == "kubehaven-workers"
    assert found["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "volumeMode": "Filesystem",
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "2Gi"}},
        "dataSource": {
            "apiGroup": "snapshot.storage.k8s.io",
            "kind": "VolumeSnapshot",
            "name": "kh-x",
        },
    }


def test_a_volume_without_a_snapshot_is_made_empty() -> None:
    empty = VolumeArtifact(pvc="data", size=5 << 30, storageClass="standard")
    spec = snapshots.work_claim(empty, origin=ORIGIN, step="fill", storage_class="fast")["spec"]
    assert "dataSource" not in spec
    assert spec["storageClassName"] == "fast"
    assert spec["resources"]["requests"]["storage"] == "5Gi"


def test_the_target_claim_is_bound_by_name_alone() -> None:
    obj = claim(selector={"a": "b"}, dataSource={"kind": "x"})
    found = snapshots.target_claim(obj, "pv-9")
    assert found["spec"]["volumeName"] == "pv-9"
    assert not {"selector", "dataSource"} & found["spec"].keys()
    assert obj["spec"]["volumeName"] == "pv-data"
