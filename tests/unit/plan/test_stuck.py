"""A worker pod that can't begin is told apart from one that only takes its time."""

from __future__ import annotations

from typing import Any

import pytest

from console.engine.plan.stuck import Patience, hindrance

PATIENCE = Patience()


def pod(*, reason: str = "", message: str = "", **status: Any) -> dict[str, Any]:
    waiting = {"state": {"waiting": {"reason": reason, "message": message}}}
    return {
        "metadata": {"name": "kh-1"},
        "status": {"phase": "Pending", "containerStatuses": [waiting] if reason else [], **status},
    }


def unschedulable(message: str) -> dict[str, str]:
    return {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("ErrImagePull", "worker.image"),
        ("ImagePullBackOff", "worker.image"),
        ("InvalidImageName", "worker.image"),
        ("CreateContainerConfigError", "worker.config"),
    ],
)
def test_a_container_that_can_not_be_made_is_told_in_the_kubelets_words(
    reason: str, code: str
) -> None:
    found = hindrance(pod(reason=reason, message="no such thing"), PATIENCE)
    assert found is not None
    assert (found.code, found.patience_s) == (code, PATIENCE.image_s)
    assert f"{reason}: no such thing" in found.message


def test_a_pod_without_a_node_is_told_in_the_schedulers_words_and_waited_for_longer() -> None:
    found = hindrance(pod(conditions=[unschedulable("0/3 nodes are available")]), PATIENCE)
    assert found is not None
    assert found.code == "worker.unschedulable"
    assert found.patience_s > PATIENCE.image_s
    assert "0/3 nodes" in found.message


@pytest.mark.parametrize(
    "raw",
    [
        pod(),
        pod(reason="ContainerCreating"),
        pod(reason="ErrImagePull", phase="Running"),
        {"metadata": {"name": "kh-1", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"metadata": {"name": "kh-1"}, "status": {"phase": "Pending", "conditions": None}},
    ],
)
def test_what_only_takes_its_time_is_no_hindrance(raw: dict[str, Any]) -> None:
    assert hindrance(raw, PATIENCE) is None
