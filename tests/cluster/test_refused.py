"""What the cluster refuses us: said with its own words, nothing is left, the points stay."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.plan.stuck import Patience
from console.engine.volumes import drive
from tests.cluster.box import Box, desk_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from console.engine.model.kinds import RawObject
    from tests.cluster.conftest import RealCluster

SOON = Patience(image_s=20, place_s=20, begin_s=25)
QUOTA: RawObject = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "in-the-way", "namespace": WORKERS_NAMESPACE},
    "spec": {"hard": {"pods": "0"}},
}


@contextmanager
def there(cluster: RealCluster, *objects: RawObject) -> Iterator[None]:
    """The objects, for the length of the block."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", "-f", "-", stdin=text)
    try:
        yield
    finally:
        cluster.kubectl("delete", "-f", "-", "--wait", stdin=text)


async def test_a_quota_lets_no_pod_be_made(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk_at(box) as desk:
        backup = await desk.complete(await desk.back_up())
    with monkeypatch.context() as hurried:
        hurried.setattr(drive, "NORMAL", SOON)
        async with desk_at(box) as desk:
            with there(box.cluster, QUOTA):
                ref = await desk.export(backup)
                row = await desk.failed(ref, "worker.refused")
                assert row.error is not None
                assert "exceeded quota" in row.error.message
                await desk.nothing_is_left(ref)
    async with desk_at(box) as desk:
        await desk.complete(await desk.export(backup))
