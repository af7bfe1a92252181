"""Who lacks a right is told before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine import RestoreRequest, open_engine
from console.engine.actions.authorising import missing_rights
from console.engine.model import kinds
from console.engine.model.kinds import NAMESPACES
from console.engine.model.record import Requester
from console.engine.plan.rights import Need, Right
from console.sandbox.access import Rule
from tests.engine.story import CLUSTER, Stage

if TYPE_CHECKING:
    from pathlib import Path


ASK = Rule(("create",), ("kubehaven.io",), ("*",))


def user(stage: Stage, name: str, *rules: Rule) -> Path:
    """The kubeconfig of somebody with these rights and no others."""
    token = stage.sandbox.access.add(name, rules=rules)
    path = stage.folder / f"kubeconfig-{name}"
    stage.sandbox.write_kubeconfig(path, token)
    return path


async def test_rights_are_asked_once_each_and_an_alternative_counts(stage: Stage) -> None:
    nobody = Requester(username="nobody")
    secrets = Right("create", kinds.SECRETS, "shop")
    needs = [Need(secrets), Need(secrets, ((Right("get", kinds.PODS, "shop"),),), "x")]
    async with stage.client() as client:
        assert await missing_rights(client, needs, user=None) == ()
        assert await missing_rights(client, needs, user=nobody) == tuple(needs)


async def test_a_restore_by_who_may_not_create_is_blocked_in_preview_and_action(
    stage: Stage, tmp_path: Path
) -> None:
    assert (await stage.back_up()).outcome == "Complete"
    point = await stage.point("local")
    request = RestoreRequest(point=point.name, target="elsewhere")
    kubeconfig = user(stage, "reader", Rule(("get", "list", "watch"), ("*",), ("*",)), ASK)
    async with open_engine(tmp_path / "reader") as engine:
        await engine.clusters.add(CLUSTER, str(kubeconfig))
        preview = await engine.restore_points.preview(CLUSTER, request)
        lacks = {blocker.message for blocker in preview.blockers}
        assert {blocker.code for blocker in preview.blockers} == {"restore.rights"}
        assert "this account may not create namespaces" in lacks
    async with stage.client() as client:
        assert await client.find(NAMESPACES, "elsewhere") is None
