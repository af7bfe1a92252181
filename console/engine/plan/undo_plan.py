"""Whether a restore in place can be undone, and what that stops and swaps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.model.names import ANNOTATION_KEPT_CLAIM
from console.engine.model.views import Blocker
from console.engine.plan.raw import annotations_of, name_of
from console.engine.plan.swap_plan import SwapPlan, plan_swap

if TYPE_CHECKING:
    from console.engine.model.record import RestoreAction, SwappedVolume
    from console.engine.plan.facts import SwapFacts


def plan_undo(undone: RestoreAction, facts: SwapFacts, *, uid: str = "") -> SwapPlan:
    """Plan the swap backwards.

    Args:
        facts: Of the namespace that was restored.
        uid: The undoing action's; empty for a preview.
    """
    where = f"RestoreAction {undone.metadata.namespace}/{undone.metadata.name}"
    swap = undone.status.swap
    if undone.status.phase != "Finished":
        return _refused("undo.running", "the restore has not ended yet", where)
    kept = [volume for volume in swap.volumes if volume.old] if swap else []
    if swap is None or swap.stands != "new" or not kept:
        return _refused("undo.nothing", "it swapped no volume, or has put the old ones back", where)
    made = plan_swap(facts.objects, facts.served, {volume.pvc for volume in kept})
    there = {volume.pvc: volume for volume in made.volumes}
    volumes = {name_of(raw): raw for raw in facts.volumes}
    blockers = list(made.blockers)
    back = []
    for volume in kept:
        now = there.get(volume.pvc)
        claim = f"PersistentVolumeClaim {undone.status.targetNamespace}/{volume.pvc}"
        kept_raw = volumes.get(volume.old, {})
        if now is not None and now.old == volume.old:
            blockers.append(_blocker("undo.done", "the old volume is in its place again", claim))
        elif now is None or now.old != volume.new:
            text = "the claim was changed since; it has another volume, or is gone"
            blockers.append(_blocker("undo.changed", text, claim))
        elif ANNOTATION_KEPT_CLAIM not in annotations_of(kept_raw):
            text = "its old volume is not kept any more"
            blockers.append(_blocker("undo.released", text, claim))
        else:
            back.append(_back(now, volume))
    return SwapPlan(made.workloads, tuple(back), tuple(blockers), made.warnings)


def _back(now: SwappedVolume, then: SwappedVolume) -> SwappedVolume:
    return msgspec.structs.replace(now, new=then.old)


def _refused(code: str, message: str, where: str) -> SwapPlan:
    return SwapPlan(blockers=(_blocker(code, message, where),))


def _blocker(code: str, message: str, where: str) -> Blocker:
    return Blocker(
        code=code, message=message, object=where, hint="restore a restore point in place instead"
    )
