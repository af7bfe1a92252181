"""A cluster is lost; its applications come back on another one, from the location and its key."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from console.engine import LocationDraft, RetireRequest, open_engine
from console.engine.model.kinds import NAMESPACES
from console.sandbox import Sandbox
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def another(stage: Stage) -> AsyncIterator[Stage]:
    """Another cluster, with an engine of its own, that has joined the location."""
    async with (
        Sandbox(stage.folder / "sandbox-2", name="other") as sandbox,
        open_engine(stage.folder / "home-2") as engine,
    ):
        other = Stage(sandbox, engine, stage.folder)
        await other.prepare()
        draft = LocationDraft(
            name=LOCATION, folder=str(stage.store), location_key_file=str(stage.kit)
        )
        await engine.locations.add(CLUSTER, draft)
        yield other


async def test_applications_of_a_lost_cluster_come_back_on_another(stage: Stage) -> None:
    await stage.views(open_page=True)
    assert (await stage.back_up(export=True)).outcome == "Complete"
    async with stage.client() as client:
        uid = (await client.get(NAMESPACES, "default"))["metadata"]["uid"]
    async with another(stage) as other:
        assert await other.points() == ()
        row = await other.engine.locations.check(CLUSTER, LOCATION, all_clusters=True)
        assert (row.state, row.points) == ("usable", 1)
        (point,) = await other.points()
        assert (point.origin, point.state, point.bound) == (uid, "Ready", False)
        removed = await other.engine.applications.show(CLUSTER, "visits")
        assert (removed.state, removed.points) == ("removed", 1)
        names = [
            entry.name for entry in await other.engine.restore_points.browse(CLUSTER, point.name)
        ]
        assert names == ["objects", "volumes"]

        assert (await other.restore(point.name)).outcome == "Complete"
        assert await other.views() == 1
        # what another cluster took protects nothing of this one, and is not ours to retire
        there = await other.engine.applications.show(CLUSTER, "visits")
        assert (there.state, there.points) == ("unprotected", 0)
        request = RetireRequest(points=(point.name,), allow_many=True, allow_last=True)
        preview = await other.engine.restore_points.preview_retire(CLUSTER, request)
        assert [one.code for one in preview.blockers] == ["retire.other_owner"]
        await other.engine.locations.check(CLUSTER, LOCATION)
        assert await other.points() == (point,)


async def test_what_its_own_cluster_has_retired_leaves_the_list(stage: Stage) -> None:
    assert (await stage.back_up(export=True)).outcome == "Complete"
    async with another(stage) as other:
        await other.sandbox.deploy_visits()
        assert (await other.back_up(export=True)).outcome == "Complete"
        own = await other.points()
        await other.engine.locations.check(CLUSTER, LOCATION, all_clusters=True)
        assert len(await other.points()) == len(own) + 1
        gone = await stage.point("exported")
        request = RetireRequest(points=(gone.name,), allow_many=True, allow_last=True)
        done = await stage.finished(await stage.engine.actions.retire(CLUSTER, request))
        assert done.outcome == "Complete"
        await other.engine.locations.check(CLUSTER, LOCATION, all_clusters=True)
        assert await other.points() == own
