"""Drives the actions of one cluster: accepts, queues, runs, resumes, cancels.

Everything it knows comes from the watches of the three action kinds; what an
engine that died left Running is picked up by the same code that starts a new
one. It stops at once when a fenced write says that another engine has taken
over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from console.engine.actions.kinds import HANDLINGS, handling_of
from console.engine.actions.run import ActionRun, planned_steps
from console.engine.controller.acceptance import check
from console.engine.controller.carrying import carry
from console.engine.controller.queueing import LABEL_AFTER, decide
from console.engine.controller.sweeping import sweep
from console.engine.errors import (
    ClusterError,
    EngineError,
    Forbidden,
    LostLease,
    NotFound,
    SignInFailed,
)
from console.engine.kube import Changed, Listed
from console.engine.model.kinds import RESTORE_POINT_CONTENTS
from console.engine.model.record import ExportAction, Fault
from console.engine.model.wire import decode
from console.engine.plan.authorise import Refusal, spec_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from console.engine.aiokit import TaskOwner
    from console.engine.model.kinds import RawObject
    from console.engine.model.record import Action, ActionKind, Requester
    from console.engine.model.views import Leftover
    from console.engine.plan.queue import Waiting
    from console.engine.volumes.drive import Drive

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 600.0
AGAIN_S = 10.0  # after an answer that waiting alone does not change


class Entry(NamedTuple):
    """An action as it was last seen or written."""

    kind: ActionKind
    raw: RawObject
    action: Action


class Driver:
    """One engine's hand on one cluster. Made anew for each time the Lease is held."""

    def __init__(
        self,
        drive: Drive,
        owner: TaskOwner,
        *,
        user: Requester,
        desktop: bool,
        on_lost: Callable[[LostLease | SignInFailed], None],
        on_waiting: Callable[[Mapping[str, Waiting]], None],
        on_swept: Callable[[Leftover], None],
    ) -> None:
        self._drive = drive
        self._owner = owner
        self._user = user
        self._desktop = desktop
        self._on_lost = on_lost
        self._on_waiting = on_waiting
        self._on_swept = on_swept
        self._entries: dict[str, Entry] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()
        self._listed: set[ActionKind] = set()
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Begin to follow the actions and to decide."""
        for kind in HANDLINGS:
            self._owner.start(self._follow(kind), name=f"driver:follow:{kind}")
        self._owner.start(self._decide_forever(), name="driver:decide")
        self._owner.start(self._wake_for_sweeping(), name="driver:sweep")

    def wake(self) -> None:
        """Look again: slots or points have changed."""
        self._wake.set()

    @property
    def busy(self) -> bool:
        """Whether an action is being carried out."""
        return bool(self._running)

    async def _follow(self, kind: ActionKind) -> None:
        async for change in self._drive.client.follow(HANDLINGS[kind].kind):
            if isinstance(change, Listed):
                there = {raw["metadata"]["uid"] for raw in change.items}
                for uid in [u for u, e in self._entries.items() if e.kind == kind]:
                    if uid not in there:
                        self._gone(uid)
                for raw in change.items:
                    self._note(kind, raw)
                self._listed.add(kind)
            elif isinstance(change, Changed):
                if change.type == "DELETED":
                    self._gone(change.object["metadata"]["uid"])
                else:
                    self._note(kind, change.object)
            self._wake.set()

    def _note(self, kind: ActionKind, raw: RawObject) -> None:
        try:
            action = decode(raw, HANDLINGS[kind].type)
        except EngineError as error:
            log.warning("%s is ignored: %s", error.subject, error.message)
            return
        known = self._entries.get(action.metadata.uid)
        if known is None or _version(raw) >= _version(known.raw):
            self._entries[action.metadata.uid] = Entry(kind, raw, action)

    def _gone(self, uid: str) -> None:
        self._entries.pop(uid, None)
        task = self._running.get(uid)
        if task is not None:
            self._cancelled.add(uid)
            task.cancel()

    async def _decide_forever(self) -> None:
        sweep_at = 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if len(self._listed) < len(HANDLINGS):
                continue
            try:
                if asyncio.get_running_loop().time() >= sweep_at:
                    # between two decisions: nothing begins that the sweeper has not heard of
                    await self._sweep()
                    sweep_at = asyncio.get_running_loop().time() + SWEEP_EVERY_S
                await self._decide()
            except (LostLease, SignInFailed) as error:
                self._on_lost(error)
                return
            except ClusterError as error:
                log.warning("deciding is put off: %s", error)
                await asyncio.sleep(1 if error.retryable else AGAIN_S)
                self._wake.set()

    async def _sweep(self) -> None:
        actions = [entry.action for entry in self._entries.values()]
        try:
            await sweep(self._drive, actions, on_swept=self._on_swept)
        except LostLease:
            raise
        except EngineError as error:
            if isinstance(error, ClusterError) and error.retryable:
                raise
            # what can't be read, or not by us, is no reason to free anything or to stop
            log.warning("nothing more is swept for now: %s", error)

    async def _wake_for_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self._wake.set()

    async def _decide(self) -> None:
        for uid, entry in tuple(self._entries.items()):
            if uid in self._running:
                if entry.action.spec.cancel and uid not in self._cancelled:
                    self._cancelled.add(uid)
                    self._running[uid].cancel()
            elif entry.action.status.phase != "Finished":
                await self._move_on(uid, entry)
        queued = [
            entry.action
            for uid, entry in self._entries.items()
            if entry.action.status.phase == "Queued"
            and uid not in self._running
            and self._is_mine(entry.action)
        ]
        starts = decide(queued, self._drive.slots)
        for uid in starts.now:
            self._launch(uid)
        self._on_waiting(starts.waiting)

    def _is_mine(self, action: Action) -> bool:
        asked = action.spec.requestedBy
        return not self._desktop or (asked is not None and asked.username == self._user.username)

    async def _move_on(self, uid: str, entry: Entry) -> None:
        """Take an action on from where the record says it is."""
        phase = entry.action.status.phase
        if phase in {"Running", "Cancelling"}:
            if self._is_mine(entry.action):
                self._launch(uid)
            return
        run = self._run_of(entry)
        if entry.action.spec.cancel and self._is_mine(entry.action):
            now = await self._drive.now()
            await self._write(run, entry, phase="Finished", outcome="Cancelled", endTime=now)
        elif phase == "Pending":
            await self._accept(run, entry)

    async def _accept(self, run: ActionRun[Any], entry: Entry) -> None:
        if isinstance(entry.action, ExportAction) and await self._awaits_point(entry.action):
            if self._is_mine(entry.action) and run.status.reason != "WaitingForPoint":
                await self._write(run, entry, reason="WaitingForPoint")
            return
        refusal = await self._refusal(entry)
        now = await self._drive.now()
        if refusal is None:
            await self._write(
                run,
                entry,
                phase="Queued",
                reason="",
                queuedAt=now,
                specHash=spec_hash(entry.raw["spec"]),
                steps=planned_steps(handling_of(entry.kind, entry.action).steps, run.status),
            )
        elif not refusal.pending:
            fault = _refused(refusal)
            await self._write(
                run, entry, phase="Finished", outcome="Failed", endTime=now, error=fault
            )
        elif run.status.reason != refusal.pending:
            # also of another's action: whoever asked must see why it waits
            with contextlib.suppress(Forbidden):
                await self._write(run, entry, reason=refusal.pending)

    async def _refusal(self, entry: Entry) -> Refusal | None:
        """Why an action must not be carried out; what we may not even read is such a reason."""
        try:
            return await check(
                self._drive.client, entry.raw, user=self._user, desktop=self._desktop
            )
        except ClusterError as error:
            if error.retryable:
                raise
            return Refusal(
                code=error.code,
                message=error.message,
                hint=error.hint,
                subject=error.subject,
                pending="" if self._is_mine(entry.action) else "OtherRequester",
            )

    async def _awaits_point(self, action: ExportAction) -> bool:
        before = action.metadata.labels.get(LABEL_AFTER, "")
        backup = self._entries.get(before)
        if backup is None or backup.action.status.phase == "Finished":
            return False
        content = await self._drive.client.find(RESTORE_POINT_CONTENTS, action.spec.subject.name)
        return content is None or content.get("status", {}).get("state", "Building") == "Building"

    async def _write(self, run: ActionRun[Any], entry: Entry, **changes: object) -> None:
        try:
            await run.write(**changes)
        except NotFound:
            self._gone(run.uid)
        else:
            self._remember(run, entry)

    def _launch(self, uid: str) -> None:
        entry = self._entries[uid]
        run = self._run_of(entry)
        task = self._owner.start(self._carry(uid, entry, run), name=f"action:{run.label}")
        self._running[uid] = task
        # not at the coroutine's end: one that is cancelled before its first step has none
        task.add_done_callback(lambda _task: self._ended(uid))

    def _ended(self, uid: str) -> None:
        self._running.pop(uid, None)
        self._cancelled.discard(uid)
        self._wake.set()

    async def _carry(self, uid: str, entry: Entry, run: ActionRun[Any]) -> None:
        work: Coroutine[Any, Any, None] = carry(
            run, handling_of(entry.kind, entry.action), is_cancelled=lambda: uid in self._cancelled
        )
        try:
            await work
        except (LostLease, SignInFailed) as error:
            log.warning("%s: %s", run.label, error.message)
            self._on_lost(error)
        except NotFound:
            # the action itself was deleted while it ran
            log.warning("%s is gone", run.label)
            self._entries.pop(uid, None)
        except ClusterError as error:
            log.warning("%s: its end can't be written: %s", run.label, error)
            await asyncio.sleep(AGAIN_S)  # then it is tried again from where it is
        finally:
            self._remember(run, entry)

    def _run_of(self, entry: Entry) -> ActionRun[Any]:
        handling = HANDLINGS[entry.kind]
        return ActionRun(self._drive, handling.kind, entry.raw, handling.type)

    def _remember(self, run: ActionRun[Any], entry: Entry) -> None:
        """Keep what was just written, so that the next decision does not wait for the watch."""
        if run.uid in self._entries:
            self._note(entry.kind, run.raw)
        self._wake.set()


def _version(raw: RawObject) -> int:
    # resourceVersions of one object grow; the API promises that they can be compared (1.35)
    text = raw["metadata"].get("resourceVersion", "0")
    return int(text) if text.isdigit() else 0


def _refused(refusal: Refusal) -> Fault:
    message = f"{refusal.subject}: {refusal.message}" if refusal.subject else refusal.message
    return Fault(code=refusal.code, message=message, hint=refusal.hint)
