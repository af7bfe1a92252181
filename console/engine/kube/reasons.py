"""Why a server could not be reached, in words.

Never with an error's own text: it holds the address.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import aiohttp

from console.engine.errors import ClusterError, ServerFailed, Unreachable

if TYPE_CHECKING:
    from console.engine.kube.request import Request

_OTHER_NAME = {62, 64}  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH


def unreachable(error: Exception, request: Request) -> Unreachable:
    """The error for a connection that was not made, or broke."""
    text, hint, code = _reason(error)
    return Unreachable(text, subject=request.subject, hint=hint, code=code)


def _reason(error: Exception) -> tuple[str, str, str]:
    """What went wrong, what to do, and the code where it is not the usual one."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate_reason(error.certificate_error)
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
    if isinstance(cause, (aiohttp.ClientSSLError, ssl.SSLError)):
        return f"no TLS connection: {_ssl_reason(cause)}", "", "cluster.tls"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "the proxy does not answer", "", ""
    if isinstance(error, TimeoutError):
        return "no answer in time", "", ""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the server's name is not known here", "", ""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        hint = "a server that demands a client certificate does so when it is missing or wrong"
        return "the server ended the connection without an answer", hint, ""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    known = isinstance(inner, OSError) and inner.errno
    return f"no connection: {os.strerror(known) if known else 'it broke'}", "", ""


def _certificate_reason(error: Exception) -> tuple[str, str, str]:
    if getattr(error, "verify_code", 0) in _OTHER_NAME:
        hint = "use the name that it is for, or set tls-server-name in the kubeconfig"
        return "the server's certificate is for another name", hint, "cluster.tls"
    reason = getattr(error, "verify_message", "") or type(error).__name__
    hint = "the kubeconfig's certificate-authority must be the one of this server"
    return f"the server's certificate is not trusted: {reason}", hint, "cluster.tls"


def may_pass(error: ClusterError) -> bool:
    """Whether the same request may work in a moment; not where it took long to fail."""
    cause = error.__cause__
    if isinstance(cause, (aiohttp.ClientSSLError, aiohttp.ClientConnectorDNSError)):
        return False
    broken = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)
    return isinstance(error, ServerFailed) or isinstance(cause, broken)


def _ssl_reason(error: Exception) -> str:
    inner = getattr(error, "os_error", error)
    return str(getattr(inner, "reason", "") or type(inner).__name__).replace("_", " ").lower()
