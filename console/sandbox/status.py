"""The status of pods, as the kubelet writes it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from console.sandbox.kinds import NODE
from console.sandbox.store import now_text
from console.sandbox.telling import with_condition

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw

_STARTED = "startedAt"


@dataclass(slots=True)
class State:
    """One container."""

    image: str
    now: Raw = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Raw = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    final: bool = False
    id: str = field(default_factory=lambda: f"sandbox://{uuid.uuid4().hex}")

    def run(self) -> None:
        """It runs."""
        self.now, self.final = {"running": {_STARTED: now_text()}}, False

    def refuse(self, reason: str, message: str) -> None:
        """It cannot be run; a wrong image waits, everything else is an end."""
        self.ready = False
        if reason == "ErrImagePull":
            self.now = {"waiting": {"reason": reason, "message": message}}
            return
        moment = now_text()
        ended = {"exitCode": 128, "reason": reason, "message": message}
        self.now = {"terminated": {**ended, _STARTED: moment, "finishedAt": moment}}
        self.final = True

    def end(self, code: int, message: str) -> None:
        """It ended."""
        started = self.now.get("running", {}).get(_STARTED, now_text())
        ended: Raw = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            _STARTED: started,
            "finishedAt": now_text(),
            "containerID": self.id,
        }
        if message:
            ended["message"] = message
        self.now, self.ready, self.final = {"terminated": ended}, False, True

    def restart(self) -> None:
        """It will be started again."""
        self.restarts += 1
        self.last, self.final = self.now, False
        self.now = {"waiting": {"reason": "CrashLoopBackOff"}}
        self.id = f"sandbox://{uuid.uuid4().hex}"


def write(pod: Raw, states: dict[str, State]) -> None:
    """Write what the containers do into the pod's status."""
    before = pod.get("status", {})
    phase = _phase(list(states.values()))
    ready = phase == "Running" and all(state.ready for state in states.values())
    conditions = before.get("conditions", [])
    for kind, holds in (
        ("PodScheduled", True),
        ("Initialized", True),
        ("ContainersReady", ready),
        ("Ready", ready),
    ):
        more = {} if holds else {"reason": "ContainersNotReady"}
        conditions = with_condition(conditions, kind, holds=holds, **more)
    pod["status"] = {
        **before,
        "phase": phase,
        "conditions": conditions,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": before.get("startTime") or now_text(),
        "containerStatuses": [
            {
                "name": name,
                "image": state.image,
                "imageID": f"sandbox://{state.image}",
                "containerID": state.id,
                "ready": state.ready,
                "started": "running" in state.now,
                "restartCount": state.restarts,
                "state": state.now,
                "lastState": state.last,
            }
            for name, state in states.items()
        ],
    }


def _phase(states: list[State]) -> str:
    if states and all(state.final for state in states):
        codes = [state.now["terminated"]["exitCode"] for state in states]
        return "Failed" if any(codes) else "Succeeded"
    begun = [state for state in states if "waiting" not in state.now or state.restarts]
    return "Running" if begun else "Pending"


def wait(pod: Raw, reason: str, message: str) -> None:
    """Note why the containers are not running yet."""
    conditions = pod["status"].get("conditions", [])
    for kind in ("ContainersReady", "Ready"):
        conditions = with_condition(
            conditions, kind, holds=False, reason="ContainersNotReady", message=message
        )
    pod["status"]["conditions"] = conditions
    pod["status"]["containerStatuses"] = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "started": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": message}},
            "lastState": {},
        }
        for container in pod["spec"]["containers"]
    ]


def schedule(pod: Raw) -> None:
    """Put the pod on the node."""
    pod["spec"]["nodeName"] = NODE
    conditions = pod["status"].get("conditions", [])
    pod["status"]["conditions"] = with_condition(conditions, "PodScheduled", holds=True)


def unschedulable(pod: Raw, message: str) -> None:
    """Note why the pod has no node."""
    conditions = pod["status"].get("conditions", [])
    pod["status"]["conditions"] = with_condition(
        conditions, "PodScheduled", holds=False, reason="Unschedulable", message=message
    )


def let_go(pod: Raw) -> None:
    """The node is done with a pod that is being deleted."""
    if "deletionTimestamp" in pod["metadata"]:
        pod["metadata"]["deletionGracePeriodSeconds"] = 0
