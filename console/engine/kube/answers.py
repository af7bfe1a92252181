"""From what the API server answered to our errors.

Text reaches a message from a `Status` body only, cut to 256 characters: what a
proxy or a wrong server says may be anything.
"""

from __future__ import annotations

import msgspec

from console.engine.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    ServerFailed,
    SignInFailed,
    Throttled,
    Unreachable,
)

MAX_TEXT = 256
MAX_RETRY_AFTER_S = 30.0

_ERRORS: dict[int, tuple[type[ClusterError], str]] = {
    400: (Invalid, "the request is refused"),
    401: (SignInFailed, "the credential is wrong or has expired"),
    403: (Forbidden, "this account may not do that"),
    404: (NotFound, "not there"),
    409: (Conflict, "changed by somebody else meanwhile"),
    410: (Expired, "the version asked for is too old"),
    413: (Invalid, "the object is too big"),
    422: (Invalid, "the object is refused"),
    429: (Throttled, "the server asks to wait"),
}


class _Details(msgspec.Struct):
    retryAfterSeconds: int = 0


class Status(msgspec.Struct):
    """The part of a Status body that is read."""

    kind: str = ""
    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None


def read_status(body: bytes) -> Status | None:
    """The Status in a body, or None when the body is something else."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return status if status.kind == "Status" else None


def error_for(
    code: int, body: bytes, *, method: str, subject: str = "", retry_after: str = ""
) -> ClusterError:
    """The error for an answer that is no success.

    Args:
        retry_after: The header of that name, seconds.
    """
    status = read_status(body)
    kind, text = _classify(code, method, status.reason if status else None)
    if status and status.message:
        text = status.message[:MAX_TEXT]
    error = kind(text, subject=subject, hint=_hint(code))
    if isinstance(error, Throttled):
        error.after_s = wait_s(retry_after, status)
    return error


def wait_s(retry_after: str, status: Status | None) -> float:
    """How long the server asks to wait, bounded; 1 s where it does not say."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after[:9]), MAX_RETRY_AFTER_S)
    if status and status.details and status.details.retryAfterSeconds > 0:
        return min(float(status.details.retryAfterSeconds), MAX_RETRY_AFTER_S)
    return 1.0


def _classify(code: int, method: str, reason: str | None) -> tuple[type[ClusterError], str]:
    if code == 409 and (reason == "AlreadyExists" or (reason is None and method == "POST")):
        return AlreadyExists, "there is one of this name already"
    if reason == "Expired":  # a list's page: 410; some proxies turn the code
        return Expired, "the version asked for is too old"
    if code in _ERRORS:
        return _ERRORS[code]
    if 300 <= code < 400:
        return Unreachable, f"the server sends us elsewhere (HTTP {code}), which is not followed"
    if code >= 500:
        return ServerFailed, f"the server failed (HTTP {code})"
    return ClusterError, f"the server answered HTTP {code}"


def _hint(code: int) -> str:
    if code == 401:
        return "sign in again, or add the cluster with a new kubeconfig"
    if 300 <= code < 400:
        return "check the server's address: it may be a web console or a login page"
    return ""
