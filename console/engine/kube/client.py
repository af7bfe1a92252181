"""The Kubernetes API for the rest of the engine: raw objects in, raw objects out.

One `KubeClient` belongs to one event loop. Every method raises `EngineError`s only
(architecture: The engine); cancelling a call closes its connection, and what the
server has already carried out stays.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from console.engine.aiokit import SystemClock
from console.engine.errors import NotFound
from console.engine.kube import discovery, listing, pod_logs, reviews, watching
from console.engine.kube.access import load_files
from console.engine.kube.request import (
    APPLY_PATCH,
    JSON,
    JSON_PATCH,
    MERGE_PATCH,
    Request,
    names_of,
    path_of,
    subject_of,
    write_options,
)
from console.engine.model.names import GROUP

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from console.engine.aiokit import Clock
    from console.engine.kube.access import ClusterAccess
    from console.engine.kube.connection import Connection
    from console.engine.kube.executing import Command, ExecResult, ExecSession
    from console.engine.model.kinds import Kind, RawObject
    from console.engine.model.record import Requester

MAX_OUTPUT = 64 << 10  # of a command, kept where nothing else is said


class Write(NamedTuple):
    """A write that the server has carried out."""

    method: str
    path: str
    name: str


class KubeClient:
    """One cluster's API, with an access that the user has trusted.

    Args:
        on_write: Awaited after each write that changed something (not after reviews and dry
            runs), before the call returns.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        on_write: Callable[[Write], Awaitable[None]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._access = access
        self._on_write = on_write
        self._clock = clock or SystemClock()
        self._before_write: Callable[[], None] | None = None
        self._open: Connection | None = None

    def __repr__(self) -> str:
        return f"KubeClient({self._access.context!r})"

    async def __aenter__(self) -> Self:
        """Read the files that the access names and get ready; nothing is sent yet."""
        self._open = await asyncio.to_thread(_connect, self._access, self._clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; what is under way fails."""
        if self._open is not None:
            connection, self._open = self._open, None
            await connection.aclose()

    def fenced(self, check: Callable[[], None]) -> KubeClient:
        """A client on the same connection; `check` raises where nothing may be written any more."""
        other = KubeClient(self._access, on_write=self._on_write, clock=self._clock)
        other._open, other._before_write = self._connection, check
        return other

    async def get(self, kind: Kind, name: str, namespace: str = "") -> RawObject:
        """One object, read from the quorum; raises NotFound where there is none."""
        path, subject = path_of(kind, namespace, name), subject_of(kind, namespace, name)
        return await self._send(Request(method="GET", path=path, subject=subject))

    async def find(self, kind: Kind, name: str, namespace: str = "") -> RawObject | None:
        """One object, or None where there is none."""
        try:
            return await self.get(kind, name, namespace)
        except NotFound:
            return None

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[RawObject]:
        """All objects, read from the quorum; an empty namespace means all of them.

        Args:
            metadata_only: Nothing but apiVersion, kind and metadata is sent.
        """
        scope = listing.Scope(kind, namespace, labels, fields, metadata_only)
        return (await listing.list_all(self._connection, scope)).items

    def pages(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[listing.Page]:
        """The list in pages of about 512 KiB, all as of one moment.

        Raises:
            Expired: The server forgot that moment; begin again.
        """
        return listing.pages(self._connection, listing.Scope(kind, namespace, labels, fields))

    async def create(self, kind: Kind, obj: RawObject, *, dry_run: bool = False) -> RawObject:
        """Make an object in the namespace of its metadata.

        Raises:
            AlreadyExists: There is one of this name.
            Invalid: Also where an older CRD of ours would drop a field of it.
        """
        name, namespace = names_of(obj)
        return await self._write(
            Request(
                method="POST",
                path=path_of(kind, namespace),
                query=write_options(dry_run=dry_run, strict=kind.group == GROUP),
                body=obj,
                subject=subject_of(kind, namespace, name or obj["metadata"].get("generateName")),
            ),
        )

    async def replace(self, kind: Kind, obj: RawObject, *, subresource: str = "") -> RawObject:
        """Put an object in the place of what is there.

        Raises:
            Conflict: The object's resourceVersion is no longer the current one.
        """
        name, namespace = names_of(obj)
        return await self._write(
            Request(
                method="PUT",
                path=path_of(kind, namespace, name, subresource),
                query=write_options(),
                body=obj,
                subject=subject_of(kind, namespace, name),
            ),
        )

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        merge: RawObject | None = None,
        operations: Sequence[dict[str, Any]] | None = None,
        subresource: str = "",
    ) -> RawObject:
        """Change parts of an object by a merge patch or by JSON patch operations.

        Raises:
            ValueError: Not exactly one of `merge` and `operations` is given.
            Conflict: The patch holds a resourceVersion or uid that is not the current one.
            Invalid: A `test` operation failed.
        """
        if (merge is None) == (operations is None):
            raise ValueError("either merge or operations")
        return await self._write(
            Request(
                method="PATCH",
                path=path_of(kind, namespace, name, subresource),
                query=write_options(),
                body=[*(operations or ())] if merge is None else merge,
                content_type=JSON_PATCH if merge is None else MERGE_PATCH,
                subject=subject_of(kind, namespace, name),
            ),
        )

    async def apply(
        self, kind: Kind, obj: RawObject, *, force: bool = False, dry_run: bool = False
    ) -> RawObject:
        """Make the object be as it is here, by server-side apply as `kubehaven`.

        Raises:
            Conflict: Somebody else owns a field of it, and `force` is false.
        """
        name, namespace = names_of(obj)
        forced = (("force", "true"),) if force else ()
        return await self._write(
            Request(
                method="PATCH",
                path=path_of(kind, namespace, name),
                query=(*write_options(dry_run=dry_run), *forced),
                body=obj,
                content_type=APPLY_PATCH,
                subject=subject_of(kind, namespace, name),
            ),
        )

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        grace_s: int | None = None,
    ) -> bool:
        """Ask for an object to go; it may still be there for a while (finalizers, grace).

        Args:
            propagation: `Foreground`, `Background` or `Orphan`; empty = the kind's own.

        Returns:
            False when it is not there.

        Raises:
            Conflict: It is another object than `uid`, or another version than asked for.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {key: value for key, value in preconditions.items() if value} or None,
            "propagationPolicy": propagation or None,
            "gracePeriodSeconds": grace_s,
        }
        request = Request(
            method="DELETE",
            path=path_of(kind, namespace, name),
            body={key: value for key, value in options.items() if value is not None},
            content_type=JSON,
            subject=subject_of(kind, namespace, name),
        )
        try:
            await self._write(request, name=name)
        except NotFound:
            return False
        return True

    def follow(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> AsyncGenerator[watching.Seen]:
        """`Listed`, then each `Changed`, for ever; `Lost` while it can't be followed.

        Close it (`contextlib.aclosing`) or cancel its reader.
        """
        scope = listing.Scope(kind, namespace, labels, fields)
        return watching.follow(
            self._connection, scope, as_of=lambda: f"{self._server_time():%Y-%m-%dT%H:%M:%SZ}"
        )

    async def wait_for(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        predicate: Callable[[RawObject], bool],
        *,
        timeout_s: float,
    ) -> RawObject:
        """The object as soon as the predicate holds.

        Raises:
            NotFound: The object is not there, or went while we waited.
            EngineError: `cluster.timeout`.
        """
        return await watching.wait_for(
            self._connection, kind, name, namespace, predicate=predicate, timeout_s=timeout_s
        )

    def logs(
        self, namespace: str, pod: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncGenerator[str]:
        """A pod's log lines, without empty ones, each cut at 64 KiB.

        Args:
            follow: Go on until the pod ends or the connection breaks.
            tail: Begin with so many last lines.
        """
        return pod_logs.lines(self._connection, namespace, pod, follow=follow, tail=tail)

    def exec_session(
        self, command: Command, *, stdin: bool = True
    ) -> AbstractAsyncContextManager[ExecSession]:
        """Run a command in a container; leaving the block cuts the connection, not the command.

        The command then sees the end of its input and goes on by itself.
        """
        from console.engine.kube import executing  # imports aiohttp: only who connects pays

        return executing.exec_session(self._connection, command, stdin=stdin)

    async def exec(
        self,
        command: Command,
        *,
        stdin: bytes | None = None,
        limit_bytes: int = MAX_OUTPUT,
        timeout_s: float = 60.0,
    ) -> ExecResult:
        """Run a command in a container to its end.

        Args:
            stdin: Its whole input, which it must read to the end; None = none at all.
            limit_bytes: Kept of each of stdout and stderr.

        Raises:
            ExecFailed: `exec.failed`: it could not be run; `exec.timeout`, `exec.broken`: its
                end was not seen, and it may still run. An exit code other than 0 is a result.
        """
        from console.engine.kube import executing

        return await executing.run(
            self._connection, command, stdin=stdin, limit_bytes=limit_bytes, timeout_s=timeout_s
        )

    async def discover(self) -> discovery.Discovered:
        """Every kind that is served, in each of its versions, sorted; `.broken` beside them."""
        return await discovery.discover(self._connection)

    async def version(self) -> str:
        """The server's version, as `v1.30.2`."""
        answer = await self._send(Request(method="GET", path="/version", subject="version"))
        return str(answer.get("gitVersion", ""))

    async def whoami(self) -> Requester:
        """Our user by the server; below 1.28 the kubeconfig's name for it, unverified."""
        return await reviews.whoami(self._connection, fallback=self._access.user)

    async def may(
        self, user: Requester | None, verb: str, kind: Kind, namespace: str = "", name: str = ""
    ) -> bool:
        """Whether `user` may do that; None asks about ourselves."""
        return await reviews.may(self._connection, user, verb, kind, namespace=namespace, name=name)

    async def own_rules(self, namespace: str) -> tuple[RawObject, ...]:
        """What we may do in a namespace, as the rules of a role."""
        return await reviews.own_rules(self._connection, namespace)

    async def server_time(self) -> datetime:
        """The API server's clock, by the Date of its last answer; exact to about a second."""
        if self._connection.date is None:
            await self.version()
        return self._server_time()

    @property
    def _connection(self) -> Connection:
        if self._open is None:
            raise RuntimeError(f"{self!r} is not open")
        return self._open

    def _server_time(self) -> datetime:
        if self._connection.date is None:
            return self._clock.now()
        date, at_s = self._connection.date
        return date + timedelta(seconds=self._clock.elapsed_s() - at_s)

    async def _send(self, request: Request) -> RawObject:
        body = await self._connection.send(request)
        return listing.read_json(body, dict[str, Any], request.subject)

    async def _write(self, request: Request, *, name: str = "") -> RawObject:
        if self._before_write is not None:
            self._before_write()
        answer = await self._send(request)
        if self._on_write is not None and ("dryRun", "All") not in request.query:
            written = name or answer.get("metadata", {}).get("name", "")
            await self._on_write(Write(request.method, request.path, written))
        return answer


def _connect(access: ClusterAccess, clock: Clock) -> Connection:
    from console.engine.kube.connection import Connection  # 0.4 s: only who connects pays

    return Connection(load_files(access), clock=clock)
