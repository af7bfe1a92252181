"""TLS contexts from PEM bytes, without leaving a key on any disk.

The authorities go in as data. A client certificate can only be loaded from a
path: on Linux that is a memfd, elsewhere a 0600 file in the runtime folder
which is unlinked as soon as it was read.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from console.engine.errors import KubeconfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.engine.kube.access import ClusterAccess


def tls_context(
    access: ClusterAccess, *, client_cert: bytes = b"", client_key: bytes = b""
) -> ssl.SSLContext:
    """A context for one access; `load_files` has been there before. Blocks for a moment.

    Args:
        client_cert: PEM from an exec program; goes before the access's own.
        client_key: Its key.

    Raises:
        KubeconfigError: The authorities, the certificate or the key can't be used.
    """
    context = _verifying(access)
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = (
        (client_cert, client_key) if client_cert else (access.client_cert, access.client_key)
    )
    if certificate:
        _load_client(context, certificate, key, subject=access.path)
    return context


def _verifying(access: ClusterAccess) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=access.ca.decode("ascii") or None)
    except (ssl.SSLError, ValueError) as error:
        raise KubeconfigError(
            "certificate-authority holds no certificate that can be read", subject=access.path
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Go does: a cluster's authority may lack key identifiers, and may be an intermediate one.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _load_client(context: ssl.SSLContext, certificate: bytes, key: bytes, *, subject: str) -> None:
    def refuse() -> str:
        raise KubeconfigError(
            "client-key is encrypted", subject=subject, hint="store the key without a passphrase"
        )

    try:
        with _as_path(certificate + b"\n" + key) as path:
            context.load_cert_chain(path, password=refuse)
    except (ssl.SSLError, OSError) as error:
        what = "client-certificate and client-key can't be used together"
        raise KubeconfigError(what, subject=subject) from error


@contextmanager
def _as_path(content: bytes) -> Iterator[str]:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("kubehaven", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    import platformdirs

    folder = Path(platformdirs.user_runtime_dir("kubehaven", ensure_exists=True))
    descriptor, name = tempfile.mkstemp(dir=folder)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        yield name
    finally:
        Path(name).unlink()
