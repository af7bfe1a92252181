"""A real S3 server on loopback: SeaweedFS (`weed mini`), one for the whole test session.

Signatures are checked. Everything it writes lies in a temporary folder. It is
stopped by its own process id.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.storage import Credentials, StoreError
from console.storage.s3 import S3Store
from console.storage.s3_address import parse_s3_url
from console.storage.s3_client import S3Settings, new_client
from tests.fakes.certificates import new_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

WEED = Path(sys.executable).parent / "weed"
START_DEADLINE_S = 50.0
POLL_S = 0.05
TRIES = 5
READY = "kubehaven"
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port"),
    *(
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
        "s3.port.https",
        "admin.port",
        "admin.port.grpc",
    ),
)
OFF = (
    "-s3.autoCreateBucket=false",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)


class NotStarted(Exception):
    """The server did not get ready; the message is the end of its log."""


class PortTaken(Exception):
    """Somebody was given one of its ports between our look and its start."""


@dataclass(frozen=True)
class S3Server:
    """Where the server listens and how to sign in."""

    endpoint: str  # http://127.0.0.1:<port>
    https_endpoint: str  # https://127.0.0.1:<port>, signed by `ca_file`
    ca_file: Path
    access_key: str
    secret_key: str = field(repr=False)
    pid: int

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.access_key, self.secret_key)

    def new_bucket(self, name: str = "") -> str:
        """Make an empty bucket and return its name."""
        bucket = name or f"bucket-{secrets.token_hex(6)}"
        address = parse_s3_url(f"s3:{self.endpoint}/{bucket}")
        client = new_client(address, self.credentials, S3Settings(), "")
        client.create_bucket(Bucket=bucket)
        client.close()
        return bucket

    def new_url(self, prefix: str = "") -> str:
        """The repository URL of an empty place: a prefix of its own in a bucket that exists.

        A tenth of a second cheaper than a bucket.
        """
        return f"s3:{self.endpoint}/{READY}/{secrets.token_hex(6)}/{prefix}".rstrip("/")


@contextmanager
def running_weed(folder: Path, address: str = "127.0.0.1") -> Iterator[S3Server]:
    """A server with its data in `folder`, ready to store; gone afterwards."""
    for number in range(TRIES):
        place = folder / str(number)
        place.mkdir()
        with ExitStack() as held:
            try:
                server = held.enter_context(_started(place, address))
            except PortTaken:
                continue
            yield server
            return
    raise NotStarted(f"its ports were taken {TRIES} times")


@contextmanager
def _started(folder: Path, address: str) -> Iterator[S3Server]:
    ports = dict(zip(PORTS, _free_ports(len(PORTS), address), strict=True))
    tls = new_certificates(folder)
    access_key, secret_key = "kubehaven-test", secrets.token_urlsafe(24)
    command = [
        *(str(WEED), "mini", f"-dir={folder / 'data'}", f"-ip={address}", f"-ip.bind={address}"),
        *(f"-{name}={port}" for name, port in ports.items()),
        *(f"-{side}={folder}/f.sock" for side in ("filer.localSocket", "s3.localFilerSocket")),
        *(f"-s3.cert.file={tls.certificate}", f"-s3.key.file={tls.key}"),
        *("-master.telemetry=false", f"-bucket={READY}", *OFF),
    ]
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **keys, "HOME": str(folder)},
        )
    try:
        server = S3Server(
            endpoint=f"http://{address}:{ports['s3.port']}",
            https_endpoint=f"https://{address}:{ports['s3.port.https']}",
            ca_file=tls.authority,
            access_key=access_key,
            secret_key=secret_key,
            pid=process.pid,
        )
        _wait_until_it_stores(server, process, log)
        yield server
    finally:
        process.kill()  # its data goes too; a polite end takes up to ten seconds
        process.wait()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The session's S3 server; `new_bucket()` and `new_url()` give each test its own place."""
    with running_weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


def _wait_until_it_stores(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    store = S3Store(parse_s3_url(f"s3:{server.endpoint}/{READY}"), server.credentials)
    deadline = time.monotonic() + START_DEADLINE_S
    while not _stores(store):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=POLL_S)
        if b"address already in use" in log.read_bytes():
            raise PortTaken
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStarted(log.read_text(errors="replace")[-2000:])
    store.close()


def _stores(store: S3Store) -> bool:
    try:
        store.put(READY, b"yes")
    except StoreError:
        return False
    return True


def _free_ports(count: int, address: str) -> list[int]:
    """Ports that were free a moment ago; all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((address, 0))
        return [int(one.getsockname()[1]) for one in sockets]
