"""One bucket, two programs: restic and we read and write the same repositories in S3."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from console.repository import Repository, back_up, check, init_repository, list_keys, restore_tree
from console.repository.location_keys import (
    MARKER,
    LocationKey,
    RepositoryMarker,
    find_repositories,
    repository_path,
    salt_of_username,
)
from console.storage import below, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.weed import S3Server


class ResticOnS3:
    """Restic with a password file, as a user would call it."""

    def __init__(self, server: S3Server, url: str, password_file: Path) -> None:
        program = shutil.which("restic")
        if program is None:
            pytest.skip("restic is not installed; `make setup` installs it")
        self.command = [program, "-r", url, "--password-file", str(password_file), "--no-cache"]
        keys = {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
        }
        self.environment = {**os.environ, **keys}

    def run(self, *words: str) -> None:
        done = subprocess.run(
            [*self.command, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def make_source(folder: Path) -> Path:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "big").write_bytes(os.urandom(3_000_000))
    for n in range(40):
        (folder / "deep" / "er" / f"file {n}").write_bytes(bytes([n]) * n * 50)
    return folder


def test_restic_and_we_share_a_repository(s3_server: S3Server, tmp_path: Path) -> None:
    url = s3_server.new_url("prefix")
    location = open_store(url, credentials=s3_server.credentials)
    key = LocationKey.generate()
    path = repository_path("cluster-uid", "shop", "app=web")
    marker = RepositoryMarker.new("cluster-uid", path.partition("/")[2])
    store = below(location, f"{path}/")
    init_repository(store, key.password(marker.salt), username=marker.username)
    assert store.create(MARKER, marker.encode()) is True

    # with nothing but the location and its key, as after a disaster
    ((found, read_marker),) = find_repositories(location)
    repo = Repository.open(below(location, f"{found}/"), key.password(read_marker.salt))
    source = make_source(tmp_path / "source")
    ours = back_up(repo, source)
    password_file = tmp_path / "password"
    password_file.write_bytes(key.password(marker.salt))
    restic = ResticOnS3(s3_server, f"{url}/{path}", password_file)
    restic.run("check", "--read-data")
    restic.run("restore", ours.snapshot, "--target", str(tmp_path / "by-restic"))
    assert tree(tmp_path / "by-restic" / "volume") == tree(source)

    (source / "more").write_bytes(os.urandom(100_000))
    restic.run("backup", str(source))
    repo = Repository.open(store, key.password(marker.salt))
    assert check(repo, read_data=True).problems == ()
    theirs = repo.find_snapshot("latest")
    restored = restore_tree(repo, theirs, tmp_path / "by-us", subpath=str(source).removeprefix("/"))
    assert restored.failures == ()
    assert tree(tmp_path / "by-us") == tree(source)
    assert [salt_of_username(info.username) for info in list_keys(store)] == [marker.salt]
    location.close()
