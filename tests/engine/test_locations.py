"""Locations: a real S3 server, the key alone, wrong settings and wrong keys."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from console.engine import (
    EngineError,
    LocationDraft,
    OfflinePlace,
    offline_browse,
    offline_get,
    offline_points,
)
from console.repository import RepositoryError
from console.repository.location_keys import find_repositories, read_kit
from console.storage import StoreError, open_store
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.weed import S3Server


def bucket_draft(stage: Stage, server: S3Server, **changes: str) -> LocationDraft:
    """A location in a fresh bucket of a real server."""
    credentials = stage.folder / "credentials.json"
    key = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    credentials.write_text(json.dumps(key))
    settings = {
        "name": LOCATION,
        "bucket": server.new_bucket(),
        "prefix": "team/one",
        "endpoint": server.endpoint,
        "region": "us-east-1",
        "credentials_file": str(credentials),
        "recovery_kit": str(stage.kit),
        **changes,
    }
    return msgspec.convert(settings, LocationDraft)


async def test_the_story_in_a_bucket_and_then_from_the_key_alone(
    bare_stage: Stage, s3_server: S3Server, tmp_path: Path
) -> None:
    stage = bare_stage
    await stage.prepare()
    await stage.sandbox.deploy_visits()
    draft = bucket_draft(stage, s3_server)
    await stage.engine.locations.add(CLUSTER, draft)
    await stage.views(open_page=True)
    exported = await stage.back_up(export=True)
    assert exported.outcome == "Complete", exported
    point = await stage.point("exported")
    assert (await stage.restore(point.name, target="copy")).outcome == "Complete"
    assert await stage.views("copy") == 1

    url = f"s3:{s3_server.endpoint}/{draft.bucket}/team/one"
    await asyncio.to_thread(restic_finds_nothing_wrong, stage, url, s3_server)
    place = OfflinePlace(
        url=url,
        key_file=str(stage.kit),
        credentials=s3_server.credentials,
        region="us-east-1",
    )
    found = await asyncio.to_thread(offline_points, place)
    assert [row.view.id for row in found.points] == [point.id]
    assert found.damaged == []
    tops = await asyncio.to_thread(offline_browse, place, point.id)
    assert [row.name for row in tops] == ["objects", "volumes"]
    written = await asyncio.to_thread(offline_get, place, point.id, "volumes", tmp_path / "out")
    assert written > 0
    assert list((tmp_path / "out" / "volumes").rglob("visits.db"))


def restic_finds_nothing_wrong(stage: Stage, url: str, server: S3Server) -> None:
    """Debian's restic reads all data of every repository of a bucket."""
    store = open_store(url, credentials=server.credentials, region="us-east-1")
    key, password = read_kit(stage.kit), stage.folder / "password"
    found = list(find_repositories(store))
    store.close()
    assert found
    for path, marker in found:
        password.write_bytes(key.password(marker.salt))
        where = ["--no-cache", "-r", f"{url}/{path}", "--password-file", str(password)]
        subprocess.run(
            ["restic", *where, "check", "--read-data"],
            check=True,
            capture_output=True,
            env={
                "PATH": os.environ["PATH"],
                "AWS_ACCESS_KEY_ID": server.access_key,
                "AWS_SECRET_ACCESS_KEY": server.secret_key,
            },
        )


async def test_a_location_is_refused_without_a_kit(stage: Stage) -> None:
    draft = LocationDraft(name="two", folder=str(stage.folder / "two"))
    with pytest.raises(EngineError) as caught:
        await stage.engine.locations.add(CLUSTER, draft)
    assert caught.value.code == "location.no_kit"


async def test_another_key_is_refused_where_points_are_kept(stage: Stage) -> None:
    other = LocationDraft(
        name="other", folder=str(stage.folder / "o"), recovery_kit=str(stage.folder / "o.txt")
    )
    await stage.engine.locations.add(CLUSTER, other)
    draft = LocationDraft(
        name="again", folder=str(stage.store), location_key_file=str(stage.folder / "o.txt")
    )
    with pytest.raises(EngineError) as caught:
        await stage.engine.locations.add(CLUSTER, draft)
    assert caught.value.code == "location.wrong_key"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"bucket": "no-such-bucket"}, "store.no_store"),
        ({"endpoint": "http://127.0.0.1:9"}, "store.unavailable"),
    ],
)
async def test_wrong_settings_of_a_bucket_are_said(
    bare_stage: Stage, s3_server: S3Server, changes: dict[str, str], code: str
) -> None:
    await bare_stage.prepare()
    draft = bucket_draft(bare_stage, s3_server, **changes)
    with pytest.raises(StoreError) as caught:
        await bare_stage.engine.locations.add(CLUSTER, draft)
    assert caught.value.code == code
    assert await bare_stage.engine.locations.list(CLUSTER) == ()


async def test_a_damaged_repository_is_told_and_never_listed_as_good(stage: Stage) -> None:
    await stage.back_up(export=True)
    snapshots = next(stage.store.glob("*/visits/snapshots"))
    for file in snapshots.iterdir():
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.chmod(0o600)
        file.write_bytes(content)
    with pytest.raises(RepositoryError) as caught:
        await stage.engine.locations.check(CLUSTER, LOCATION)
    assert caught.value.code.startswith("repository.damage")


async def test_a_point_whose_volume_is_missing_is_damaged(stage: Stage) -> None:
    exported = await stage.back_up(export=True)
    volume = next(v.snapshot for v in exported.volumes)
    for file in stage.store.glob(f"*/visits/snapshots/{volume}*"):
        file.unlink()
    await stage.engine.locations.check(CLUSTER, LOCATION)
    point = await stage.point("exported")
    assert point.state == "Damaged"
    assert "missing" in point.reason


async def test_a_lost_location_is_said_when_a_restore_needs_it(stage: Stage) -> None:
    await stage.back_up(export=True)
    point = await stage.point("exported")
    shutil.rmtree(stage.store)
    with pytest.raises((StoreError, RepositoryError)):
        await stage.restore(point.name, target="copy")
