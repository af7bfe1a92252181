"""The facade over a pipe: an engine in another process, as if it were in this one.

`PipeEngine` implements `EngineFacade` by msgspec-encoded messages; `serve` is the
half beside the real engine. Only what is frozen and encodable crosses, so this
works exactly as long as the facade keeps its promise.

Run as a program (`python -m tests.fakes.pipe FD`) it serves the demo engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_type_hints

import msgspec

import console.engine as roots
from console.engine import (
    ActionKind,
    ActionRef,
    Actions,
    ActionsChanged,
    ActionsListed,
    ActionView,
    Applications,
    ApplicationsChanged,
    ApplicationsListed,
    ApplicationView,
    BrowseEntry,
    CheckChanged,
    ClusterCheck,
    Clusters,
    ClustersListed,
    ClusterView,
    EngineError,
    EngineFacade,
    Event,
    ExecHook,
    Leftovers,
    LocationDraft,
    Locations,
    LocationsListed,
    LocationView,
    Manifests,
    Notice,
    PlannedObject,
    PointsChanged,
    PointsListed,
    PointView,
    PreparePlan,
    RemovePlan,
    RestorePoints,
    RestorePreview,
    RestoreRequest,
    RetirePreview,
    RetireRequest,
    UntrustedPrograms,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

T = TypeVar("T")
AnyEvent = (
    ClustersListed
    | ApplicationsListed
    | ApplicationsChanged
    | PointsListed
    | PointsChanged
    | ActionsListed
    | ActionsChanged
    | LocationsListed
    | CheckChanged
    | Notice
)
GROUPS: dict[str, type] = {
    "clusters": Clusters,
    "applications": Applications,
    "locations": Locations,
    "restore_points": RestorePoints,
    "actions": Actions,
}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message in either direction."""

    kind: Literal["call", "cancel", "close", "result", "error", "event"]
    number: int = 0
    group: str = ""
    method: str = ""
    arguments: tuple[msgspec.Raw, ...] = ()
    named: dict[str, msgspec.Raw] = {}
    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    error: dict[str, str] = {}
    items: tuple[str, ...] = ()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


class Wire:
    """Whole messages over a stream, each after its length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, message: Message) -> None:
        """Send without waiting."""
        body = msgspec.msgpack.encode(message)
        self._writer.write(len(body).to_bytes(4, "big") + body)

    async def receive(self) -> Message | None:
        """The next message; None at the end."""
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            return msgspec.msgpack.decode(await self._reader.readexactly(size), type=Message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def close(self) -> None:
        """End the stream."""
        self._writer.close()


class PipeEngine:
    """An `EngineFacade` whose engine is at the other end of a wire.

    Attributes:
        used: Every call that was made, as `group.method`.
    """

    def __init__(self, wire: Wire, child: subprocess.Popen[bytes] | None = None) -> None:
        self.used: set[str] = set()
        self._wire = wire
        self._child = child
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="pipe:read")
        self.clusters: Clusters = PipeClusters(self)
        self.applications: Applications = PipeApplications(self)
        self.locations: Locations = PipeLocations(self)
        self.restore_points: RestorePoints = PipePoints(self)
        self.actions: Actions = PipeActions(self)

    @classmethod
    async def start(cls) -> PipeEngine:
        """Start the demo engine in a process of its own."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.fakes.pipe", str(theirs.fileno())]
        child = subprocess.Popen(command, pass_fds=[theirs.fileno()])  # noqa: ASYNC220  # ends with us
        theirs.close()
        ours.setblocking(False)
        return cls(Wire(*await asyncio.open_connection(sock=ours)), child)

    async def call(self, name: str, returns: type[T], *arguments: object, **named: object) -> T:
        """Make one call; a cancel crosses too."""
        self.used.add(name)
        group, method = name.split(".")
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._wire.send(
            Message(
                kind="call",
                number=number,
                group=group,
                method=method,
                arguments=tuple(map(_raw, arguments)),
                named={key: _raw(value) for key, value in named.items()},
            )
        )
        try:
            answer = await self._waiting[number]
        except asyncio.CancelledError:
            self._wire.send(Message(kind="cancel", number=number))
            raise
        finally:
            del self._waiting[number]
        if answer.kind == "error":
            raise _error(answer)
        return msgspec.msgpack.decode(answer.value, type=returns)

    async def events(self) -> AsyncIterator[Event]:
        """All events from now on."""
        self._wire.send(Message(kind="call", group="", method="events"))
        while True:
            yield await self._events.get()

    async def aclose(self) -> None:
        """Close the engine, then the wire, and wait for the process."""
        self._wire.send(Message(kind="close"))
        await asyncio.wait([self._reader])
        self._wire.close()
        if self._child is not None:
            assert await asyncio.to_thread(self._child.wait, 10) == 0

    async def _read(self) -> None:
        while (message := await self._wire.receive()) is not None:
            if message.kind == "event":
                self._events.put_nowait(msgspec.msgpack.decode(message.value, type=AnyEvent))
            elif message.number in self._waiting:
                waiting = self._waiting[message.number]
                if not waiting.done():
                    waiting.set_result(message)


def _error(message: Message) -> EngineError:
    known = message.error
    if message.items:
        return UntrustedPrograms(known["message"], items=message.items, subject=known["subject"])
    return EngineError(
        known["message"], subject=known["subject"], hint=known["hint"], code=known["code"]
    )


class PipeClusters:
    """Clusters."""

    def __init__(self, pipe: PipeEngine) -> None:
        self._call = pipe.call

    async def list(self) -> tuple[ClusterView, ...]:
        return await self._call("clusters.list", tuple[ClusterView, ...])

    async def add(
        self, name: str, kubeconfig: str, *, context: str = "", trust_programs: bool = False
    ) -> ClusterView:
        named = {"context": context, "trust_programs": trust_programs}
        return await self._call("clusters.add", ClusterView, name, kubeconfig, **named)

    async def forget(self, name: str) -> None:
        await self._call("clusters.forget", type(None), name)

    async def plan_prepare(self, name: str, *, allow_node_path: bool = False) -> PreparePlan:
        return await self._call(
            "clusters.plan_prepare", PreparePlan, name, allow_node_path=allow_node_path
        )

    async def manifests(self, name: str, *, allow_node_path: bool = False) -> Manifests:
        return await self._call(
            "clusters.manifests", Manifests, name, allow_node_path=allow_node_path
        )

    async def prepare(
        self, name: str, *, plan_hash: str, allow_node_path: bool = False
    ) -> PreparePlan:
        return await self._call(
            "clusters.prepare",
            PreparePlan,
            name,
            plan_hash=plan_hash,
            allow_node_path=allow_node_path,
        )

    async def plan_remove(self, name: str, *, retire_local: bool = False) -> RemovePlan:
        return await self._call("clusters.plan_remove", RemovePlan, name, retire_local=retire_local)

    async def remove(self, name: str, *, plan_hash: str, retire_local: bool = False) -> RemovePlan:
        named = {"plan_hash": plan_hash, "retire_local": retire_local}
        return await self._call("clusters.remove", RemovePlan, name, **named)

    async def leftovers(self, name: str) -> Leftovers:
        return await self._call("clusters.leftovers", Leftovers, name)

    async def check(self, name: str, *, storage_classes: tuple[str, ...] = ()) -> ClusterCheck:
        named = {"storage_classes": storage_classes}
        return await self._call("clusters.check", ClusterCheck, name, **named)

    async def watch(self, name: str, *, take_over: bool = False) -> None:
        await self._call("clusters.watch", type(None), name, take_over=take_over)


class PipeApplications:
    """Applications."""

    def __init__(self, pipe: PipeEngine) -> None:
        self._call = pipe.call

    async def list(self, cluster: str) -> tuple[ApplicationView, ...]:
        return await self._call("applications.list", tuple[ApplicationView, ...], cluster)

    async def show(self, cluster: str, name: str) -> ApplicationView:
        return await self._call("applications.show", ApplicationView, cluster, name)

    async def objects(self, cluster: str, name: str) -> tuple[PlannedObject, ...]:
        return await self._call("applications.objects", tuple[PlannedObject, ...], cluster, name)


class PipeLocations:
    """Locations."""

    def __init__(self, pipe: PipeEngine) -> None:
        self._call = pipe.call

    async def list(self, cluster: str) -> tuple[LocationView, ...]:
        return await self._call("locations.list", tuple[LocationView, ...], cluster)

    async def add(self, cluster: str, draft: LocationDraft) -> LocationView:
        return await self._call("locations.add", LocationView, cluster, draft)

    async def check(self, cluster: str, name: str, *, all_clusters: bool = False) -> LocationView:
        asked = {"all_clusters": all_clusters}
        return await self._call("locations.check", LocationView, cluster, name, **asked)


class PipePoints:
    """Restore points."""

    def __init__(self, pipe: PipeEngine) -> None:
        self._call = pipe.call

    async def list(self, cluster: str, *, application: str = "") -> tuple[PointView, ...]:
        named = {"application": application}
        return await self._call("restore_points.list", tuple[PointView, ...], cluster, **named)

    async def show(self, cluster: str, name: str) -> PointView:
        return await self._call("restore_points.show", PointView, cluster, name)

    async def preview(self, cluster: str, request: RestoreRequest) -> RestorePreview:
        return await self._call("restore_points.preview", RestorePreview, cluster, request)

    async def preview_retire(self, cluster: str, request: RetireRequest) -> RetirePreview:
        return await self._call("restore_points.preview_retire", RetirePreview, cluster, request)

    async def browse(self, cluster: str, name: str, path: str = "") -> tuple[BrowseEntry, ...]:
        kind = tuple[BrowseEntry, ...]
        return await self._call("restore_points.browse", kind, cluster, name, path)

    async def get(self, cluster: str, name: str, path: str, target: str) -> int:
        return await self._call("restore_points.get", int, cluster, name, path, target)


class PipeActions:
    """Actions."""

    def __init__(self, pipe: PipeEngine) -> None:
        self._call = pipe.call

    async def back_up(
        self,
        cluster: str,
        application: str,
        *,
        export_to: str = "",
        hooks: tuple[ExecHook, ...] = (),
    ) -> ActionRef:
        named = {"export_to": export_to, "hooks": hooks}
        return await self._call("actions.back_up", ActionRef, cluster, application, **named)

    async def export(self, cluster: str, point: str, *, location: str) -> ActionRef:
        return await self._call("actions.export", ActionRef, cluster, point, location=location)

    async def restore(
        self, cluster: str, request: RestoreRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        named = {"plan_hash": plan_hash}
        return await self._call("actions.restore", ActionRef, cluster, request, **named)

    async def undo(self, cluster: str, namespace: str, name: str) -> ActionRef:
        return await self._call("actions.undo", ActionRef, cluster, namespace, name)

    async def retire(
        self, cluster: str, request: RetireRequest, *, plan_hash: str = ""
    ) -> ActionRef:
        named = {"plan_hash": plan_hash}
        return await self._call("actions.retire", ActionRef, cluster, request, **named)

    async def list(self, cluster: str) -> tuple[ActionView, ...]:
        return await self._call("actions.list", tuple[ActionView, ...], cluster)

    async def show(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> ActionView:
        return await self._call("actions.show", ActionView, cluster, kind, namespace, name)

    async def cancel(self, cluster: str, kind: ActionKind, namespace: str, name: str) -> None:
        await self._call("actions.cancel", type(None), cluster, kind, namespace, name)


async def serve(engine: EngineFacade, wire: Wire) -> None:
    """Answer calls until the other side closes; ends the engine."""
    tasks: dict[int, asyncio.Task[None]] = {}
    while (message := await wire.receive()) is not None and message.kind != "close":
        if message.kind == "cancel" and message.number in tasks:
            tasks[message.number].cancel()
        elif message.kind == "call":
            work = _events(engine, wire) if not message.group else _answer(engine, wire, message)
            tasks[message.number] = asyncio.get_running_loop().create_task(work)
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())
    await engine.aclose()
    wire.close()


async def _events(engine: EngineFacade, wire: Wire) -> None:
    async for event in engine.events():
        wire.send(Message(kind="event", value=_raw(event)))


async def _answer(engine: EngineFacade, wire: Wire, message: Message) -> None:
    group = GROUPS[message.group]
    hints = get_type_hints(getattr(group, message.method), globalns=vars(roots))
    positional = [name for name in hints if name != "return" and name not in message.named]
    names = zip(positional, message.arguments, strict=False)
    arguments = [msgspec.msgpack.decode(raw, type=hints[name]) for name, raw in names]
    named = {
        name: msgspec.msgpack.decode(raw, type=hints[name]) for name, raw in message.named.items()
    }
    call: Awaitable[Any] = getattr(getattr(engine, message.group), message.method)(
        *arguments, **named
    )
    try:
        value = await call
    except EngineError as error:
        known = {
            "message": error.message,
            "code": error.code,
            "subject": error.subject,
            "hint": error.hint,
        }
        items = error.items if isinstance(error, UntrustedPrograms) else ()
        wire.send(Message(kind="error", number=message.number, error=known, items=items))
    else:
        wire.send(Message(kind="result", number=message.number, value=_raw(value)))


async def _main(descriptor: int) -> None:
    from tests.fakes.engine import DemoEngine

    stream = socket.socket(fileno=descriptor)
    stream.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=stream)
    with contextlib.suppress(ConnectionError):
        await serve(DemoEngine(), Wire(reader, writer))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
