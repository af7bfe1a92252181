"""Which queued actions start now, and what the others wait for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console.engine.controller.rows import action_application
from console.engine.model.record import BackupAction, ExportAction, RetireAction
from console.engine.plan.queue import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from console.engine.model.points import RestorePointContent
    from console.engine.model.record import Action
    from console.engine.plan.queue import Waiting, Work
    from console.engine.volumes.slots import SlotTable

LABEL_AFTER = "kubehaven.io/afterAction"  # uid of the BackupAction whose point is exported


class Starts(NamedTuple):
    """A decision over all queued actions."""

    now: tuple[str, ...]  # uids, in order
    waiting: Mapping[str, Waiting]


def decide(queued: Iterable[Action], slots: SlotTable) -> Starts:
    """Let an action start when its first piece of work could; paused ones wait."""
    schedule = slots.schedule_with(_entry(action) for action in queued)
    uids = {action.metadata.uid for action in queued}
    return Starts(
        tuple(key for key in schedule.start if key in uids),
        {waiting.key: waiting for waiting in schedule.waiting if waiting.key in uids},
    )


def waits_for_point(
    export: ExportAction, contents: Mapping[str, RestorePointContent], unfinished: set[str]
) -> bool:
    """Whether an export still waits for the backup that makes its point."""
    content = contents.get(export.spec.subject.name)
    if content is not None and content.status.state != "Building":
        return False
    return export.metadata.labels.get(LABEL_AFTER, "") in unfinished


def _entry(action: Action) -> Entry:
    meta = action.metadata
    return Entry(
        key=meta.uid,
        work=_work(action),
        action=meta.uid,
        label=f"{action.kind} {meta.namespace}/{meta.name}",
        application=action_application(action),
        priority=action.spec.priority,
        queued_at=action.status.queuedAt,
        paused=action.spec.paused,
    )


def _work(action: Action) -> Work:
    if isinstance(action, BackupAction):
        return "snapshot"
    if isinstance(action, RetireAction):
        return "job" if any(p.kind == "exported" for p in action.spec.points) else "snapshot"
    return "export" if isinstance(action, ExportAction) else "restore"
