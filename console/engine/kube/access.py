"""How a cluster is reached and with which credential: the value that a kubeconfig is read into.

Reading a kubeconfig opens no file that it names and runs no program: that happens in
`load_files` and in the credential, after the user has trusted exactly `trust_digest`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from console.engine.errors import KubeconfigError

MAX_PEM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecProgram:
    """A program that prints an ExecCredential."""

    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    api_version: str = "client.authentication.k8s.io/v1"
    provide_cluster_info: bool = False
    folder: str = ""  # of the kubeconfig: a relative command is looked up there
    install_hint: str = ""

    def binary(self) -> str:
        """Absolute path of the program, or empty where there is none."""
        if os.sep in self.command or (os.altsep and os.altsep in self.command):
            path = Path(self.folder, self.command).resolve()
            return str(path) if path.is_file() else ""
        found = shutil.which(self.command)
        return str(Path(found).resolve()) if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impersonation:
    """On whose behalf requests are made."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterAccess:
    """One context of a kubeconfig. Its repr names the context only."""

    path: str
    context: str
    user: str
    server: str  # without a trailing slash
    namespace: str = ""
    ca: bytes = b""  # PEM; empty = the system's authorities
    ca_file: str = ""
    insecure: bool = False  # TLS is not verified
    tls_server_name: str = ""
    proxy_url: str = ""
    token: str = ""
    token_file: str = ""
    username: str = ""
    password: str = ""
    client_cert: bytes = b""  # PEM
    client_cert_file: str = ""
    client_key: bytes = b""  # PEM
    client_key_file: str = ""
    program: ExecProgram | None = None
    impersonate: Impersonation | None = None

    def __repr__(self) -> str:
        return f"ClusterAccess(context={self.context!r})"


def programs(access: ClusterAccess) -> tuple[str, ...]:
    """Each program and file that the kubeconfig names, in words, for the question of trust.

    Values of environment variables are left out: they may be secret.
    """
    found: list[str] = []
    if access.program is not None:
        program = access.program
        words = " ".join([program.binary() or program.command, *program.args])
        names = ", ".join(name for name, _ in program.env)
        found.append(f"program: {words}" + (f" (sets {names})" if names else ""))
    found += [f"{what}: {path}" for what, path in _files(access) if path]
    return tuple(found)


def trust_digest(access: ClusterAccess) -> str:
    """What the user trusts when `programs` is accepted: 64 hex digits, or empty for nothing.

    Covers the exec block with its values, the program's path and content, the files' paths,
    and where their content would be sent. A program that is not there digests as such.
    """
    if not programs(access):
        return ""
    program = access.program
    known = {
        "server": access.server,
        "proxy": access.proxy_url,
        "insecure": access.insecure,
        "files": _files(access),
        "exec": dataclasses.asdict(program) if program else None,
        "binary": _binary_digest(program) if program else "",
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def load_files(access: ClusterAccess) -> ClusterAccess:
    """The same access with the PEM files that it names read; blocks.

    Raises:
        KubeconfigError: A file can't be read.
    """
    return dataclasses.replace(
        access,
        ca=_content(access.ca, access.ca_file, "certificate-authority"),
        client_cert=_content(access.client_cert, access.client_cert_file, "client-certificate"),
        client_key=_content(access.client_key, access.client_key_file, "client-key"),
    )


def read_bounded(path: Path, what: str, limit: int = MAX_PEM_BYTES) -> bytes:
    """A small file's content.

    Raises:
        KubeconfigError: It can't be read or is over `limit`; file and field are named.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise KubeconfigError(f"{what} can't be read: {reason}", subject=str(path)) from error
    if len(content) > limit:
        raise KubeconfigError(f"{what} is over {limit} bytes", subject=str(path))
    return content


def _content(inline: bytes, file: str, what: str) -> bytes:
    return read_bounded(Path(file), what) if file else inline


def _files(access: ClusterAccess) -> list[tuple[str, str]]:
    return [
        ("certificate-authority", access.ca_file),
        ("client-certificate", access.client_cert_file),
        ("client-key", access.client_key_file),
        ("tokenFile", access.token_file),
    ]


def _binary_digest(program: ExecProgram) -> list[str]:
    binary = program.binary()
    if not binary:
        return ["", ""]
    try:
        with Path(binary).open("rb") as stream:
            return [binary, hashlib.file_digest(stream, "sha256").hexdigest()]
    except OSError as error:
        raise KubeconfigError(
            f"users[].user.exec.command can't be read: {error.strerror}", subject=binary
        ) from error
