"""One action being driven: its record, its fenced writes, its steps.

The Lease is a hint; safety is in the writes. Each step begins with a write of
the status that carries holder, epoch and the resourceVersion that was read. An
answer of 409 is looked into: a change of `cancel`, `paused` or `priority` by a
person is taken over; a status by another engine, or a higher epoch, ends this
one at once (`LostLease`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from console.engine.errors import Conflict, EngineError, LostLease
from console.engine.model.record import (
    Action,
    ActionStatus,
    Driver,
    Failure,
    Step,
    VolumeProgress,
)
from console.engine.model.wire import decode, encode
from console.engine.plan.authorise import spec_hash

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.views import Blocker
    from console.engine.volumes.drive import Drive

A = TypeVar("A", bound=Action)

MAX_FAILURES = 50
MAX_VOLUMES = 500
MAX_MESSAGE, MAX_HINT = 4096, 1024  # characters, as in resources/crds
STATUS_EVERY_S = 5.0


class StepSpec(NamedTuple, Generic[A]):
    """A step: its name in the record, and what it does.

    `do` is idempotent: it first looks whether its result is there. It returns a
    line of detail for people.
    """

    name: str
    do: Callable[[ActionRun[A]], Awaitable[str]]


class ActionRun(Generic[A]):
    """The record of one action, kept by the engine that drives it."""

    def __init__(self, drive: Drive, kind: Kind, raw: RawObject, to: type[A]) -> None:
        self.drive = drive
        self.kind = kind
        self._type = to
        self._raw = raw
        self.action: A = decode(raw, to)
        self.status: ActionStatus = self.action.status
        self._write_lock = asyncio.Lock()
        self._volumes_written_at = 0.0
        self.memo: dict[str, Any] = {}  # what a step has computed; always to be had again

    @property
    def uid(self) -> str:
        """The action's uid."""
        return self.action.metadata.uid

    @property
    def label(self) -> str:
        """The action in words, for logs and slots."""
        meta = self.action.metadata
        return f"{self.kind.kind} {meta.namespace}/{meta.name}"

    @property
    def raw(self) -> RawObject:
        """The object as it was last read or written."""
        return self._raw

    @property
    def name(self) -> tuple[str, str]:
        """Name and namespace."""
        return self.action.metadata.name, self.action.metadata.namespace

    def current(self) -> A:
        """The action as it was last written."""
        return decode(self._raw, self._type)

    def note(self, **changes: object) -> None:
        """Change the status here; it is written with the next step."""
        self.status = msgspec.structs.replace(self.status, **changes)

    async def write(self, **changes: object) -> None:
        """Write the status, fenced.

        Raises:
            LostLease: Another engine has taken the action over.
        """
        async with self._write_lock:
            drive = self.drive
            self.status = msgspec.structs.replace(
                self.status, driver=Driver(holder=drive.holder, epoch=drive.epoch), **changes
            )
            while True:
                body = {**self._raw, "status": encode(self.status)}
                try:
                    self._raw = await drive.client.replace(self.kind, body, subresource="status")
                except Conflict:
                    await self._reread()
                else:
                    return

    async def _reread(self) -> None:
        meta = self.action.metadata
        fresh = await self.drive.client.get(self.kind, meta.name, meta.namespace)
        there = decode(fresh, self._type)
        driver, known = there.status.driver, self._raw.get("status", {}).get("driver", {})
        mine = Driver(holder=self.drive.holder, epoch=self.drive.epoch)
        # the late write of one that held the Lease before us stops nobody but itself
        newer = driver.epoch > mine.epoch
        rival = driver.epoch == mine.epoch and driver != mine and encode(driver) != known
        if newer or rival:
            raise LostLease(f"{driver.holder} drives this action now", subject=self.label)
        if spec_hash(fresh["spec"]) != self.status.specHash and self.status.specHash:
            raise EngineError(
                "the action's spec was altered after it was accepted",
                subject=self.label,
                hint="make a new action instead",
                code="action.altered",
            )
        self._raw = fresh
        self.action = there

    async def begin(self, name: str) -> None:
        """Mark a step as running, and the one before it as done."""
        now = await self.drive.now()
        steps = tuple(
            msgspec.structs.replace(
                step, state="running", startTime=step.startTime or now, attempt=self.status.attempt
            )
            if step.name == name
            else step
            for step in self.status.steps
        )
        await self.write(steps=steps)

    async def end(self, name: str, detail: str) -> None:
        """Note a step as done; written together with the next step's beginning."""
        now = await self.drive.now()
        steps = tuple(
            msgspec.structs.replace(step, state="done", endTime=now, detail=detail)
            if step.name == name
            else step
            for step in self.status.steps
        )
        self.status = msgspec.structs.replace(self.status, steps=steps)

    def fail(self, failure: Failure) -> None:
        """Remember one thing that went wrong; only the first fifty are kept."""
        failure = _clipped(failure)
        if failure in self.status.failures or len(self.status.failures) >= MAX_FAILURES:
            return
        self.status = msgspec.structs.replace(
            self.status, failures=(*self.status.failures, failure)
        )

    def refuse(self, blockers: Sequence[Blocker], *, code: str = "") -> None:
        """End the action when something stands in its way; each is in the failures.

        Args:
            code: Of the error; by default the first blocker's.

        Raises:
            EngineError: About the first of the blockers.
        """
        for blocker in blockers:
            self.fail(failure_of(blocker))
        if blockers:
            first = blockers[0]
            more = f" (and {len(blockers) - 1} more)" if len(blockers) > 1 else ""
            raise EngineError(
                f"{first.message}{more}",
                subject=first.object,
                hint=first.hint,
                code=code or first.code,
            )

    def set_volumes(self, volumes: Iterable[VolumeProgress]) -> None:
        """Note all volumes at once; written with the next step."""
        rows = tuple(volumes)[:MAX_VOLUMES]
        self.note(volumes=rows, progress=_progress(self.status.progress, rows))
        self.drive.on_progress(self.uid, rows)

    def volume(self, pvc: str) -> VolumeProgress:
        """How far a volume is."""
        there = (v for v in self.status.volumes if v.pvc == pvc)
        return next(there, VolumeProgress(pvc=pvc))

    async def set_volume(self, volume: VolumeProgress, *, force: bool = False) -> None:
        """Note how far a volume is; written on state changes and at most every 5 s."""
        others = {v.pvc: v for v in self.status.volumes}
        changed = others.get(volume.pvc) is None or others[volume.pvc].state != volume.state
        others[volume.pvc] = volume
        volumes = tuple(others.values())[:MAX_VOLUMES]
        self.status = msgspec.structs.replace(
            self.status, volumes=volumes, progress=_progress(self.status.progress, volumes)
        )
        self.drive.on_progress(self.uid, volumes)
        now = asyncio.get_running_loop().time()
        if force or changed or now - self._volumes_written_at >= STATUS_EVERY_S:
            self._volumes_written_at = now
            await self.write()


def planned_steps(specs: tuple[StepSpec[A], ...], status: ActionStatus) -> tuple[Step, ...]:
    """The steps as the record shows them: those there keep their state."""
    there = {step.name: step for step in status.steps}
    return tuple(there.get(spec.name, Step(name=spec.name)) for spec in specs)


async def carry_out(run: ActionRun[A], specs: tuple[StepSpec[A], ...]) -> None:
    """Carry all steps out that are not done; each begins with a fenced write.

    Cancel: the step under way stops where it is; the caller cleans up.
    """
    done = {step.name for step in run.status.steps if step.state == "done"}
    for spec in specs:
        if spec.name in done:
            continue
        await run.begin(spec.name)
        detail = await spec.do(run)
        await run.end(spec.name, detail)


def failure_of(blocker: Blocker) -> Failure:
    """What stands in the way, as the record tells it."""
    return Failure(
        code=blocker.code, message=blocker.message, object=blocker.object, hint=blocker.hint
    )


def _clipped(failure: Failure) -> Failure:
    """A failure that fits the record: a path may be longer than the schema allows."""
    return msgspec.structs.replace(
        failure,
        message=failure.message[:MAX_MESSAGE],
        object=failure.object[:MAX_MESSAGE],
        hint=failure.hint[:MAX_HINT],
    )


def _progress(before: int, volumes: tuple[VolumeProgress, ...]) -> int:
    total = sum(v.bytesTotal for v in volumes)
    done = sum(min(v.bytesDone, v.bytesTotal) for v in volumes)
    # a percentage never goes back, and 100 is said by the end alone
    return max(before, min(99, done * 100 // total if total else 0))
