"""The main job, end to end: back up, export, lose the application, restore, the data is back."""

from __future__ import annotations

import contextlib
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.engine import ActionView, RestoreRequest
from console.engine.errors import NotFound
from console.engine.model.kinds import CLAIMS, JOBS, NAMESPACES, SNAPSHOTS, VOLUMES
from console.engine.model.names import WORKERS_NAMESPACE
from console.repository.location_keys import RepositoryMarker, read_kit
from tests.engine.story import CLUSTER

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from tests.engine.story import Stage


# about a second each on an idle machine: a step that waits for a resync or a deadline is over it
WAITS_NOWHERE_S = 15


async def test_an_application_is_lost_and_comes_back_from_its_exported_point(stage: Stage) -> None:
    await stage.views(open_page=True)
    assert await stage.views(open_page=True) == 2
    exported = await stage.back_up(export=True)
    assert exported.outcome == "Complete", exported
    assert seconds(exported) <= WAITS_NOWHERE_S
    await stage.views(open_page=True)
    assert await stage.views(open_page=True) == 4

    async with stage.client() as client:
        await client.delete(NAMESPACES, "visits")
        await gone(client)
    point = await stage.point("exported")
    restored = await stage.restore(point.name)

    assert restored.outcome == "Complete", restored
    assert seconds(restored) <= WAITS_NOWHERE_S
    assert await stage.views() == 2
    await nothing_is_left(stage)
    check_every_repository(stage)


async def test_a_local_point_survives_its_namespace(stage: Stage) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up()).outcome == "Complete"
    async with stage.client() as client:
        await client.delete(NAMESPACES, "visits")
        await gone(client)
    point = await stage.point("local")
    assert (await stage.restore(point.name)).outcome == "Complete"
    assert await stage.views() == 1


async def test_a_restore_beside_the_living_application_leaves_it_alone(stage: Stage) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up()).outcome == "Complete"
    await stage.views(open_page=True)
    point = await stage.point("local")
    assert (await stage.restore(point.name, target="visits-copy")).outcome == "Complete"
    assert await stage.views("visits-copy") == 1
    assert await stage.views() == 2


@pytest.mark.parametrize("kind", ["local", "exported"])
async def test_a_class_that_waits_for_its_first_pod_can_be_restored_to(
    stage: Stage, kind: str
) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up(export=True)).outcome == "Complete"
    point = await stage.point(kind)
    request = RestoreRequest(
        point=point.name, target="moved", storage_class_map={"sandbox": "sandbox-wait"}
    )
    row = await stage.finished(await stage.engine.actions.restore(CLUSTER, request))
    assert row.outcome == "Complete", row
    assert await stage.views("moved") == 1
    async with stage.client() as client:
        claims = await client.list(CLAIMS, "moved")
    assert {claim["spec"]["storageClassName"] for claim in claims} == {"sandbox-wait"}


@pytest.mark.parametrize("kind", ["local", "exported"])
async def test_owners_are_mapped_and_claims_grow(stage: Stage, kind: str) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up(export=True)).outcome == "Complete"
    point = await stage.point(kind)
    async with stage.client() as client:
        names = [claim["metadata"]["name"] for claim in await client.list(CLAIMS, "visits")]
    request = RestoreRequest(
        point=point.name,
        target="moved",
        owner_map={str(os.getuid()): 4321} if os.getuid() == 0 else {"1": 2},
        claim_sizes=dict.fromkeys(names, "2Gi"),
    )
    row = await stage.finished(await stage.engine.actions.restore(CLUSTER, request))
    assert row.outcome == "Complete", row
    assert await stage.views("moved") == 1
    async with stage.client() as client:
        claims = await client.list(CLAIMS, "moved")
        volumes = [await client.get(VOLUMES, one["spec"]["volumeName"]) for one in claims]
    assert {one["spec"]["resources"]["requests"]["storage"] for one in claims} == {"2Gi"}
    for volume in volumes:
        (folder,) = (stage.folder / "sandbox").rglob(volume["spec"]["csi"]["volumeHandle"])
        assert folder.stat().st_uid == (4321 if os.getuid() == 0 else os.getuid())
    await nothing_is_left(stage)


def seconds(row: ActionView) -> float:
    """How long an action ran, by the cluster's clock."""
    start, end = (datetime.fromisoformat(text) for text in (row.started_at, row.ended_at))
    return (end - start).total_seconds()


async def gone(client: KubeClient) -> None:
    """Wait until the sample application's namespace is gone."""
    with contextlib.suppress(NotFound):
        await client.wait_for(NAMESPACES, "visits", "", lambda _raw: False, timeout_s=20)


async def nothing_is_left(stage: Stage) -> None:
    """No Job, claim or half snapshot of ours stays behind."""
    async with stage.client() as client:
        assert await client.list(JOBS, WORKERS_NAMESPACE) == []
        assert await client.list(CLAIMS, WORKERS_NAMESPACE) == []
        assert await client.list(SNAPSHOTS, "visits") == []


def check_every_repository(stage: Stage) -> None:
    """Debian's restic finds nothing wrong with any repository of the location."""
    key = read_kit(stage.kit)
    markers = list(stage.store.glob("*/*/kubehaven.json"))
    assert markers
    for marker in markers:
        salt = RepositoryMarker.decode(marker.read_bytes()).salt
        password = Path(stage.folder / "password")
        password.write_bytes(key.password(salt))
        restic = [
            "restic",
            "--no-cache",
            "-r",
            str(marker.parent),
            "--password-file",
            str(password),
        ]
        subprocess.run([*restic, "check", "--read-data"], check=True, capture_output=True)
