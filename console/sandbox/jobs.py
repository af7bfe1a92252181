"""Jobs: one pod at a time until it succeeded or failed too often."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.sandbox.deletion import delete
from console.sandbox.kinds import JOBS, PODS, Key
from console.sandbox.store import copy_of, now_text
from console.sandbox.telling import is_going, owned_by, owner_of, tell, with_condition
from console.sandbox.workloads import is_over, is_ready

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw
    from console.sandbox.rules import Rules
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control, Tasks

_BACKOFF_S, _LONGEST_BACKOFF_S = 0.1, 10.0  # ten seconds and six minutes on a real cluster


class Jobs:
    """Carries Jobs out; `completions` and `parallelism` beyond 1 simply count."""

    def __init__(self, store: Store, rules: Rules, control: Control, tasks: Tasks) -> None:
        self._store = store
        self._rules = rules
        self._control = control
        self._tasks = tasks
        self._ended: dict[str, dict[str, str]] = defaultdict(dict)  # job uid → pod uid → how
        self._not_before: dict[str, float] = {}
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.resource == JOBS:
            if change.type == "DELETED":
                self._ended.pop(change.object["metadata"]["uid"], None)
            else:
                self._control.ask(self.decide, change.key)
        elif change.key.resource == PODS:
            self._on_pod(change)

    def _on_pod(self, change: Change) -> None:
        for ref in change.object["metadata"].get("ownerReferences") or ():
            if ref["kind"] != "Job":
                continue
            ended, uid = self._ended[ref["uid"]], change.object["metadata"]["uid"]
            if is_over(change.object):
                ended.setdefault(uid, change.object["status"]["phase"])
            elif change.type == "DELETED":
                ended.setdefault(uid, "Failed")
            self._control.ask(self.decide, Key(JOBS, change.key.namespace, ref["name"]))

    def decide(self, key: Key) -> None:
        """One step of one Job."""
        job = self._store.find(key)
        if job is None or is_going(job) or _is_finished(job):
            return
        status, uid = job.setdefault("status", {}), job["metadata"]["uid"]
        ended = list(self._ended[uid].values())
        status["succeeded"], status["failed"] = ended.count("Succeeded"), ended.count("Failed")
        self._step(key, job)
        living, leaving = self._pods(key, uid)
        status.update(
            active=len(living), ready=sum(map(is_ready, living)), terminating=len(leaving)
        )
        for name in ("active", "succeeded", "failed"):
            if not status[name]:
                del status[name]
        self._store.edit(key, lambda now: now.update(status=status), uid=uid)

    def _pods(self, key: Key, uid: str) -> tuple[list[Raw], list[Raw]]:
        """The pods that live, and those that are on their way out."""
        pods = [p for p in self._store.each(PODS, key.namespace) if owned_by(p, uid)]
        going = [p for p in pods if not is_over(p) and is_going(p)]
        return [p for p in pods if not is_over(p) and not is_going(p)], going

    def _step(self, key: Key, job: Raw) -> None:
        spec, status = job["spec"], job["status"]
        living, leaving = self._pods(key, job["metadata"]["uid"])
        if spec["suspend"]:
            self._suspend(job, living)
            return
        conditions = status.get("conditions", [])
        if any(c["type"] == "Suspended" for c in conditions):
            more = {"reason": "JobResumed", "message": "Job resumed"}
            status["conditions"] = with_condition(conditions, "Suspended", holds=False, **more)
        status.setdefault("startTime", now_text())
        why = self._failure(key, job, living)
        if status["succeeded"] >= spec["completions"]:
            reached = ("CompletionsReached", "Reached expected number of succeeded pods")
            _finish(status, "SuccessCriteriaMet", "Complete", reached)
        elif why:
            self._fail(status, living, leaving, why)
        else:
            self._start_pods(key, job, len(living), len(leaving))

    def _suspend(self, job: Raw, living: list[Raw]) -> None:
        for pod in living:
            self._ended[job["metadata"]["uid"]][pod["metadata"]["uid"]] = "Suspended"
            delete(self._store, self._store.registry[PODS].key(pod))
        conditions = job["status"].get("conditions", [])
        job["status"]["conditions"] = with_condition(
            conditions, "Suspended", holds=True, reason="JobSuspended", message="Job suspended"
        )
        job["status"].pop("startTime", None)

    def _failure(self, key: Key, job: Raw, living: list[Raw]) -> tuple[str, str] | None:
        spec, status = job["spec"], job["status"]
        for condition in status.get("conditions", ()):
            if condition["type"] == "FailureTarget":
                return condition["reason"], condition["message"]
        states = [s for pod in living for s in pod["status"].get("containerStatuses", ())]
        restarts = sum(state["restartCount"] for state in states)
        if status["failed"] + restarts > spec["backoffLimit"]:
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        limit = spec.get("activeDeadlineSeconds")
        if limit:
            passed = datetime.now(UTC) - datetime.fromisoformat(status["startTime"])
            left = limit - passed.total_seconds()
            if left <= 0:
                return "DeadlineExceeded", "Job was active longer than specified deadline"
            self._tasks.later(("deadline", key), left, lambda: self._control.ask(self.decide, key))
        return None

    def _fail(
        self, status: Raw, living: list[Raw], leaving: list[Raw], why: tuple[str, str]
    ) -> None:
        for pod in living:
            delete(self._store, self._store.registry[PODS].key(pod))
        if living or leaving:
            conditions = status.get("conditions", [])
            status["conditions"] = with_condition(
                conditions, "FailureTarget", holds=True, reason=why[0], message=why[1]
            )
        else:
            _finish(status, "FailureTarget", "Failed", why)

    def _start_pods(self, key: Key, job: Raw, living: int, leaving: int) -> None:
        spec, status = job["spec"], job["status"]
        if spec.get("podReplacementPolicy") == "Failed":
            living += leaving
        missing = min(spec["parallelism"], spec["completions"] - status["succeeded"]) - living
        if missing <= 0:
            return
        now, uid = time.monotonic(), job["metadata"]["uid"]
        if status["failed"]:
            pause = min(_BACKOFF_S * 2 ** (status["failed"] - 1), _LONGEST_BACKOFF_S)
            wait = self._not_before.setdefault(f"{uid}/{status['failed']}", now + pause) - now
            if wait > 0:
                self._tasks.later(
                    ("backoff", key), wait, lambda: self._control.ask(self.decide, key)
                )
                return
        for _ in range(missing):
            self._make_pod(job)

    def _make_pod(self, job: Raw) -> None:
        meta, template = job["metadata"], copy_of(job["spec"]["template"])
        name = f"{meta['name'][:57]}-{secrets.token_hex(3)[:5]}"
        pod = {
            "metadata": {
                **template.get("metadata", {}),
                "name": name,
                "namespace": meta["namespace"],
                "ownerReferences": [owner_of(job)],
            },
            "spec": template["spec"],
        }
        resource = self._store.registry[PODS]
        born = self._rules.for_create(resource, pod, meta["namespace"], strict=False)
        self._store.add(resource, born)
        tell(self._store, job, "SuccessfulCreate", f"Created pod: {name}")


def _is_finished(job: Raw) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)


def _finish(status: Raw, first: str, last: str, why: tuple[str, str]) -> None:
    conditions = status.get("conditions", [])
    for kind in (first, last):
        conditions = with_condition(conditions, kind, holds=True, reason=why[0], message=why[1])
    status["conditions"] = conditions
    if last == "Complete":
        status["completionTime"] = now_text()
