"""The plan of a restore: what would be done, what stands in the way, one hash for one work."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.facade import RestoreRequest
from console.engine.model import kinds
from console.engine.model.kinds import Kind
from console.engine.model.points import (
    Application,
    RestorePointContent,
    RestorePointContentSpec,
    RestorePointContentStatus,
    SnapshotHandle,
    VolumeArtifact,
)
from console.engine.model.record import Meta
from console.engine.plan.facts import (
    LiveClass,
    LiveFacts,
    LiveObject,
    live_class,
    live_object,
    namespace_state,
)
from console.engine.plan.restore_plan import RestorePlan, plan_restore, to_preview
from tests.builders.objects import claim, deployment, made, namespace, service

if TYPE_CHECKING:
    import random

    from console.engine.model.kinds import RawObject

DATA = VolumeArtifact(
    pvc="data",
    size=1 << 30,
    storageClass="standard",
    accessModes=("ReadWriteOnce",),
    repositorySnapshot="abc",
    logicalSize=1000,
)
SNAPSHOT = SnapshotHandle(handle="h", driver="csi.example.test", restoreSize=3 << 30, name="kh-s")
LOCAL = msgspec.structs.replace(DATA, repositorySnapshot="", snapshot=SNAPSHOT)
SERVED = (
    kinds.SERVICES,
    kinds.CLAIMS,
    kinds.DEPLOYMENTS,
    kinds.SECRETS,
    kinds.CONFIG_MAPS,
    kinds.SERVICE_ACCOUNTS,
    Kind("batch", "v1", "cronjobs", "CronJob"),
    Kind("networking.k8s.io", "v1", "ingresses", "Ingress"),
)
STANDARD = LiveClass(name="standard", provisioner="csi.example.test", is_default=True)
FAST = LiveClass(name="fast", provisioner="other.example.test")
LIVE = LiveFacts(served=SERVED, storage_classes=(STANDARD,))
OBJECTS = [
    namespace(),
    made("ServiceAccount", "web"),
    made("Secret", "s", data={"k": "dg=="}),
    made("ConfigMap", "c", data={"k": "v"}),
    claim("data"),
    claim("empty"),
    service(),
    deployment(),
]


def with_classes(*classes: LiveClass) -> LiveFacts:
    return msgspec.structs.replace(LIVE, storage_classes=classes)


def block(volume: VolumeArtifact) -> VolumeArtifact:
    return msgspec.structs.replace(volume, volumeMode="Block")


def point(*volumes: VolumeArtifact, **status: Any) -> RestorePointContent:
    return RestorePointContent(
        metadata=Meta(name="visits-1"),
        spec=RestorePointContentSpec(
            id="visits-1",
            kind="exported",
            application=Application(name="visits", namespace="visits"),
            clusterUID="c",
        ),
        status=RestorePointContentStatus(**{"state": "Ready", "volumes": volumes} | status),
    )


def plan(
    objects: list[RawObject] | None = None,
    *,
    of: RestorePointContent | None = None,
    live: LiveFacts = LIVE,
    target: str = "",
    classes: dict[str, str] | None = None,
    action_uid: str = "",
    owners: dict[str, int] | None = None,
    sizes: dict[str, str] | None = None,
) -> RestorePlan:
    return plan_restore(
        OBJECTS if objects is None else objects,
        point=of or point(DATA),
        request=RestoreRequest(
            point="visits-1",
            target=target,
            storage_class_map=classes or {},
            owner_map=owners or {},
            claim_sizes=sizes or {},
        ),
        live=live,
        action_uid=action_uid,
    )


def codes(found: RestorePlan) -> list[str]:
    assert all(blocker.message and blocker.hint and blocker.object for blocker in found.blockers)
    return [blocker.code for blocker in found.blockers]


def test_the_plan_says_everything_in_order() -> None:
    found = plan(target="copy")
    assert found.blockers == ()
    assert found.target == found.namespace.name == "copy"
    assert [[item.name for item in wave] for wave in found.waves] == [
        ["web"],
        ["c", "s"],
        ["empty"],
        ["web"],
        ["web"],
    ]
    (volume,) = found.volumes
    assert volume.claim.obj["metadata"]["namespace"] == "copy"
    assert (volume.size, volume.storage_class) == (1 << 30, "standard")
    assert volume.access_modes == ("ReadWriteOnce",)


def test_each_object_stands_once_in_waves_volumes_or_as_the_namespace() -> None:
    found = plan()
    listed = [item.obj for wave in found.waves for item in wave]
    listed += [volume.claim.obj for volume in found.volumes] + [found.namespace.obj]
    assert sorted((o["kind"], o["metadata"]["name"]) for o in listed) == sorted(
        (o["kind"], o["metadata"]["name"]) for o in OBJECTS
    )


def test_a_preview_shows_the_plan() -> None:
    found = plan(target="copy")
    shown = to_preview(found, cluster="prod")
    assert (shown.cluster, shown.point, shown.target) == ("prod", "visits-1", "copy")
    assert shown.hash == found.hash
    assert len(shown.objects) == len(OBJECTS)
    assert shown.objects[0].resource == "namespaces"
    assert shown.volumes[0].logical_size == 1000
    svc = next(row for row in shown.objects if row.resource == "services")
    assert any("clusterIP removed" in change for change in svc.changes)


@given(st.randoms(use_true_random=False))
def test_the_hash_is_the_same_whatever_the_order(chance: random.Random) -> None:
    shuffled = copy.deepcopy(OBJECTS)
    chance.shuffle(shuffled)
    found = plan(shuffled)
    assert found.hash == plan().hash
    assert found == plan()


def test_arguments_are_not_changed() -> None:
    before = copy.deepcopy(OBJECTS)
    plan(target="copy", action_uid="a-1")
    assert before == OBJECTS


def test_what_the_server_counts_does_not_change_the_hash() -> None:
    objects = copy.deepcopy(OBJECTS)
    for obj in objects:
        obj["metadata"]["resourceVersion"] = "99999"
        obj["status"] = {"seen": True}
    assert plan(objects).hash == plan().hash


@pytest.mark.parametrize(
    "other",
    [
        plan(target="copy"),
        plan(classes={"standard": "fast"}, live=with_classes(FAST)),
        plan(OBJECTS[:-1]),
        plan([*OBJECTS[:-1], deployment(hostNetwork=True)]),
        plan(of=point(msgspec.structs.replace(DATA, repositorySnapshot="other"))),
        plan(live=msgspec.structs.replace(LIVE, namespace_state="active")),
    ],
    ids=["target", "class", "fewer objects", "another object", "other data", "kept namespace"],
)
def test_other_work_has_another_hash(other: RestorePlan) -> None:
    assert other.hash != plan().hash


def made_by(uid: str, *resources_and_names: tuple[str, str]) -> tuple[LiveObject, ...]:
    return tuple(
        LiveObject(resource=resource, name=name, restored_by=uid)
        for resource, name in resources_and_names
    )


def test_an_interrupted_restore_goes_on_with_the_same_plan() -> None:
    before = plan(action_uid="a-1")
    there = made_by("a-1", ("secrets", "s"), ("persistentvolumeclaims", "data"))
    live = msgspec.structs.replace(
        LIVE, namespace_state="active", namespace_restored_by="a-1", objects=there
    )
    after = plan(action_uid="a-1", live=live)
    assert codes(after) == []
    assert plan().hash == before.hash == after.hash
    done = {item.name for wave in after.waves for item in wave if item.done}
    assert done == {"s"}
    assert after.volumes[0].claim.done
    assert after.namespace.done
    assert after.namespace.verb == "create"


@pytest.mark.parametrize("restored_by", ["", "another"])
def test_what_is_there_and_not_ours_is_a_clash(restored_by: str) -> None:
    there = made_by(restored_by, ("secrets", "s"), ("persistentvolumeclaims", "data"))
    live = msgspec.structs.replace(LIVE, namespace_state="active", objects=there)
    found = plan(action_uid="a-1", live=live)
    assert codes(found) == ["restore.exists", "restore.exists"]
    assert {blocker.object for blocker in found.blockers} == {
        "Secret visits/s",
        "PersistentVolumeClaim visits/data",
    }
    assert found.namespace.verb == "keep"
    assert to_preview(found).objects[0].reason


def test_a_preview_never_takes_an_unstamped_object_for_its_own() -> None:
    live = msgspec.structs.replace(LIVE, objects=made_by("", ("secrets", "s")))
    assert codes(plan(live=live)) == ["restore.exists"]


def test_a_namespace_on_its_way_out_blocks() -> None:
    live = msgspec.structs.replace(LIVE, namespace_state="terminating")
    assert codes(plan(live=live)) == ["restore.terminating"]


@pytest.mark.parametrize(
    ("of", "code"),
    [
        (point(DATA, state="Building"), "point.not_ready"),
        (point(DATA, state="Damaged", reason="a pack is missing"), "point.not_ready"),
        (point(DATA, msgspec.structs.replace(DATA, pvc="lost")), "point.claim_missing"),
        (point(msgspec.structs.replace(DATA, repositorySnapshot="")), "point.data_missing"),
    ],
)
def test_a_point_that_is_not_whole_blocks(of: RestorePointContent, code: str) -> None:
    assert codes(plan(of=of)) == [code]


def test_a_kind_that_the_target_does_not_know_blocks_and_says_what_it_knows() -> None:
    old = made("CronJob", "c", api="batch/v1beta1")
    unknown = made("Widget", "w", api="example.test/v1")
    found = plan([*OBJECTS, old, unknown])
    assert codes(found) == ["restore.not_served", "restore.not_served"]
    assert {blocker.object: "batch/v1" in blocker.hint for blocker in found.blockers} == {
        "CronJob visits/c": True,
        "Widget visits/w": False,
    }


TEMPLATED = LiveClass(name="standard", provisioner="csi.example.test", templated=True)


@pytest.mark.parametrize(
    ("storage_class", "classes", "mapped", "of", "expected"),
    [
        ("standard", (FAST,), {}, DATA, ["restore.no_class"]),
        ("standard", (FAST,), {"standard": "fast"}, DATA, []),
        ("standard", (FAST,), {"standard": "fast"}, LOCAL, ["restore.other_driver"]),
        ("standard", (STANDARD,), {"standard": "typo"}, DATA, ["restore.no_class"]),
        ("standard", (TEMPLATED,), {}, DATA, ["restore.templated_class"]),
        (None, (STANDARD, FAST), {}, DATA, []),
        (None, (FAST,), {}, DATA, ["restore.class_needed"]),
        (None, (FAST,), {"": "fast"}, DATA, []),
        ("", (STANDARD,), {}, DATA, ["restore.class_needed"]),
        ("", (STANDARD,), {"": "standard"}, DATA, []),
        ("standard", (STANDARD,), {}, block(DATA), ["restore.block"]),
        ("standard", (STANDARD,), {}, block(LOCAL), []),
    ],
)
def test_storage_classes_of_the_target(
    storage_class: str | None,
    classes: tuple[LiveClass, ...],
    mapped: dict[str, str],
    of: VolumeArtifact,
    expected: list[str],
) -> None:
    live = with_classes(*classes)
    objects = [claim("data", storage_class=storage_class)]
    found = plan(objects, of=point(of), live=live, classes=mapped)
    assert codes(found) == expected
    if expected == ["restore.no_class"]:
        assert classes[0].name in found.blockers[0].hint


def test_a_volume_is_never_smaller_than_what_its_data_was_on() -> None:
    (volume,) = plan([claim("data", size="500M")], of=point(LOCAL)).volumes
    assert volume.size == 3 << 30
    assert volume.claim.obj["spec"]["resources"]["requests"]["storage"] == "3Gi"
    (asked,) = plan([claim("data", size="20G")], of=point(LOCAL)).volumes
    assert asked.size == 20 * 10**9
    assert asked.claim.obj["spec"]["resources"]["requests"]["storage"] == "20G"


def test_a_claim_without_a_class_names_the_one_its_volume_was_filled_in() -> None:
    (volume,) = plan([claim("data", storage_class=None)]).volumes
    assert volume.claim.obj["spec"]["storageClassName"] == "standard"


@pytest.mark.parametrize("target", ["kubehaven", "kubehaven-workers"])
def test_our_own_namespaces_are_no_target(target: str) -> None:
    assert codes(plan(target=target)) == ["restore.own_namespace"]


def test_without_a_stored_namespace_a_bare_one_is_made() -> None:
    found = plan([made("Secret", "s")], of=point(), target="copy")
    assert found.namespace.obj["metadata"]["name"] == "copy"


def test_facts_are_read_from_objects() -> None:
    raw = made(
        "StorageClass",
        "rbd",
        api="storage.k8s.io/v1",
        namespace="",
        meta={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        provisioner="rbd.example.test",
        parameters={"csi.storage.k8s.io/node-publish-secret-name": "${pvc.name}-key"},
    )
    assert live_class(raw) == LiveClass(
        name="rbd", provisioner="rbd.example.test", is_default=True, templated=True
    )
    stamped = made("Secret", "s", meta={"annotations": {"kubehaven.io/restoredBy": "a-1"}})
    assert live_object(kinds.SECRETS, stamped).restored_by == "a-1"
    assert namespace_state(None) == "absent"
    assert namespace_state(namespace()) == "active"
    assert namespace_state(namespace() | {"status": {"phase": "Terminating"}}) == "terminating"
    assert namespace_state(namespace(deletionTimestamp="x")) == "terminating"


def test_owners_are_mapped_and_part_of_what_was_agreed_to() -> None:
    made = plan(owners={"1000": 2000, "50": 60})
    assert made.owner_map == ((50, 60), (1000, 2000))
    assert codes(made) == []
    assert len({plan().hash, made.hash, plan(owners={"50": 60}).hash}) == 3


@pytest.mark.parametrize(
    "owners",
    [{"root": 0}, {"-1": 5}, {"1": -5}, {"1": 2**32 - 1}, {"4294967295": 1}, {"1": 2, "2": 3}],
)
def test_owners_that_cannot_be_mapped(owners: dict[str, int]) -> None:
    assert codes(plan(owners=owners)) == ["restore.owner_map"]


def test_a_claim_may_become_larger() -> None:
    (volume,) = plan(sizes={"data": "20Gi"}).volumes
    assert volume.size == 20 << 30
    assert volume.claim.obj["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert plan(sizes={"data": "20Gi"}).hash != plan().hash


@pytest.mark.parametrize("sizes", [{"data": "1"}, {"data": "much"}, {"other": "20Gi"}])
def test_sizes_that_no_claim_can_have(sizes: dict[str, str]) -> None:
    assert "restore.size" in codes(plan(sizes=sizes))
