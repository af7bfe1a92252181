"""What is sent with each request to say who we are, and how it is renewed.

A token file is read again every minute and after a 401; an exec program is run
again when its credential has expired or was refused. Programs run without a
terminal, for at most 60 s, and may print 1 MiB.
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from console.engine.errors import KubeconfigError, SignInFailed
from console.engine.kube.access import read_bounded

if TYPE_CHECKING:
    from console.engine.aiokit import Clock
    from console.engine.kube.access import ClusterAccess, ExecProgram

TOKEN_FILE_AGE_S = 60.0
PROGRAM_TIMEOUT_S = 60.0
MAX_PROGRAM_OUTPUT = 1 << 20
EARLY = timedelta(seconds=30)  # renew before the server begins to refuse


@dataclass(frozen=True, slots=True, repr=False)
class SignIn:
    """One credential; never shown."""

    authorization: str = ""
    client_cert: bytes = b""
    client_key: bytes = b""

    def __repr__(self) -> str:
        return "SignIn()"


class Credential:
    """The credential of one access. One program runs at a time, whoever asks."""

    def __init__(self, access: ClusterAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._lock = asyncio.Lock()
        self._held: SignIn | None = None
        self._expires_at: datetime | None = None
        self._read_at_s = 0.0
        if not access.token_file and access.program is None:
            self._held = SignIn(_fixed(access))

    async def current(self) -> SignIn:
        """The credential to send now.

        Raises:
            SignInFailed: The program ended badly.
            KubeconfigError: The token file can't be read, or the program is not there.
        """
        if self._held is None or self._is_old():
            async with self._lock:
                if self._held is None or self._is_old():
                    await self._renew()
        assert self._held is not None  # noqa: S101 - for the type checker: _renew sets it
        return self._held

    async def refused(self, used: SignIn) -> bool:
        """The server refused `used`: get another one; false when there is no other."""
        if not self._access.token_file and self._access.program is None:
            return False
        async with self._lock:
            if self._held == used:
                await self._renew()
        return self._held != used

    def _is_old(self) -> bool:
        if self._access.program is not None:
            return self._expires_at is not None and self._clock.now() + EARLY >= self._expires_at
        if self._access.token_file:
            return self._clock.elapsed_s() - self._read_at_s >= TOKEN_FILE_AGE_S
        return False

    async def _renew(self) -> None:
        program = self._access.program
        if program is not None:
            printed = await _run(program, _exec_info(program, self._access))
            self._held, self._expires_at = _read_credential(printed, program)
            return
        path = Path(self._access.token_file)
        content = await asyncio.to_thread(read_bounded, path, "tokenFile")
        token = content.decode("ascii", "replace").strip()
        if not token or not token.isprintable() or not token.isascii():
            raise KubeconfigError("tokenFile holds no token", subject=str(path))
        self._held = SignIn(f"Bearer {token}")
        self._read_at_s = self._clock.elapsed_s()


def impersonation_headers(access: ClusterAccess) -> list[tuple[str, str]]:
    """The headers that ask to act as somebody else; a name may stand there more than once."""
    wanted = access.impersonate
    if wanted is None:
        return []
    headers = [("Impersonate-User", wanted.user)]
    if wanted.uid:
        headers.append(("Impersonate-Uid", wanted.uid))
    headers += [("Impersonate-Group", group) for group in wanted.groups]
    for key, values in wanted.extra:
        name = f"Impersonate-Extra-{quote(key, safe='')}"
        headers += [(name, value) for value in values]
    return headers


def _fixed(access: ClusterAccess) -> str:
    if access.token:
        return f"Bearer {access.token}"
    if access.username:
        pair = f"{access.username}:{access.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"
    return ""


class _ClusterInfo(msgspec.Struct, rename="kebab", omit_defaults=True):
    server: str
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority_data: str = ""
    proxy_url: str = ""


def _exec_info(program: ExecProgram, access: ClusterAccess) -> str:
    spec: dict[str, object] = {"interactive": False}
    if program.provide_cluster_info:
        spec["cluster"] = _ClusterInfo(
            server=access.server,
            tls_server_name=access.tls_server_name,
            insecure_skip_tls_verify=access.insecure,
            certificate_authority_data=base64.b64encode(access.ca).decode(),
            proxy_url=access.proxy_url,
        )
    info = {"apiVersion": program.api_version, "kind": "ExecCredential", "spec": spec}
    return msgspec.json.encode(info).decode()


async def _run(program: ExecProgram, info: str) -> bytes:
    binary = program.binary()
    if not binary:
        raise KubeconfigError(
            f"users[].user.exec.command: no program {program.command!r} here",
            subject=program.folder,
            hint=program.install_hint or "install it, or use a token instead",
        )
    try:
        process = await asyncio.create_subprocess_exec(
            binary,
            *program.args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **dict(program.env), "KUBERNETES_EXEC_INFO": info},
            start_new_session=True,  # no terminal to ask on
        )
    except OSError as error:
        raise SignInFailed(
            f"the sign-in program can't be run: {error.strerror}", subject=program.command
        ) from error
    return await _collect(process, program.command)


async def _collect(process: asyncio.subprocess.Process, command: str) -> bytes:
    assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
    output = bytearray()
    try:
        async with asyncio.timeout(PROGRAM_TIMEOUT_S):
            while part := await process.stdout.read(1 << 16):
                output += part
                if len(output) > MAX_PROGRAM_OUTPUT:
                    raise _program_failed("printed over 1 MiB", command)
            code = await process.wait()
    except TimeoutError as error:
        raise _program_failed(f"took over {PROGRAM_TIMEOUT_S:.0f} s", command) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise _program_failed(f"ended with exit code {code}", command)
    return bytes(output)


def _program_failed(what: str, command: str) -> SignInFailed:
    return SignInFailed(
        f"the sign-in program {what}",
        subject=command,
        hint="run it in a terminal to see why; it may want you to log in",
    )


class _ExecStatus(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    kind: str
    api_version: str
    status: _ExecStatus


def _read_credential(printed: bytes, program: ExecProgram) -> tuple[SignIn, datetime | None]:
    try:
        credential = msgspec.json.decode(printed, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The cause would quote what was printed: it may be the secret.
        raise _program_failed("printed no ExecCredential", program.command) from _bare(error)
    status = credential.status
    if credential.api_version != program.api_version:
        raise _program_failed(f"speaks {credential.api_version[:64]}", program.command)
    if bool(status.client_certificate_data) != bool(status.client_key_data) or not (
        status.token or status.client_certificate_data
    ):
        raise _program_failed("printed neither a token nor a certificate", program.command)
    if not status.token.isprintable() or not status.token.isascii():
        raise _program_failed("printed a token that no header can carry", program.command)
    expires_at = status.expiration_timestamp
    if expires_at is not None and expires_at.tzinfo is None:
        expires_at = expires_at.replace(tzinfo=UTC)
    sign_in = SignIn(
        f"Bearer {status.token}" if status.token else "",
        status.client_certificate_data.encode(),
        status.client_key_data.encode(),
    )
    return sign_in, expires_at


def _bare(error: Exception) -> Exception:
    return ValueError(type(error).__name__)
