"""What a swap stops, what stands in its way, whether it can be undone, and when volumes go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.engine.model import kinds
from console.engine.model.names import ANNOTATION_KEPT_CLAIM, ANNOTATION_KEPT_UNTIL
from console.engine.model.record import (
    Meta,
    RestoreAction,
    RestoreActionSpec,
    RestoreActionStatus,
    Subject,
    Swap,
    SwappedVolume,
)
from console.engine.plan.facts import SwapFacts
from console.engine.plan.swap_plan import SwapPlan, plan_swap
from console.engine.plan.sweep_plan import SweepFacts, plan_sweep
from console.engine.plan.undo_plan import plan_undo
from tests.builders.objects import claim, made

if TYPE_CHECKING:
    from typing import Any

    from console.engine.model.kinds import RawObject

APPS = "apps/v1"


def workload(kind: str, name: str, **more: Any) -> RawObject:
    spec = {"replicas": 2, **more.pop("spec", {})}
    return made(kind, name, api=more.pop("api", APPS), spec=spec, **more)


def pod(name: str, owner: tuple[str, str, str] | None = None, phase: str = "Running") -> RawObject:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    return made("Pod", name, owner=owner, spec={"volumes": volumes}, status={"phase": phase})


def bound(volume: str = "pv-1", **more: Any) -> RawObject:
    return claim("data", volumeName=volume, **more)


def swap(*objects: RawObject) -> SwapPlan:
    return plan_swap([*objects, bound()], (kinds.DEPLOYMENTS,), {"data"})


def test_what_runs_is_stopped_and_what_does_not_is_left() -> None:
    plan = swap(
        workload("Deployment", "web"),
        workload("Deployment", "off", spec={"replicas": 0}),
        workload("ReplicaSet", "web-1", owner=(APPS, "Deployment", "web")),
        workload("ReplicaSet", "own"),
        made("CronJob", "nightly", api="batch/v1", spec={}),
        made("CronJob", "paused", api="batch/v1", spec={"suspend": True}),
        made(
            "Job",
            "done",
            api="batch/v1",
            spec={},
            status={"conditions": [{"type": "Complete", "status": "True"}]},
        ),
        pod("web-1-a", (APPS, "ReplicaSet", "web-1")),
    )
    stopped = {(one.kind, one.name): one.replicas for one in plan.workloads}
    assert stopped == {
        ("Deployment", "web"): 2,
        ("ReplicaSet", "own"): 2,
        ("CronJob", "nightly"): 1,
    }
    assert [(one.pvc, one.old) for one in plan.volumes] == [("data", "pv-1")]
    assert plan.blockers == ()


@pytest.mark.parametrize(
    "owner", [None, (APPS, "DaemonSet", "agent"), ("db.example.test/v1", "Database", "main")]
)
def test_a_pod_that_belongs_to_nothing_that_stops_is_a_blocker(
    owner: tuple[str, str, str] | None,
) -> None:
    assert [one.code for one in swap(pod("p", owner)).blockers] == ["swap.unmanaged_pod"]
    assert swap(pod("p", owner, phase="Succeeded")).blockers == ()


def test_a_set_that_deletes_its_claims_is_a_blocker() -> None:
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}
    plan = swap(workload("StatefulSet", "db", spec=policy))
    assert [one.code for one in plan.blockers] == ["swap.claims_scaled_away"]


def test_what_may_scale_it_up_again_is_said() -> None:
    labels = {"labels": {"argocd.argoproj.io/instance": "shop"}}
    owner = ("db.example.test/v1", "Database", "main")
    plan = swap(
        workload("Deployment", "web", meta=labels), workload("StatefulSet", "db", owner=owner)
    )
    assert [one.code for one in plan.warnings] == ["swap.managed", "swap.managed"]


def undone(stands: str = "new", phase: str = "Finished") -> RestoreAction:
    volume = SwappedVolume(pvc="data", claimUID="u", old="pv-old", new="pv-new")
    return RestoreAction(
        metadata=Meta(name="r", namespace="kubehaven"),
        spec=RestoreActionSpec(subject=Subject(name="p")),
        status=RestoreActionStatus(
            phase=phase,  # type: ignore[arg-type]  # from a parameter
            targetNamespace="visits",
            swap=Swap(volumes=(volume,), stands=stands),  # type: ignore[arg-type]  # the same
        ),
    )


def kept(**notes: str) -> RawObject:
    meta = {"annotations": {ANNOTATION_KEPT_CLAIM: "{}", **notes}}
    return made("PersistentVolume", "pv-old", namespace="", meta=meta, spec={})


@pytest.mark.parametrize(
    ("action", "now", "volumes", "code"),
    [
        (undone(), "pv-new", (kept(),), ""),
        (undone(), "pv-old", (kept(),), "undo.done"),
        (undone(), "pv-else", (kept(),), "undo.changed"),
        (undone(), "pv-new", (), "undo.released"),
        (undone(stands="old"), "pv-new", (kept(),), "undo.nothing"),
        (undone(phase="Running"), "pv-new", (kept(),), "undo.running"),
    ],
)
def test_an_undo_is_refused_with_its_reason(
    action: RestoreAction, now: str, volumes: tuple[RawObject, ...], code: str
) -> None:
    plan = plan_undo(action, SwapFacts(objects=(bound(now),), volumes=volumes))
    assert [one.code for one in plan.blockers] == ([code] if code else [])
    assert all(one.hint and one.object for one in plan.blockers)
    if not code:
        assert [(one.old, one.new) for one in plan.volumes] == [("pv-new", "pv-old")]


@pytest.mark.parametrize(
    ("until", "phase", "undoing", "goes"),
    [
        ("2026-11-24T11:59:59Z", "Released", (), True),
        ("2026-11-24T12:00:01Z", "Released", (), False),
        ("2026-11-24T11:59:59Z", "Bound", (), False),
        ("2026-11-24T11:59:59Z", "Released", ("pv-old",), False),
    ],
)
def test_a_kept_volume_goes_after_its_time_alone(
    until: str, phase: str, undoing: tuple[str, ...], goes: bool
) -> None:
    volume = kept(**{ANNOTATION_KEPT_UNTIL: until}) | {"status": {"phase": phase}}
    facts = SweepFacts(
        unfinished=frozenset(),
        kept=(volume,),
        undoing=frozenset(undoing),
        now="2026-11-24T12:00:00Z",
    )
    assert [(one.verb, one.name) for one in plan_sweep(facts)] == (
        [("release", "pv-old")] if goes else []
    )
