"""Commands in containers, over the API's WebSocket: bytes in and out, then the exit code.

The protocol is `v5.channel.k8s.io`; servers before 1.29 get `v4`, where the end
of the input can't be told. The first byte of every message is its channel. When
the connection ends, the command sees the end of its input and goes on by
itself: nothing kills it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import aiohttp
import msgspec

from console.engine.errors import ExecFailed
from console.engine.kube.request import Request, path_of
from console.engine.model.kinds import PODS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from console.engine.kube.connection import Connection

V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255
_PIECE = 1 << 20
MAX_TEXT = 256


class Command(NamedTuple):
    """A command in one container; an empty container means the pod's only or default one."""

    namespace: str
    pod: str
    argv: tuple[str, ...]
    container: str = ""

    @property
    def subject(self) -> str:
        """How errors name where it runs."""
        return f"Pod {self.namespace}/{self.pod}"


class Output(NamedTuple):
    """A piece of what a command wrote."""

    stream: Literal["stdout", "stderr"]
    data: bytes


class ExecResult(NamedTuple):
    """How a command ended, and the beginning of what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    dropped: int = 0  # bytes over the limit, read and not kept


class ExecSession:
    """A command that runs. `read` until it gives None, then `exit_code` is there."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, command: Command) -> None:
        self._socket = socket
        self._command = command
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int:
        """What the command ended with.

        Raises:
            ExecFailed: `exec.broken`: the connection ended before the command said so.
        """
        if self._exit_code is None:
            raise self._broken()
        return self._exit_code

    async def send(self, data: bytes) -> None:
        """Give bytes to the command's input.

        Raises:
            ExecFailed: `exec.broken`.
        """
        try:
            for start in range(0, len(data), _PIECE):
                await self._socket.send_bytes(bytes([_STDIN]) + data[start : start + _PIECE])
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken() from error

    async def end_input(self) -> None:
        """Tell the command that its input has ended.

        Raises:
            ExecFailed: `exec.protocol`: a server before 1.29 has no message for it.
        """
        if self._socket.protocol != V5:
            raise ExecFailed(
                "this cluster can't end the input of a command",
                subject=self._command.subject,
                hint="it needs Kubernetes 1.29 or newer",
                code="exec.protocol",
            )
        try:
            await self._socket.send_bytes(bytes([_CLOSE, _STDIN]))
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken() from error

    async def read(self) -> Output | None:
        """The next piece of output; None at the end, also when the connection broke.

        Raises:
            ExecFailed: `exec.failed`: the command could not be run.
        """
        while True:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                if message.type is aiohttp.WSMsgType.TEXT:
                    continue
                return None
            channel, data = message.data[0], message.data[1:]
            if channel == _STATUS:
                self._exit_code = _exit_code(data, self._command)
            elif channel == _STDOUT and data:
                return Output("stdout", data)
            elif channel == _STDERR and data:
                return Output("stderr", data)

    def _broken(self) -> ExecFailed:
        return ExecFailed(
            "the connection ended before the command did",
            subject=self._command.subject,
            hint="the command may still run: look into the pod before running it again",
            code="exec.broken",
        )


@asynccontextmanager
async def exec_session(
    connection: Connection, command: Command, *, stdin: bool
) -> AsyncIterator[ExecSession]:
    """Run a command for the length of the block; leaving it cuts the connection."""
    wanted = [("container", command.container)] if command.container else []
    wanted += [("command", word) for word in command.argv]
    wanted += [("stdout", "true"), ("stderr", "true")]
    request = Request(
        method="GET",
        path=path_of(PODS, command.namespace, command.pod, "exec"),
        query=tuple([*wanted, ("stdin", "true")] if stdin else wanted),
        accept="*/*",
        subject=command.subject,
        streams=True,
    )
    async with connection.web_socket(request, protocols=(V5, V4)) as socket:
        yield ExecSession(socket, command)


async def run(
    connection: Connection,
    command: Command,
    *,
    stdin: bytes | None,
    limit_bytes: int,
    timeout_s: float,
) -> ExecResult:
    """Run a command to its end; see `KubeClient.exec`."""
    kept = {"stdout": bytearray(), "stderr": bytearray()}
    dropped = 0
    try:
        async with (
            asyncio.timeout(timeout_s),
            exec_session(connection, command, stdin=stdin is not None) as session,
            asyncio.TaskGroup() as group,
        ):
            feeding = group.create_task(_feed(session, stdin)) if stdin is not None else None
            while (piece := await session.read()) is not None:
                room = max(0, limit_bytes - len(kept[piece.stream]))
                kept[piece.stream] += piece.data[:room]
                dropped += len(piece.data[room:])
            if feeding is not None:
                feeding.cancel()  # a command may end without having read all
            code = session.exit_code
    except TimeoutError as error:
        raise ExecFailed(
            f"the command did not end within {timeout_s:.0f} s",
            subject=command.subject,
            hint="it may still run: look into the pod",
            code="exec.timeout",
        ) from error
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    return ExecResult(code, bytes(kept["stdout"]), bytes(kept["stderr"]), dropped)


async def _feed(session: ExecSession, stdin: bytes) -> None:
    await session.send(stdin)
    await session.end_input()


def _exit_code(data: bytes, command: Command) -> int:
    """The exit code in the last message, a Status."""
    try:
        status: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        status = {}
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or ():
        text = str(cause.get("message", ""))
        if cause.get("reason") == "ExitCode" and text.isdigit():
            return int(text)
    said = str(status.get("message") or "no reason was given")[:MAX_TEXT]
    raise ExecFailed(
        f"the command could not be run: {said}",
        subject=command.subject,
        hint="see that the container has this program",
        code="exec.failed",
    )
