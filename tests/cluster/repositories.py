"""The buckets that the tests write; in the end Debian's restic reads every byte of them."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console.repository.location_keys import RepositoryMarker, read_kit
from console.storage.s3 import S3Store
from console.storage.s3_address import parse_s3_url
from tests.fakes.weed import running_weed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.weed import S3Server

_kits: dict[tuple[str, str], Path] = {}  # by endpoint and bucket


def remember(s3: S3Server, bucket: str, kit: Path) -> None:
    """A bucket that will hold repositories, and where its recovery kit will be."""
    _kits[s3.endpoint, bucket] = kit


@contextmanager
def checked_weed(folder: Path, address: str) -> Iterator[S3Server]:
    """An S3 server; at its end restic has read all repositories in what was remembered."""
    with running_weed(folder, address) as server:
        yield server
        for (endpoint, bucket), kit in _kits.items():
            if endpoint == server.endpoint and kit.exists():
                check_with_restic(server, bucket, kit, folder)


def check_with_restic(s3: S3Server, bucket: str, kit: Path, folder: Path) -> int:
    """Debian's restic reads every byte of every repository of a bucket; how many there are."""
    store = S3Store(parse_s3_url(f"s3:{s3.endpoint}/{bucket}"), s3.credentials)
    key, checked = read_kit(kit), 0
    for marker in [i.name for i in store.list("") if i.name.count("/") == 2]:
        if not marker.endswith("/kubehaven.json"):
            continue
        password = folder / "password"
        password.write_bytes(key.password(RepositoryMarker.decode(store.get(marker)).salt))
        repository = f"s3:{s3.endpoint}/{bucket}/{marker.removesuffix('/kubehaven.json')}"
        restic = ["restic", "--no-cache", "-r", repository, "--password-file", str(password)]
        credentials = s3.credentials
        subprocess.run(
            [*restic, "check", "--read-data", "--no-lock"],
            check=True,
            capture_output=True,
            env={
                "AWS_ACCESS_KEY_ID": credentials.access_key_id,
                "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
                "HOME": str(folder),
                "PATH": "/usr/bin:/bin",
            },
        )
        checked += 1
    store.close()
    return checked
