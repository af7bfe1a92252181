"""Where a backup's hooks run, and how what their commands wrote is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.errors import PlanError
from console.engine.plan.raw import items, name_of, namespace_of, part, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.kinds import RawObject
    from console.engine.model.record import ExecHook

MAX_PODS = 20  # of one hook
MAX_OUTPUT = 1024  # bytes of one session, in the record


def chosen(hook: ExecHook, pods: Iterable[RawObject]) -> list[tuple[str, str]]:
    """(pod, container) of each running pod that the hook selects, by name.

    Args:
        pods: Those that carry the hook's labels.

    Raises:
        PlanError: There is none, one lacks the container, or there are too many.
    """
    running = sorted((pod for pod in pods if _runs(pod)), key=name_of)
    if not running:
        raise PlanError(
            f"no running pod is selected by {hook.podSelector!r}",
            subject="spec.hooks",
            hint="see which labels its pods have: kubectl get pods --show-labels",
            code="hook.no_pod",
        )
    if len(running) > MAX_PODS:
        raise PlanError(
            f"{len(running)} pods are selected by {hook.podSelector!r}; at most {MAX_PODS} may be",
            subject="spec.hooks",
            hint="select fewer, for example the writing one only",
            code="hook.many_pods",
        )
    return [(name_of(pod), _container(hook, pod)) for pod in running]


def shown(output: bytes | bytearray) -> str:
    """Output as text without control characters, at most `MAX_OUTPUT` characters."""
    decoded = bytes(output[:MAX_OUTPUT]).decode("utf-8", "replace")
    return "".join(c for c in decoded if c == "\n" or c.isprintable()).strip()


def _runs(pod: RawObject) -> bool:
    going = text(pod, "metadata", "deletionTimestamp")
    return text(pod, "status", "phase") == "Running" and not going


def _container(hook: ExecHook, pod: RawObject) -> str:
    names = [text(one, "name") for one in items(pod, "spec", "containers")]
    if not hook.container:
        usual = part(pod, "metadata", "annotations").get("kubectl.kubernetes.io/default-container")
        return str(usual) if usual in names else names[0]
    if hook.container not in names:
        raise PlanError(
            f"the pod has no container {hook.container}",
            subject=f"Pod {namespace_of(pod)}/{name_of(pod)}",
            hint=f"it has: {', '.join(names)}",
            code="hook.no_container",
        )
    return hook.container
