"""An application's first export is read back whole before its point counts as good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine import open_engine
from console.engine.model.kinds import PODS, RESTORE_POINT_CONTENTS, SETTINGS
from console.engine.model.names import NAMESPACE, WORKERS_NAMESPACE
from console.sandbox import Sandbox
from tests.engine.story import CLUSTER, LOCATION, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from console.engine import ActionView
    from console.engine.kube import Write


def detail(row: ActionView) -> str:
    return next(step.detail for step in row.steps if step.name == "verify")


async def test_the_first_export_is_read_back_and_later_ones_only_when_settings_say_so(
    stage: Stage,
) -> None:
    first = await stage.back_up(export=True)
    assert (first.outcome, detail(first)) == ("Complete", "read back whole")
    second = await stage.back_up(export=True)
    assert (second.outcome, second.error) == ("Complete", None)
    assert "not the first" in detail(second)
    exported = [point for point in await stage.points() if point.kind == "exported"]
    newest, oldest = sorted(exported, key=lambda point: point.taken_at, reverse=True)
    assert (bool(oldest.verified_at), newest.verified_at) == (True, "")
    # made again, the point is what it was
    again = await stage.engine.actions.export(CLUSTER, oldest.id, location=LOCATION)
    assert (await stage.finished(again)).outcome == "Complete"
    assert (await stage.engine.restore_points.show(CLUSTER, oldest.name)) == oldest


async def test_always(bare_stage: Stage) -> None:
    await bare_stage.prepare(watch=False)
    await bare_stage.sandbox.deploy_visits()
    await bare_stage.add_location()
    async with bare_stage.client() as client:
        always = {"spec": {"readBackExports": "always"}}
        await client.patch(SETTINGS, "default", NAMESPACE, merge=always)
    await bare_stage.engine.clusters.watch(CLUSTER)
    for _ in range(2):
        assert detail(await bare_stage.back_up(export=True)) == "read back whole"


async def test_a_first_export_that_is_damaged_in_the_store_never_counts_as_good(
    tmp_path: Path,
) -> None:
    async def on_write(write: Write) -> None:
        if write.method != "POST" or not write.path.endswith("/restorepointcontents"):
            return
        packs = (tmp_path / "store").glob("*/visits*/data/*/*")
        oldest = min(packs, key=lambda pack: pack.stat().st_mtime_ns)  # the volume's
        raw = bytearray(oldest.read_bytes())
        raw[40] ^= 1
        oldest.chmod(0o600)
        oldest.write_bytes(raw)

    async with (
        Sandbox(tmp_path / "sandbox", name="lab") as sandbox,
        open_engine(tmp_path / "home", on_write=on_write) as engine,
    ):
        stage = Stage(sandbox, engine, tmp_path)
        await stage.prepare()
        await sandbox.deploy_visits()
        await stage.add_location()
        row = await stage.back_up(export=True)
        assert row.outcome == "Failed"
        assert row.error is not None
        assert row.error.code.startswith("repository.damage")
        point = await stage.point("exported")
        assert point.state == "Damaged"
        assert "read back" in point.reason
        await engine.locations.check(CLUSTER, LOCATION)  # a look sees less than reading all
        assert (await stage.point("exported")).state == "Damaged"
        async with stage.client() as client:
            assert await client.list(PODS, WORKERS_NAMESPACE) == []
            contents = await client.list(RESTORE_POINT_CONTENTS)
        assert {raw["status"]["state"] for raw in contents} == {"Ready", "Damaged"}
