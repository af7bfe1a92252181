"""What a check concludes: rights, room for a worker, clocks, versions."""

from __future__ import annotations

from typing import Any

import pytest

from console.engine.model.intent import WorkerSettings
from console.engine.plan.check_plan import (
    OUR_KINDS,
    RIGHTS,
    ahead_of,
    clock_verdict,
    crds_verdict,
    csi_classes,
    rights_verdict,
    room_verdict,
    snapshots_verdict,
    version_verdict,
)

WORKERS = WorkerSettings()


def quota(hard: dict[str, str], used: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "small"}, "status": {"hard": hard, "used": used}}


def limits(**limit: Any) -> dict[str, Any]:
    return {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": "Container", **limit}]}}


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("v1.34.1", "ok"),
        ("v1.30.0+k3s1", "ok"),
        ("v1.29.3", "warning"),
        ("v1.21.0", "warning"),
        ("v1.19.9", "failed"),
        ("unheard of", "warning"),
    ],
)
def test_versions(version: str, status: str) -> None:
    assert version_verdict(version).status == status


@pytest.mark.parametrize(
    ("hard", "used", "status"),
    [
        ({"pods": "1"}, {"pods": "0"}, "ok"),
        ({"pods": "1"}, {"pods": "1"}, "failed"),
        ({"requests.cpu": "1500m"}, {"requests.cpu": "500m"}, "ok"),
        ({"requests.cpu": "1500m"}, {"requests.cpu": "501m"}, "failed"),
        ({"limits.memory": "1Gi"}, {"limits.memory": "700Mi"}, "failed"),
        ({"services": "0"}, {}, "ok"),
    ],
)
def test_a_quota_without_room_for_one_worker_is_named(
    hard: dict[str, str], used: dict[str, str], status: str
) -> None:
    found = room_verdict([quota(hard, used)], [], WORKERS)
    assert found.status == status
    assert "small" in found.seen


def test_a_limit_range_that_no_worker_fits_is_named() -> None:
    assert room_verdict([], [limits(max={"memory": "256Mi"})], WORKERS).code == "workers.room"
    assert room_verdict([], [limits(min={"cpu": "2"})], WORKERS).code == "workers.room"
    assert room_verdict([], [limits(max={"memory": "1Gi", "cpu": "1"})], WORKERS).status == "ok"


def test_missing_rights_and_kinds_are_listed_and_many_are_counted() -> None:
    assert rights_verdict([], "alice").status == "ok"
    found = rights_verdict(RIGHTS[:7], "alice")
    assert (found.status, found.code) == ("failed", "api.rights")
    assert str(RIGHTS[0]) in found.seen
    assert "and 2 more" in found.seen
    assert crds_verdict(set(OUR_KINDS)).status == "ok"
    assert OUR_KINDS[0].resource in crds_verdict(set(OUR_KINDS[1:])).seen
    assert snapshots_verdict(set()).code == "snapshot.no_crds"


def test_a_clock_is_wrong_only_when_it_surely_is() -> None:
    assert ahead_of(150, earliest_s=100, latest_s=200) == 0
    assert ahead_of(230, earliest_s=100, latest_s=200) == 30
    assert ahead_of(20, earliest_s=100, latest_s=200) == -80
    assert clock_verdict(-60, "it").status == "ok"
    assert "80 s behind" in clock_verdict(-80, "it").seen
    assert clock_verdict(61, "it").code == "clock.skew"


def test_only_classes_of_a_csi_driver_are_tried() -> None:
    drivers = [{"metadata": {"name": "disk.csi"}}]
    classes = [
        {"metadata": {"name": "fast"}, "provisioner": "disk.csi"},
        {"metadata": {"name": "old"}, "provisioner": "kubernetes.io/no-provisioner"},
    ]
    chosen, others = csi_classes(classes, drivers)
    assert ([raw["metadata"]["name"] for raw in chosen], others) == (["fast"], ["old"])
