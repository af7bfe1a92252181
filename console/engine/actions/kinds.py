"""What is carried out for each kind of action: its steps, and how it is thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from console.engine.actions import backup, export, restore, retire, swap
from console.engine.model.kinds import (
    BACKUP_ACTIONS,
    EXPORT_ACTIONS,
    RESTORE_ACTIONS,
    RETIRE_ACTIONS,
)
from console.engine.model.record import BackupAction, ExportAction, RestoreAction, RetireAction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from console.engine.actions.run import ActionRun, StepSpec
    from console.engine.model.kinds import Kind
    from console.engine.model.record import Action, ActionKind


class Handling(NamedTuple):
    """How one kind of action is carried out."""

    kind: Kind
    type: type[Action]
    steps: tuple[StepSpec[Any], ...]
    # after failure or cancel; idempotent; True when the action's result stands all the same
    discard: Callable[[ActionRun[Any]], Awaitable[bool]]


HANDLINGS: Mapping[ActionKind, Handling] = {
    "BackupAction": Handling(BACKUP_ACTIONS, BackupAction, backup.STEPS, backup.discard),
    "ExportAction": Handling(EXPORT_ACTIONS, ExportAction, export.STEPS, export.discard),
    "RestoreAction": Handling(RESTORE_ACTIONS, RestoreAction, restore.STEPS, restore.discard),
    "RetireAction": Handling(RETIRE_ACTIONS, RetireAction, retire.STEPS, retire.discard),
}
_IN_PLACE = Handling(RESTORE_ACTIONS, RestoreAction, swap.IN_PLACE, swap.discard)
_UNDO = Handling(RESTORE_ACTIONS, RestoreAction, swap.UNDO, swap.discard)


def handling_of(kind: ActionKind, action: Action) -> Handling:
    """How this very action is carried out: a restore may be in place, or undo one."""
    if isinstance(action, RestoreAction) and action.spec.subject.kind == "RestoreAction":
        return _UNDO
    if isinstance(action, RestoreAction) and action.spec.inPlace:
        return _IN_PLACE
    return HANDLINGS[kind]
