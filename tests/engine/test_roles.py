"""What the shipped roles allow is enough for what each is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.engine import LocationDraft, RetireRequest, open_engine
from console.engine.errors import Forbidden
from tests.builders.roles import rules_of
from tests.engine.story import CLUSTER, LOCATION, Stage
from tests.engine.test_owning import make_owned, owned
from tests.engine.test_story import nothing_is_left
from tests.engine.test_swap import ask_in_place

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from console.engine import Engine

pytestmark = pytest.mark.timeout(180)


def signed_in(stage: Stage, role: str) -> AbstractAsyncContextManager[Engine]:
    """An engine whose user has one of our roles and nothing else."""
    token = stage.sandbox.access.add(role, rules=rules_of(role))
    path = stage.folder / f"{role}.kubeconfig"
    stage.sandbox.write_kubeconfig(path, token)
    return open_engine(stage.folder / role)


async def test_the_engines_role_is_enough_for_everything_an_engine_does(stage: Stage) -> None:
    async with stage.client() as client:
        await make_owned(client)
    await stage.engine.clusters.forget(CLUSTER)  # who prepared it leaves
    async with signed_in(stage, "kubehaven-engine") as engine:
        stage.engine = engine
        await engine.clusters.add(CLUSTER, str(stage.folder / "kubehaven-engine.kubeconfig"))
        await engine.clusters.watch(CLUSTER)
        await stage.views(open_page=True)
        done = await stage.back_up(export=True)
        assert done.outcome == "Complete", done
        for kind, target in (("local", "again"), ("exported", "elsewhere")):
            row = await stage.restore((await stage.point(kind)).name, target=target)
            assert row.outcome == "Complete", row
            assert await stage.views(target) == 1
            async with stage.client() as client:
                assert (await owned(client, target))[1]
        row = await stage.finished(await ask_in_place(stage))
        assert row.outcome == "Complete", row
        row = await stage.finished(await engine.actions.undo(CLUSTER, row.namespace, row.name))
        assert row.outcome == "Complete", row
        for point in await stage.points():
            request = RetireRequest(points=(point.name,), allow_many=True, allow_last=True)
            row = await stage.finished(await engine.actions.retire(CLUSTER, request))
            assert row.outcome == "Complete", row
        assert await stage.points() == ()
        await nothing_is_left(stage)


async def test_an_operator_asks_for_work_and_frees_nothing(stage: Stage) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    point = await stage.point("local")
    async with signed_in(stage, "kubehaven-operator") as engine:
        await engine.clusters.add(CLUSTER, str(stage.folder / "kubehaven-operator.kubeconfig"))
        assert [row.name for row in await engine.applications.list(CLUSTER)]
        assert [row.name for row in await engine.restore_points.list(CLUSTER)] == [point.name]
        ref = await engine.actions.back_up(CLUSTER, "visits")
        await engine.actions.cancel(CLUSTER, ref.kind, ref.namespace, ref.name)
        request = RetireRequest(points=(point.name,), allow_many=True, allow_last=True)
        with pytest.raises(Forbidden):
            await engine.actions.retire(CLUSTER, request)
        with pytest.raises(Forbidden):
            await engine.locations.check(CLUSTER, LOCATION)


async def test_an_administrator_adds_a_location_and_looks_into_it(stage: Stage) -> None:
    async with signed_in(stage, "kubehaven-admin") as engine:
        await engine.clusters.add(CLUSTER, str(stage.folder / "kubehaven-admin.kubeconfig"))
        kit = stage.folder / "another-kit"
        draft = LocationDraft(
            name="another", folder=str(stage.folder / "another"), recovery_kit=str(kit)
        )
        row = await engine.locations.add(CLUSTER, draft)
        assert row.state == "usable", row
