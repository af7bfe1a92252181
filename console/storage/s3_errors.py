"""What an S3 server or the way to it said, as a `StoreError` with a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from console.storage.errors import (
    AccessDenied,
    NoSuchObject,
    NoSuchStore,
    OutOfSpace,
    ShortRead,
    StoreError,
    Unavailable,
    Untrusted,
    Unusable,
)

if TYPE_CHECKING:
    from console.storage.s3_address import S3Address

# Everything the SDK raises; the last is no BotoCoreError
SDK_ERRORS = (BotoCoreError, HTTPClientError, ClientError, ResponseParserError)
AnySdkError: TypeAlias = BotoCoreError | HTTPClientError | ClientError | ResponseParserError

_KEY = "Check the access key and its secret; both belong to the endpoint's account."
_REFUSED = "Check the access key, its secret, its rights on this bucket, and this machine's clock."
_RIGHTS = "The access key is known but may not do this: check its policy for this bucket."
_CLOCK = "Set this machine's clock (NTP): it differs from the server's by too much."
_EXPIRED = "The credential has expired: give a fresh one."
_BUCKET = "Create the bucket, or correct its name in the URL."
_REGION = "Give the bucket's own region, and the endpoint of that region."
ENDPOINT_HINT = "Check scheme, host and port of the endpoint: this is not how S3 answers."
_ROOM = "Make room in the bucket, or raise its quota."
_REACH = "Check host and port of the endpoint, DNS, firewall and proxy."
_TRUST = "Give the CA certificate that signed the endpoint's, or correct the host."
_BUSY = "The server is busy or ill; the call can be repeated."

_BY_CODE: dict[str, tuple[type[StoreError], str]] = {
    "NoSuchKey": (NoSuchObject, ""),
    "NoSuchBucket": (NoSuchStore, _BUCKET),
    "InvalidBucketName": (NoSuchStore, _BUCKET),
    "InvalidAccessKeyId": (AccessDenied, _KEY),
    "SignatureDoesNotMatch": (AccessDenied, _KEY),
    "InvalidSecurity": (AccessDenied, _KEY),
    "InvalidToken": (AccessDenied, _KEY),
    "NotSignedUp": (AccessDenied, _KEY),
    "ExpiredToken": (AccessDenied, _EXPIRED),
    "TokenRefreshRequired": (AccessDenied, _EXPIRED),
    "RequestTimeTooSkewed": (AccessDenied, _CLOCK),
    "RequestExpired": (AccessDenied, _CLOCK),
    "AccessDenied": (AccessDenied, _RIGHTS),
    "AccountProblem": (AccessDenied, _RIGHTS),
    "AllAccessDisabled": (AccessDenied, _RIGHTS),
    "AuthorizationHeaderMalformed": (NoSuchStore, _REGION),
    "PermanentRedirect": (NoSuchStore, _REGION),
    "TemporaryRedirect": (NoSuchStore, _REGION),
    "IllegalLocationConstraintException": (NoSuchStore, _REGION),
    "InvalidRegion": (NoSuchStore, _REGION),
    "InvalidRange": (ShortRead, ""),
    "QuotaExceeded": (OutOfSpace, _ROOM),
    "InsufficientStorage": (OutOfSpace, _ROOM),
    "XMinioStorageFull": (OutOfSpace, _ROOM),
    "XMinioAdminBucketQuotaExceeded": (OutOfSpace, _ROOM),
    "SlowDown": (Unavailable, _BUSY),
    "RequestTimeout": (Unavailable, _BUSY),
    "OperationAborted": (Unavailable, _BUSY),
    "ConditionalRequestConflict": (Unavailable, _BUSY),
}
_BY_STATUS: dict[int, tuple[type[StoreError], str]] = {
    301: (NoSuchStore, _REGION),
    307: (NoSuchStore, _REGION),
    400: (NoSuchStore, ENDPOINT_HINT),
    401: (AccessDenied, _KEY),
    403: (AccessDenied, _REFUSED),
    404: (NoSuchObject, ""),
    405: (NoSuchStore, ENDPOINT_HINT),
    408: (Unavailable, _BUSY),
    409: (Unavailable, _BUSY),
    416: (ShortRead, ""),
    429: (Unavailable, _BUSY),
    507: (OutOfSpace, _ROOM),
}
_BY_TYPE: tuple[tuple[type[Exception], type[StoreError], str], ...] = (
    (ProxyConnectionError, Unavailable, "Check the proxy's address and that it lets this through."),
    (EndpointConnectionError, Unavailable, _REACH),
    (ConnectTimeoutError, Unavailable, _REACH),
    (NoCredentialsError, AccessDenied, "Give an access key and its secret."),
    (PartialCredentialsError, AccessDenied, "Give both the access key and its secret."),
    (ParamValidationError, Unusable, "Correct the bucket's name in the URL."),
    (ResponseParserError, NoSuchStore, ENDPOINT_HINT),
)


def status_of(error: ClientError) -> int:
    """The HTTP status of an answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    """S3's error code; the status as text where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def translated(error: AnySdkError, address: S3Address, name: str) -> StoreError:
    """The same error in our words, about the object `name`, or about the bucket ('')."""
    subject = f"{address.url}/{name}" if name else address.url
    if isinstance(error, ClientError):
        kind, hint = _answer(error)
        if kind is NoSuchObject and not name:
            kind, hint = NoSuchStore, f"{_BUCKET} {ENDPOINT_HINT}"
        if kind is NoSuchObject:
            return NoSuchObject(f"there is no object {name} in {address.url}", subject=name)
        return kind(f"{subject}: {_said(error)}", subject=name or address.url, hint=hint)
    if isinstance(error, SSLError):
        kind, hint = _tls(error)
        return kind(f"{subject}: {_short(error)}", subject=name or address.url, hint=hint)
    for caught, kind, hint in _BY_TYPE:
        if isinstance(error, caught):
            return kind(f"{subject}: {_short(error)}", subject=name or address.url, hint=hint)
    return Unavailable(f"{subject}: {_short(error)}", subject=name or address.url, hint=_REACH)


def _answer(error: ClientError) -> tuple[type[StoreError], str]:
    code, status = code_of(error), status_of(error)
    if code in _BY_CODE:
        kind, hint = _BY_CODE[code]
        region = _region_of(error) if hint == _REGION else ""
        return kind, f"The bucket is in region {region}. {hint}" if region else hint
    if status >= 500 and status not in _BY_STATUS:
        if status == 501:
            return Unusable, "The store can't do this."
        # the SDK calls an answer that is no XML an internal error
        return Unavailable, f"{_BUSY} {ENDPOINT_HINT}" if code.isdigit() else _BUSY
    return _BY_STATUS.get(status, (StoreError, ENDPOINT_HINT))


def _tls(error: SSLError) -> tuple[type[StoreError], str]:
    text = str(error).lower()
    if "certificate" in text:
        return Untrusted, _TRUST
    if "wrong version number" in text or "record layer" in text:
        return NoSuchStore, "The endpoint does not speak TLS: write http:// or another port."
    return Unavailable, _REACH  # cut while shaking hands


def _region_of(error: ClientError) -> str:
    response: Any = error.response
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(response["Error"].get("Region") or headers.get("x-amz-bucket-region", ""))


def _said(error: ClientError) -> str:
    text = str(error.response.get("Error", {}).get("Message", "")).strip()
    return f"{code_of(error)} (HTTP {status_of(error)}) {text}".strip()[:400]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
