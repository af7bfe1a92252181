"""The boto3 client of a store, with the settings that other S3 servers than Amazon's need."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import boto3
import botocore.session
import urllib3
from botocore.config import Config
from urllib3.exceptions import InsecureRequestWarning

from console.storage.errors import Unusable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from console.storage.credentials import Credentials
    from console.storage.s3_address import S3Address

CONNECTIONS = 32
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60

# botocore's form: (name in its file, environment variables, default, conversion)
_NO_FILES = {
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "profile": (None, None, None, None),
}


class S3Settings(NamedTuple):
    """How to talk to a server."""

    region: str = ""  # "": what the host's name tells, else us-east-1
    path_style: bool | None = None  # None: what this provider wants
    skip_tls_verify: bool = False
    ca_bundle: str = ""  # path of a PEM file, or the PEM text itself
    proxy: str = ""  # "": as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say


class CaFile:
    """A CA bundle as the file that botocore wants; text is kept in one until `remove`."""

    def __init__(self, bundle: str) -> None:
        """Find or write the file.

        Raises:
            Unusable: There is no such file, or no certificate in it.
        """
        self.path = bundle
        _check_certificates(bundle)
        self._ours = _is_text(bundle)
        if self._ours:
            descriptor, self.path = tempfile.mkstemp(prefix="kubehaven-ca-", suffix=".pem")
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(bundle)

    def remove(self) -> None:
        """Delete the file if it is ours."""
        if self._ours:
            Path(self.path).unlink(missing_ok=True)


def _is_text(bundle: str) -> bool:
    return bundle.lstrip().startswith("-----BEGIN")


def _check_certificates(bundle: str) -> None:
    if not bundle:
        return
    what = "the CA bundle" if _is_text(bundle) else f"the CA bundle {bundle}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if _is_text(bundle):
            context.load_verify_locations(cadata=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except (OSError, ValueError) as error:  # an SSLError is an OSError too
        said = getattr(error, "strerror", None) or error
        raise Unusable(f"{what} can't be used: {said}", subject="caBundle") from error


def _check_proxy(proxy: str) -> None:
    try:
        split = urlsplit(proxy)
        known = bool(split.hostname) and split.port != 0 and split.scheme in {"http", "https"}
    except ValueError:
        known = False
    if proxy and not (known and proxy.isprintable() and " " not in proxy):
        hint = "Write http://host:port."  # the URL itself may hold a password
        raise Unusable("the proxy is no URL", subject="proxy", hint=hint)


def new_client(
    address: S3Address, credentials: Credentials | None, settings: S3Settings, ca_path: str
) -> S3Client:
    """A client that may be shared by threads, from a session of its own.

    Given credentials, neither the user's AWS files nor a profile have a say.

    Raises:
        Unusable: The proxy is no URL. What else is wrong botocore says.
    """
    _check_proxy(settings.proxy)
    if settings.skip_tls_verify:
        urllib3.disable_warnings(InsecureRequestWarning)  # it was asked for, once is enough
    client = _session(credentials).client(
        "s3",
        endpoint_url=address.endpoint,
        region_name=settings.region or address.region or "us-east-1",
        verify=False if settings.skip_tls_verify else (ca_path or None),
        config=_config(address, settings),
    )
    if not address.is_amazon:
        client.meta.events.register_last("before-parameter-build.s3", _never_redirect)
    return client


def _never_redirect(context: dict[str, Any], **_: object) -> None:
    # botocore asks a server that redirects for the bucket's region, by a call that is
    # redirected too, until the stack is full; it believes a request it has redirected once
    context.setdefault("s3_redirect", {})["redirected"] = True


def _session(credentials: Credentials | None) -> boto3.session.Session:
    if credentials is None:
        return boto3.session.Session()
    core = botocore.session.Session(session_vars=_NO_FILES)
    core.set_credentials(
        credentials.access_key_id,
        credentials.secret_access_key,
        credentials.session_token or None,
    )
    return boto3.session.Session(botocore_session=core)


def _config(address: S3Address, settings: S3Settings) -> Config:
    path_style = settings.path_style
    if path_style is None:
        path_style = not address.wants_bucket_in_host
    style: Literal["path", "virtual"] = "path" if path_style else "virtual"
    return Config(
        signature_version="s3v4",
        # Tencent COS and older servers refuse the checksums that newer SDKs add
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": style},
        max_pool_connections=CONNECTIONS,
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
        proxies={"http": settings.proxy, "https": settings.proxy} if settings.proxy else None,
    )
