"""`kubehaven action`: work, done and under way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import CANCELLED, DONE
from console.cli.explain import explain_action, explain_swap
from console.cli.follow import add_wait, follow, follow_or_name
from console.cli.session import Session, confirmed, no_verb, on_engine
from console.cli.usage import UsageError
from console.engine import ActionRef, ActionView

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `action`."""
    no_verb(parser)
    verbs = parser.add_subparsers(metavar="VERB")
    on_engine(verbs.add_parser("list", help="the actions, the newest first"), _list)
    show = verbs.add_parser("show", help="the state of one action, explained")
    show.add_argument("action", metavar="ACTION", help="its name, or kind/namespace/name")
    show.add_argument("--follow", action="store_true", help="stay until it ends")
    on_engine(show, _show)
    undo = verbs.add_parser("undo", help="swap the old volumes of a restore in place back")
    undo.add_argument("action", metavar="ACTION", help="its name, or kind/namespace/name")
    undo.add_argument("--yes", action="store_true", help="do not ask")
    add_wait(undo)
    on_engine(undo, _undo)
    cancel = verbs.add_parser("cancel", help="ask an action to stop")
    cancel.add_argument("action", metavar="ACTION", help="its name, or kind/namespace/name")
    add_wait(cancel)
    on_engine(cancel, _cancel)


async def _list(session: Session) -> int:
    actions = await session.engine.actions.list(await session.cluster())
    if session.json:
        output.print_json(actions)
        return DONE
    now = datetime.now(UTC)
    output.print_table(
        ("KIND", "NAMESPACE", "NAME", "APPLICATION", "PHASE", "OUTCOME", "PROGRESS", "AGE"),
        [
            (
                row.kind,
                row.namespace,
                row.name,
                row.application,
                row.phase,
                row.outcome,
                f"{row.progress} %",
                output.age(row.created_at, now),
            )
            for row in actions
        ],
    )
    return DONE


async def _show(session: Session) -> int:
    action = await _meant(session)
    if session.arguments.follow and action.phase != "Finished":
        return await follow(session, reference(action))
    if session.json:
        output.print_json(action)
    else:
        print(*explain_action(action, datetime.now(UTC)), sep="\n")
    return DONE


async def _cancel(session: Session) -> int:
    action = await _meant(session)
    if action.phase == "Finished":
        raise UsageError(f"{action.name} has ended already: {action.outcome}")
    await session.engine.actions.cancel(action.cluster, action.kind, action.namespace, action.name)
    code = await follow_or_name(session, reference(action))
    return DONE if code == CANCELLED else code


async def _undo(session: Session) -> int:
    action = await _meant(session)
    if action.kind != "RestoreAction":
        raise UsageError(f"{action.name} is no restore", hint="`kubehaven action list` shows them")
    if not session.json:
        print(*explain_swap(action), sep="\n")
    await confirmed(session, f"stop {action.target} and swap its old volumes back?")
    asked = await session.engine.actions.undo(action.cluster, action.namespace, action.name)
    return await follow_or_name(session, asked)


def reference(action: ActionView) -> ActionRef:
    """The name of an action, as calls take it."""
    return ActionRef(
        cluster=action.cluster,
        kind=action.kind,
        namespace=action.namespace,
        name=action.name,
        uid=action.uid,
    )


async def _meant(session: Session) -> ActionView:
    asked = session.arguments.action
    rows = await session.engine.actions.list(await session.cluster())
    found = [row for row in rows if asked.lower() in _names(row)]
    if not found:
        raise UsageError(
            f"there is no action {asked}", hint="`kubehaven action list` shows the names"
        )
    if len(found) > 1:
        these = ", ".join(f"{row.kind}/{row.namespace}/{row.name}" for row in found)
        raise UsageError(f"several actions are named {asked}", hint=f"one of: {these}")
    row = found[0]
    return await session.engine.actions.show(row.cluster, row.kind, row.namespace, row.name)


def _names(row: ActionView) -> set[str]:
    path = f"{row.namespace}/{row.name}"
    kind = row.kind.lower()
    return {row.name.lower(), row.uid, path, f"{kind}/{path}", f"{kind}s/{path}"}
