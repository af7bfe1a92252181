"""Commands in containers, as `kubectl exec` asks for them: a fixed list, never a free command line.

`echo`, `true`, `false` and `sleep`; `cat`, `touch` and `rm` on files of a mounted
volume; and, by its digest, the one shell program that backups run around such
commands. As on a real node, a command whose connection ends sees the end of its
input and goes on, and what it writes is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shlex
import sys
from typing import TYPE_CHECKING

import msgspec
from aiohttp import WSMsgType, web

from console.sandbox import faults, mounts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from console.sandbox.kinds import Raw

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
PROGRAM = "66ee08f5e0be3db0f74b58cfb6adb4df6cb1d81024d62d4113877427cd080d05"
_PROGRAM_WORDS = 10  # sh -c OUTER name INNER tag limit timeout pre post
_PLAIN = frozenset({"echo", "true", "false", "sleep"})
_ON_FILES = frozenset({"cat", "touch", "rm"})
_CHUNK = 1 << 16

Pairs = list[tuple[str, "Path"]]


def argv(command: Sequence[str], pairs: Pairs) -> list[str]:
    """What is really run for a command; ApiError 400 for what is not in the list.

    Args:
        pairs: Paths of the container and what they really are, the longest first.
    """
    words = list(command)
    if words[:2] == ["sh", "-c"]:
        if len(words) != _PROGRAM_WORDS or program_digest(words[2], words[4]) != PROGRAM:
            raise _refused(words[0])
        return [*words[:-2], *(_inner(text, pairs) for text in words[-2:])]
    name, arguments = (words[0] if words else ""), words[1:]
    if any(word.startswith("-") for word in arguments):
        raise _refused(name)
    if name in _PLAIN:
        return words
    if name not in _ON_FILES:
        raise _refused(name)
    real = [mounts.rewritten(word, pairs) for word in arguments]
    for asked, found in zip(arguments, real, strict=True):
        if asked == found or ".." in asked.split("/"):
            raise _refused(f"{name} {asked}")
    return [name, *real]


def program_digest(outer: str, inner: str) -> str:
    """What tells the shell program from any other."""
    return hashlib.sha256(f"{outer}\0{inner}".encode()).hexdigest()


def _inner(text: str, pairs: Pairs) -> str:
    if not text:
        return ""
    words = shlex.split(text)
    if words[:1] != ["exec"]:
        raise _refused(text)
    return "exec " + shlex.join(argv(words[1:], pairs))


def _refused(what: str) -> faults.ApiError:
    return faults.bad_request(f"the sandbox does not run {what!r} in its containers")


class Execution:
    """One command that runs in a container."""

    def __init__(self, process: asyncio.subprocess.Process, socket: web.WebSocketResponse) -> None:
        self.process = process
        self.socket = socket

    async def live(self) -> None:
        """Pass its output on until it ends, then say how it ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(1, self.process.stdout))
            group.create_task(self._pump(2, self.process.stderr))
        code = await self.process.wait()
        await self._tell(3, msgspec.json.encode(_status(128 - code if code < 0 else code)))
        await self.socket.close()

    async def feed(self) -> None:
        """Pass input on until the connection ends."""
        try:
            async for message in self.socket:
                if message.type is not WSMsgType.BINARY:
                    continue
                channel, data = message.data[0], message.data[1:]
                if channel == 0:
                    await self._give(data)
                elif channel == 255:
                    self._end_input()
        finally:
            self._end_input()

    async def _give(self, data: bytes) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.process.stdin.write(data)
                await self.process.stdin.drain()

    def _end_input(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def _pump(self, channel: int, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (data := await stream.read(_CHUNK)):
            await self._tell(channel, data)

    async def _tell(self, channel: int, data: bytes) -> None:
        if not self.socket.closed:
            with contextlib.suppress(ConnectionError):
                await self.socket.send_bytes(bytes([channel]) + data)


async def begin(
    request: web.BaseRequest, words: list[str], *, home: Path, environment: dict[str, str]
) -> Execution:
    """Accept the connection and start the command."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise faults.bad_request("Upgrade request required")
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
    await socket.prepare(request)
    wants_input = request.query.get("stdin") in {"1", "true"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "console.sandbox.container", str(os.getpid()), "exec", *words,
        cwd=home, env=environment, start_new_session=True,
        stdin=asyncio.subprocess.PIPE if wants_input else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    return Execution(process, socket)


def _status(code: int) -> Raw:
    base: Raw = {"metadata": {}, "status": "Success" if not code else "Failure"}
    if code:
        base["message"] = f"command terminated with non-zero exit code: exit status {code}"
        base["reason"] = "NonZeroExitCode"
        base["details"] = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    return base
