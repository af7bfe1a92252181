"""Actions and plans in plain words, as lines of text. Pure; the clock is an argument."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from console.cli.output import age, duration, size, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from console.engine import (
        ActionView,
        Blocker,
        Failure,
        FreedData,
        HookResult,
        PlannedObject,
        PointVolumeView,
        PreparePlan,
        RestorePreview,
        RetirePreview,
        Step,
        VolumeProgress,
    )

_MARKS = {"done": "✓", "running": "…", "failed": "✖", "skipped": "-", "pending": " "}
VERBS = {
    "BackupAction": "backup",
    "ExportAction": "export",
    "RestoreAction": "restore",
    "RetireAction": "retirement",
}
_BYTES = {
    "now": "freed",
    "prune": "removed; its bytes come back when the repository is pruned",
    "kept": "stays: something else names it too",
}
_REASONS = {
    "SelfServiceUnavailable": "actions outside the namespace kubehaven need the in-cluster engine",
    "OtherRequester": "the engine that drives this cluster works for its own user only; "
    "let the requester's own drive it, or one in the cluster",
    "RequesterMissing": "it does not say who asks (spec.requestedBy); ask for it with kubehaven",
    "NoSlot": "all slots are taken",
    "Paused": "it is paused",
}


def action_title(action: ActionView) -> str:
    """`backup of shop: Finished, Complete`."""
    verb = VERBS[action.kind]
    where = f" into {action.target}" if action.target else ""
    where = f" to {action.location}" if action.location and not where else where
    state = f"{action.phase}, {action.outcome}" if action.outcome else action.phase
    return visible(f"{verb} of {action.application}{where}: {state}")


def explain_action(action: ActionView, now: datetime) -> list[str]:
    """The state of an action: where it stands, why it waits, what went wrong, what to do."""
    lines = [action_title(action)]
    lines += [f"  {line}" for line in _times(action, now)]
    if action.phase in {"Pending", "Queued"}:
        lines += [f"  {line}" for line in waiting(action)]
    if action.requested_by:
        lines.append(f"  asked for by {visible(action.requested_by)}")
    if action.driver and action.phase != "Finished":
        lines.append(f"  driven by {visible(action.driver)}")
    if action.steps:
        lines += ["steps:", *(f"  {step_line(step, now)}" for step in action.steps)]
    if action.volumes:
        lines += ["volumes:", *(f"  {volume_line(volume)}" for volume in action.volumes)]
    if action.hooks:
        lines += ["hooks:", *(f"  {hook_line(hook)}" for hook in action.hooks)]
    lines += explain_freed(action.freed)
    lines += explain_swap(action)
    lines += explain_faults(action)
    return lines


def explain_swap(action: ActionView) -> list[str]:
    """What a restore in place has swapped, and until when that can be undone."""
    swap = action.swap
    if swap is None:
        return []
    lines = [f"  {one.pvc}  {one.old or 'no volume'} -> {one.new}" for one in swap.volumes]
    lines = ["swapped:", *map(visible, lines)]
    if swap.startedAt:
        lines.append(f"  the application stood still for {swap.downtimeSeconds:.1f} s")
    if swap.stands == "new":
        lines.append(f"  the old volumes are kept until {visible(swap.keptUntil)}")
    elif swap.stands == "old":
        lines.append("  the application runs on its old volumes")
    return lines


def explain_faults(action: ActionView) -> list[str]:
    """What went wrong, each with its next step; nothing when all went well."""
    lines: list[str] = []
    if action.error is not None:
        lines.append(f"error: {visible(action.error.message)} [{visible(action.error.code)}]")
        if action.error.cause:
            lines.append(f"  because {visible(action.error.cause)}")
        if action.error.hint:
            lines.append(f"  → {visible(action.error.hint)}")
    if action.failures:
        lines.append(f"{len(action.failures)} not done:")
        for failure in action.failures:
            lines += _failure(failure)
    return lines


def step_line(step: Step, now: datetime) -> str:
    """`✓ cut  1.2 s  2 volumes, spread 0.1 s`."""
    took = _between(step.startTime, step.endTime, now)
    attempt = f" (attempt {step.attempt})" if step.attempt > 1 else ""
    parts = (f"{_MARKS[step.state]} {visible(step.name)}{attempt}", took, visible(step.detail))
    return "  ".join(part for part in parts if part)


def hook_line(hook: HookResult) -> str:
    """`db-0/postgres  pre 0, post 0  checkpoint done`."""
    codes = [("pre", hook.pre), ("post", hook.post)]
    ended = ", ".join(f"{name} {code}" for name, code in codes if code >= 0)
    thawed = f"thawed by itself ({hook.woke})" if hook.woke not in {"", "go"} else ""
    said = hook.output.replace("\n", " | ")
    parts = (f"{hook.pod}/{hook.container}", ended, thawed, said)
    return "  ".join(visible(part) for part in parts if part)


def volume_line(volume: VolumeProgress) -> str:
    """`data  1.2 GiB of 3.0 GiB, 310 MiB stored, 1,204 files`."""
    parts = [f"{size(volume.bytesDone)} of {size(volume.bytesTotal)}"]
    if volume.bytesStored:
        parts.append(f"{size(volume.bytesStored)} stored")
    if volume.filesDone:
        parts.append(f"{volume.filesDone:,} files")
    if volume.state:
        parts.append(volume.state)
    return f"{visible(volume.pvc)}  {', '.join(parts)}"


def explain_restore(preview: RestorePreview) -> list[str]:
    """A restore before it is done: what stands in the way first, then each object in order."""
    lines = [visible(f"restore {preview.point} into namespace {preview.target}")]
    lines += _blockers("what stands in the way:", "✖", preview.blockers)
    lines += _blockers("worth knowing:", "▲", preview.warnings)
    lines += _objects("in this order:", (o for o in preview.objects if o.verb != "skip"))
    lines += _objects("left out:", (o for o in preview.objects if o.verb == "skip"))
    if preview.stops:
        lines.append(f"stands still meanwhile: {', '.join(map(visible, preview.stops))}")
    if preview.swaps:
        lines.append(f"kept for 24 h, for an undo: {', '.join(map(visible, preview.swaps))}")
    if preview.volumes:
        lines += ["volumes:", *(f"  {_point_volume(volume)}" for volume in preview.volumes)]
    return lines


def explain_retire(preview: RetirePreview) -> list[str]:
    """A retirement before it is done: what stands in the way first, then everything by its id."""
    lines = [visible(f"retire restore points of {preview.application}")]
    lines += _blockers("what stands in the way:", "✖", preview.blockers)
    lines += _blockers("worth knowing:", "▲", preview.warnings)
    for point in dict.fromkeys(item.point for item in preview.items):
        items = [item for item in preview.items if item.point == point]
        where = f" in {items[0].location}" if items[0].location else ""
        lines.append(visible(f"{point}: {items[0].kind}{where}, taken {items[0].taken_at}"))
        lines += [f"  {_freed(item.what, item.id, item.pvc, item.bytes)}" for item in items]
    return lines


def explain_freed(freed: Iterable[FreedData]) -> list[str]:
    """What a retirement has let go of, by id."""
    lines = [f"  {_freed(one.kind, one.id, one.pvc, one.bytes)}" for one in freed]
    return ["freed:", *lines] if lines else []


def _freed(what: str, id_: str, pvc: str, how: str) -> str:
    of = f" of {pvc}" if pvc else ""
    return visible(f"{what} {id_}{of}: {_BYTES[how]}")


def explain_prepare(plan: PreparePlan) -> list[str]:
    """What *prepare* would do with each object."""
    changes = [o for o in plan.objects if o.verb in {"create", "update"}]
    kept = sum(o.verb == "keep" for o in plan.objects)
    lines = [visible(f"prepare {plan.cluster}: {len(changes)} objects to write, {kept} stay")]
    lines += _objects("would be written:", changes)
    lines += _objects("left out:", (o for o in plan.objects if o.verb == "skip"))
    return lines


def _times(action: ActionView, now: datetime) -> Iterator[str]:
    if action.created_at:
        yield f"asked for {age(action.created_at, now)}"
    waited = _between(action.queued_at or action.created_at, action.started_at, now)
    if waited and action.phase != "Pending":
        yield f"waited {waited}" if action.started_at else f"has been waiting for {waited}"
    ran = _between(action.started_at, action.ended_at, now)
    if ran:
        yield f"ran for {ran}" if action.ended_at else f"running for {ran}, {action.progress} %"
    if action.point:
        yield f"restore point {visible(action.point)}"


def waiting(action: ActionView) -> Iterator[str]:
    """Why an action that is pending or queued doesn't run yet."""
    if action.queue_position:
        yield f"place {action.queue_position} in the queue"
    if action.held_by:
        yield f"its slot is held by {', '.join(visible(holder) for holder in action.held_by)}"
    if action.reason:
        why = _REASONS.get(action.reason, "")
        yield f"waits because {why} ({action.reason})" if why else f"reason: {action.reason}"
    elif not action.driver:
        yield "no engine has taken it yet"


def _failure(failure: Failure) -> Iterator[str]:
    where = f"{visible(failure.object)}: " if failure.object else ""
    yield f"  ✖ {where}{visible(failure.message)} [{visible(failure.code)}]"
    if failure.hint:
        yield f"    → {visible(failure.hint)}"


def _blockers(title: str, mark: str, blockers: Iterable[Blocker]) -> list[str]:
    lines: list[str] = []
    for blocker in blockers:
        where = f"{visible(blocker.object)}: " if blocker.object else ""
        lines.append(f"  {mark} {where}{visible(blocker.message)} [{visible(blocker.code)}]")
        if blocker.hint:
            lines.append(f"    → {visible(blocker.hint)}")
    return [title, *lines] if lines else []


def _objects(title: str, objects: Iterable[PlannedObject]) -> list[str]:
    lines = [f"  {_object(item)}" for item in objects]
    return [title, *lines] if lines else []


def _object(item: PlannedObject) -> str:
    path = f"{item.namespace}/{item.name}" if item.namespace else item.name
    why = "; ".join(part for part in (item.reason, *item.changes) if part)
    return visible("  ".join((f"{item.verb:6}", f"{item.resource} {path}", why))).rstrip()


def _point_volume(volume: PointVolumeView) -> str:
    data = f", {size(volume.logical_size)} of data" if volume.logical_size >= 0 else ""
    return f"{visible(volume.pvc)}  {size(volume.size)}{data}{copied(volume)}"


def copied(volume: PointVolumeView) -> str:
    """What is to be known of a volume that nothing can snapshot; empty for all others."""
    if volume.crash_consistent:
        return ""
    if not volume.copied_at:
        return ", no data here: nothing can snapshot it, an export copies it"
    return f", not crash-consistent: copied from {visible(volume.copied_at)} on"


def _between(start: str, end: str, now: datetime) -> str:
    if not start:
        return ""
    until = datetime.fromisoformat(end) if end else now
    seconds = int(max((until - datetime.fromisoformat(start)).total_seconds(), 0))
    return duration(seconds).replace(".0 ", " ") if seconds else "< 1 s"  # times are whole seconds
