"""Reads one context of a kubeconfig, and names file and field of whatever is wrong with it.

Nothing is run and no other file is opened (see `access`). The package's own
`load_kube_config` is not used: it writes keys to temporary files.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from console.engine.errors import KubeconfigError
from console.engine.kube.access import ClusterAccess, ExecProgram, Impersonation, read_bounded

MAX_KUBECONFIG_BYTES = 4 << 20
MAX_DEPTH = 100
_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_HEADER_SAFE = re.compile(r"[\x20-\x7e]*")


def read_kubeconfig(path: Path, context: str = "") -> ClusterAccess:
    """One context of a kubeconfig; empty means its current one.

    Raises:
        KubeconfigError: The file or a field of it can't be used.
    """
    path = Path(os.path.abspath(path))
    root = _Node(_parse(path), "", path)
    name = context or root.text("current-context")
    if not name:
        raise KubeconfigError(
            "current-context is empty and no context was named",
            subject=str(path),
            hint=f"name one of: {_names(root, 'contexts')}",
        )
    chosen = root.named("contexts", name, "context")
    user = chosen.text("user")
    return _assemble(
        path,
        context=name,
        user=user,
        namespace=chosen.text("namespace"),
        cluster=root.named("clusters", chosen.required("cluster"), "cluster"),
        account=root.named("users", user, "user") if user else _Node({}, "user", path),
    )


def context_names(path: Path) -> tuple[str, ...]:
    """The contexts of a kubeconfig, in its order.

    Raises:
        KubeconfigError: The file can't be read.
    """
    root = _Node(_parse(path), "", path)
    return tuple(entry.text("name") for entry in root.entries("contexts"))


class _Node:
    """A mapping inside the kubeconfig that knows where it stands."""

    def __init__(self, value: Any, where: str, path: Path) -> None:
        self._path = path
        self._where = where
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.fault("", "must be a mapping")
        self._value: dict[Any, Any] = value

    def at(self, key: str) -> str:
        return f"{self._where}.{key}".strip(".") or "the file"

    def fault(self, key: str, what: str, hint: str = "") -> KubeconfigError:
        return KubeconfigError(f"{self.at(key)} {what}", subject=str(self._path), hint=hint)

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) not in (None, "", [], {})

    def text(self, key: str) -> str:
        value = self._value.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.fault(key, "must be text", "put it in quotes")
        if "\0" in value:
            raise self.fault(key, "holds a NUL character")
        return value

    def header(self, key: str) -> str:
        value = self.text(key).strip()
        if not _HEADER_SAFE.fullmatch(value):
            raise self.fault(key, "holds characters that no HTTP header can carry")
        return value

    def required(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise self.fault(key, "is missing")
        return value

    def flag(self, key: str) -> bool:
        value = self._value.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.fault(key, "must be true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._value.get(key) or []
        if not isinstance(values, list) or any(not isinstance(one, str) for one in values):
            raise self.fault(key, "must be a list of texts")
        if any("\0" in one for one in values):
            raise self.fault(key, "holds a NUL character")
        return tuple(values)

    def child(self, key: str) -> _Node:
        return _Node(self._value.get(key), self.at(key), self._path)

    def field_names(self) -> list[str]:
        if any(not isinstance(key, str) for key in self._value):
            raise self.fault("", "has a key that is not text")
        return list(self._value)

    def entries(self, key: str) -> list[_Node]:
        values = self._value.get(key) or []
        if not isinstance(values, list):
            raise self.fault(key, "must be a list")
        return [_Node(one, f"{self.at(key)}[{i}]", self._path) for i, one in enumerate(values)]

    def named(self, key: str, name: str, part: str) -> _Node:
        for entry in self.entries(key):
            if entry.text("name") == name:
                return entry.child(part)
        raise self.fault(key, f"has no {name!r}", f"it has: {_names(self, key)}")

    def data(self, key: str) -> bytes:
        """Base64 data that must hold PEM."""
        encoded = self.text(key)
        if not encoded:
            return b""
        try:
            content = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise self.fault(key, "is not base64") from error
        if b"-----BEGIN " not in content:
            raise self.fault(key, "holds no PEM block")
        return content

    def file(self, key: str) -> str:
        """A path; relative ones start at the kubeconfig's folder."""
        value = self.text(key)
        return str(self._path.parent / value) if value else ""


def _names(root: _Node, key: str) -> str:
    names = [entry.text("name") for entry in root.entries(key)]
    return ", ".join(names[:20]) or "none"


def _parse(path: Path) -> Any:
    import yaml  # here: only who reads a kubeconfig pays for it

    content = read_bounded(path, "the kubeconfig", MAX_KUBECONFIG_BYTES)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # The C loader overruns the stack on deep nesting; its parser does not recurse.
        depth = 0
        for event in yaml.parse(content, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise KubeconfigError("nested too deeply", subject=str(path))
        return yaml.load(content, Loader=loader)  # noqa: S506 - both are safe loaders
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise KubeconfigError(f"not YAML: {line}{error.problem}", subject=str(path)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise KubeconfigError("not YAML", subject=str(path)) from error


def _assemble(
    path: Path, *, context: str, user: str, namespace: str, cluster: _Node, account: _Node
) -> ClusterAccess:
    ca, ca_file = _pair(cluster, "certificate-authority")
    insecure = cluster.flag("insecure-skip-tls-verify")
    if insecure and (ca or ca_file):
        raise cluster.fault("insecure-skip-tls-verify", "stands beside a certificate-authority")
    cert, cert_file = _pair(account, "client-certificate")
    key, key_file = _pair(account, "client-key")
    if bool(cert or cert_file) != bool(key or key_file):
        lacking = "client-key" if cert or cert_file else "client-certificate"
        raise account.fault(lacking, "is missing")
    if "auth-provider" in account:
        raise account.fault(
            "auth-provider", "is no longer supported by Kubernetes", "use an exec plugin or a token"
        )
    return ClusterAccess(
        path=str(path),
        context=context,
        user=user,
        server=_server(cluster),
        namespace=namespace,
        ca=ca,
        ca_file=ca_file,
        insecure=insecure,
        tls_server_name=cluster.text("tls-server-name"),
        proxy_url=_proxy(cluster),
        token=account.header("token"),
        token_file=account.file("tokenFile"),
        username=account.text("username"),
        password=account.text("password"),
        client_cert=cert,
        client_cert_file=cert_file,
        client_key=key,
        client_key_file=key_file,
        program=_program(account, path) if "exec" in account else None,
        impersonate=_impersonation(account),
    )


def _pair(node: _Node, key: str) -> tuple[bytes, str]:
    data = node.data(f"{key}-data")
    return data, "" if data else node.file(key)


def _server(cluster: _Node) -> str:
    server = cluster.required("server")
    try:
        parts = urlsplit(server)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError as error:
        raise cluster.fault("server", "is not a URL") from error
    if not usable or any(ord(one) <= 0x20 or ord(one) == 0x7F for one in server):
        raise cluster.fault("server", "must be an http or https URL")
    if parts.username is not None or parts.query or parts.fragment:
        raise cluster.fault("server", "must hold no user, query or fragment")
    return server.rstrip("/")


def _proxy(cluster: _Node) -> str:
    proxy = cluster.text("proxy-url")
    if not proxy:
        return ""
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError as error:
        raise cluster.fault("proxy-url", "is not a URL") from error
    if not usable:
        raise cluster.fault("proxy-url", "must be an http or https URL (SOCKS is not supported)")
    return proxy


def _program(account: _Node, path: Path) -> ExecProgram:
    block = account.child("exec")
    version = block.text("apiVersion") or _EXEC_VERSIONS[0]
    if version not in _EXEC_VERSIONS:
        raise block.fault("apiVersion", f"must be one of {', '.join(_EXEC_VERSIONS)}")
    if block.text("interactiveMode") == "Always":
        raise block.fault(
            "interactiveMode", "is Always: the program wants a terminal", "use a token instead"
        )
    return ExecProgram(
        command=block.required("command"),
        args=block.texts("args"),
        env=tuple((one.required("name"), one.text("value")) for one in block.entries("env")),
        api_version=version,
        provide_cluster_info=block.flag("provideClusterInfo"),
        folder=str(path.parent),
        install_hint=block.text("installHint")[:256],
    )


def _impersonation(account: _Node) -> Impersonation | None:
    user, uid = account.header("as"), account.header("as-uid")
    groups = account.texts("as-groups")
    extra = account.child("as-user-extra")
    if not user:
        if uid or groups or extra.field_names():
            raise account.fault("as", "is missing beside as-uid, as-groups or as-user-extra")
        return None
    return Impersonation(
        user=user,
        uid=uid,
        groups=groups,
        extra=tuple((key, extra.texts(key)) for key in extra.field_names()),
    )
