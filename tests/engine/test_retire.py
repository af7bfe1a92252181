"""Points are freed on purpose: all of them, nothing else, and never the wrong ones."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from console.engine import EngineError, RetireRequest
from console.engine.catalog import local
from console.engine.errors import NotFound, PlanError
from console.engine.model.kinds import (
    LOCATIONS,
    NAMESPACES,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    RETIRE_ACTIONS,
    SECRETS,
    SNAPSHOT_CONTENTS,
    SNAPSHOTS,
)
from console.engine.model.names import LABEL_ROLE, NAMESPACE, WORKERS_NAMESPACE
from tests.engine.story import CLUSTER, LOCATION, Stage
from tests.engine.test_story import check_every_repository, nothing_is_left

if TYPE_CHECKING:
    from pathlib import Path

    from console.engine import ActionRef, ActionView, PointView
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import Kind, RawObject

pytestmark = pytest.mark.timeout(180)


async def ask(
    stage: Stage, *points: str, allow_many: bool = True, allow_last: bool = False
) -> ActionRef:
    """Ask for a retirement exactly as its preview showed it."""
    request = RetireRequest(points=points, allow_many=allow_many, allow_last=allow_last)
    preview = await stage.engine.restore_points.preview_retire(CLUSTER, request)
    assert preview.blockers == ()
    return await stage.engine.actions.retire(CLUSTER, request, plan_hash=preview.hash)


async def made(stage: Stage) -> PointView:
    """A new local point; "the newest" would be either of two of one second."""
    point = (await stage.back_up()).point
    return await stage.engine.restore_points.show(CLUSTER, point)


async def retired(stage: Stage, *points: str, allow_last: bool = False) -> ActionView:
    """Retire points and see it complete."""
    row = await stage.finished(await ask(stage, *points, allow_last=allow_last))
    assert (row.outcome, row.error) == ("Complete", None), row
    return row


async def handles(stage: Stage, point: PointView) -> list[str]:
    """The snapshots that a local point's content names."""
    async with stage.client() as client:
        raw = await client.get(RESTORE_POINT_CONTENTS, point.name)
    return [volume["snapshot"]["handle"] for volume in raw["status"]["volumes"]]


def folder_of(stage: Stage, handle: str) -> Path:
    """Where the sandbox keeps a snapshot."""
    return stage.folder / "sandbox" / "snapshots" / handle


async def gone(client: KubeClient, kind: Kind, name: str, namespace: str = "") -> None:
    """Wait until an object is gone."""
    with contextlib.suppress(NotFound):
        await client.wait_for(kind, name, namespace, lambda _raw: False, timeout_s=60)


async def packs(stage: Stage) -> set[str]:
    """The names of all object packs in the cluster."""
    async with stage.client() as client:
        there = await client.list(SECRETS, NAMESPACE, labels=f"{LABEL_ROLE}=pack")
    return {raw["metadata"]["name"] for raw in there}


async def test_a_local_point_goes_whole_and_the_others_stay(stage: Stage) -> None:
    await stage.views(open_page=True)
    first, second = await made(stage), await made(stage)
    gone, kept = await handles(stage, first), await handles(stage, second)
    assert all(folder_of(stage, handle).is_dir() for handle in (*gone, *kept))
    shared = await packs(stage)

    row = await retired(stage, first.name)

    assert [p.name for p in await stage.points()] == [second.name]
    assert not any(folder_of(stage, handle).exists() for handle in gone)
    assert all(folder_of(stage, handle).is_dir() for handle in kept)
    told = {(one.kind, one.id, one.bytes) for one in row.freed}
    assert told == {
        ("Manifest", first.id, "now"),
        *(("VolumeSnapshot", handle, "now") for handle in gone),
    }
    async with stage.client() as client:
        assert await client.find(RESTORE_POINTS, first.name, "visits") is None
        named = {raw["status"]["snapshotHandle"] for raw in await client.list(SNAPSHOT_CONTENTS)}
        assert named == set(kept)
        assert len(await client.list(SNAPSHOTS, WORKERS_NAMESPACE)) == len(kept)
        # objects that both points share are still there
        manifest = await local.find_manifest(client, second.id, 1)
        assert manifest is not None
        assert await local.packs_present(client, manifest)
    assert {local.pack_name(digest) for digest in manifest.packs} <= shared
    restored = await stage.restore(second.name, target="again")
    assert restored.outcome == "Complete"
    assert await stage.views("again") == 1
    await nothing_is_left(stage)


async def test_the_last_point_takes_its_packs_along(stage: Stage) -> None:
    await stage.back_up()
    point = await stage.point("local")
    assert await packs(stage)
    await retired(stage, point.name, allow_last=True)
    assert await stage.points() == ()
    async with stage.client() as client:
        for name in await packs(stage):  # the collector takes a moment
            await gone(client, SECRETS, name, NAMESPACE)
        assert await client.list(SECRETS, NAMESPACE, labels=f"{LABEL_ROLE}=manifest") == []
    # nothing brings it back
    await stage.engine.locations.check(CLUSTER, LOCATION)
    assert await stage.points() == ()


async def test_an_exported_point_is_removed_and_its_local_copy_stays(stage: Stage) -> None:
    await stage.views(open_page=True)
    await stage.back_up(export=True)
    exported = await stage.point("exported")
    point = (await stage.back_up(export=True)).point
    newer = next(p for p in await stage.points() if (p.id, p.kind) == (point, "exported"))
    async with stage.client() as client:
        raw = await client.get(RESTORE_POINT_CONTENTS, exported.name)
    snapshots = {raw["status"]["objectsSnapshot"]}
    snapshots |= {volume["repositorySnapshot"] for volume in raw["status"]["volumes"]}
    files = {path.name for path in stage.store.glob("*/visits/snapshots/*")}
    assert snapshots <= files

    row = await retired(stage, exported.name)

    assert {path.name for path in stage.store.glob("*/visits/snapshots/*")} == files - snapshots
    assert {one.id for one in row.freed} == snapshots
    assert {one.bytes for one in row.freed} == {"prune"}
    assert sorted(p.kind for p in await stage.points()) == ["exported", "local", "local"]
    await stage.engine.locations.check(CLUSTER, LOCATION)  # and a look does not find it again
    assert exported.name not in {p.name for p in await stage.points()}
    check_every_repository(stage)
    assert (await stage.restore(newer.name, target="again")).outcome == "Complete"
    assert await stage.views("again") == 1
    await nothing_is_left(stage)


async def test_a_snapshot_that_another_content_names_is_kept(stage: Stage) -> None:
    """Two contents on one handle: with Delete the other one's data would be gone under it."""
    await stage.back_up()
    point = await stage.point("local")
    handle, freed = await handles(stage, point)
    async with stage.client() as client:
        own = next(
            raw
            for raw in await client.list(SNAPSHOT_CONTENTS)
            if raw["status"]["snapshotHandle"] == handle
        )
        other = {
            "apiVersion": own["apiVersion"],
            "kind": own["kind"],
            "metadata": {"name": "somebody-elses"},
            "spec": {
                **{k: v for k, v in own["spec"].items() if k != "volumeSnapshotRef"},
                "volumeSnapshotRef": {"name": "theirs", "namespace": "visits"},
            },
        }
        await client.create(SNAPSHOT_CONTENTS, other)
        row = await retired(stage, point.name, allow_last=True)
        told = {(one.id, one.bytes) for one in row.freed if one.kind == "VolumeSnapshot"}
        assert told == {(handle, "kept"), (freed, "now")}
        assert not folder_of(stage, freed).exists()
        assert folder_of(stage, handle).is_dir()
        left = await client.list(SNAPSHOT_CONTENTS)
        assert [raw["metadata"]["name"] for raw in left] == ["somebody-elses"]


async def test_a_content_on_its_way_out_is_waited_for(stage: Stage) -> None:
    """A real cluster takes a moment to let the cut's own content go after an adoption."""
    await stage.back_up()
    point = await stage.point("local")
    handle, _ = await handles(stage, point)
    async with stage.client() as client:
        own = next(
            raw
            for raw in await client.list(SNAPSHOT_CONTENTS)
            if raw["status"]["snapshotHandle"] == handle
        )
        going = {
            "apiVersion": own["apiVersion"],
            "kind": own["kind"],
            "metadata": {"name": "going", "finalizers": ["kubehaven.test/held"]},
            "spec": {
                **{k: v for k, v in own["spec"].items() if k != "volumeSnapshotRef"},
                "volumeSnapshotRef": {"name": "gone", "namespace": "visits"},
            },
        }
        await client.create(SNAPSHOT_CONTENTS, going)
        await client.delete(SNAPSHOT_CONTENTS, "going")
        ref = await ask(stage, point.name, allow_last=True)
        await stage.until(
            lambda rows: next(
                (
                    row
                    for row in rows
                    if row.uid == ref.uid
                    and any(s.name == "free" and s.state == "running" for s in row.steps)
                ),
                None,
            )
        )
        assert folder_of(stage, handle).is_dir()
        await client.patch(SNAPSHOT_CONTENTS, "going", merge={"metadata": {"finalizers": None}})
    row = await stage.finished(ref)
    assert row.outcome == "Complete"
    assert {one.bytes for one in row.freed} == {"now"}
    assert not folder_of(stage, handle).exists()


async def test_a_snapshot_whose_content_was_deleted_by_hand_is_freed_too(stage: Stage) -> None:
    await stage.back_up()
    point = await stage.point("local")
    snapshots = await handles(stage, point)
    async with stage.client() as client:
        for own in await client.list(SNAPSHOT_CONTENTS):
            name = own["metadata"]["name"]
            await client.delete(SNAPSHOTS, name, WORKERS_NAMESPACE)
            await client.delete(SNAPSHOT_CONTENTS, name)
            await gone(client, SNAPSHOT_CONTENTS, name)
    assert all(folder_of(stage, handle).is_dir() for handle in snapshots)
    await retired(stage, point.name, allow_last=True)
    assert not any(folder_of(stage, handle).exists() for handle in snapshots)


async def refused(stage: Stage, *points: str, **allowed: bool) -> set[str]:
    """Why a retirement is refused: the preview's reasons, which are the action's too."""
    request = RetireRequest(points=points, **allowed)
    preview = await stage.engine.restore_points.preview_retire(CLUSTER, request)
    assert preview.blockers
    with pytest.raises(PlanError):
        await stage.engine.actions.retire(CLUSTER, request, plan_hash=preview.hash)
    ref = await stage.engine.actions.retire(CLUSTER, request)
    row = await stage.finished(ref)
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "retire.blocked"
    assert row.freed == ()
    codes = {failure.code for failure in row.failures}
    assert codes == {blocker.code for blocker in preview.blockers}
    return codes


async def test_it_stops_and_asks_before_many_or_the_last_would_go(stage: Stage) -> None:
    await stage.back_up()
    point = await stage.point("local")
    assert await refused(stage, point.name) == {"retire.many", "retire.last"}
    assert await refused(stage, point.name, allow_many=True) == {"retire.last"}
    await stage.back_up()
    assert await refused(stage, point.name) == {"retire.many"}
    assert all(p.state == "Ready" for p in await stage.points())
    assert len(await stage.points()) == 2


async def test_nothing_is_retired_from_a_read_only_location(stage: Stage) -> None:
    await stage.back_up(export=True)
    exported = await stage.point("exported")
    async with stage.client() as client:
        await client.patch(LOCATIONS, LOCATION, NAMESPACE, merge={"spec": {"readOnly": True}})
    assert await refused(stage, exported.name) == {"retire.read_only"}
    assert (await stage.point("exported")).state == "Ready"


async def test_nothing_is_retired_while_our_namespace_is_being_deleted(stage: Stage) -> None:
    await stage.back_up()
    point = await stage.point("local")
    async with stage.client() as client:
        held = {"metadata": {"finalizers": ["kubehaven.test/held"]}}
        await client.patch(NAMESPACES, WORKERS_NAMESPACE, merge=held)
        await client.delete(NAMESPACES, WORKERS_NAMESPACE)
        codes = await refused(stage, point.name, allow_many=True, allow_last=True)
        assert codes == {"retire.terminating"}
        free = {"metadata": {"finalizers": None}}
        await client.patch(NAMESPACES, WORKERS_NAMESPACE, merge=free)


async def test_anothers_repository_is_refused_by_the_worker(stage: Stage) -> None:
    """The content may lie about whose the point is; the repository's own marker doesn't."""
    await stage.back_up(export=True)
    exported = await stage.point("exported")
    (marker,) = stage.store.glob("*/visits/kubehaven.json")
    text = marker.read_text()
    uid = marker.parent.parent.name
    marker.write_text(text.replace(uid, "0" * len(uid)))
    row = await stage.finished(await ask(stage, exported.name))
    assert row.outcome == "Failed"
    assert row.error is not None
    assert row.error.code == "retire.other_owner"
    marker.write_text(text)
    # nothing was removed, but it had begun: it says so, and can be retired again
    begun = await stage.point("exported")
    assert begun.state == "Damaged"
    assert "retire it again" in begun.reason
    await retired(stage, exported.name)
    await nothing_is_left(stage)


async def test_a_retirement_outside_our_namespace_is_refused(stage: Stage) -> None:
    await stage.back_up()
    point = await stage.point("local")
    async with stage.client() as client:
        raw = await client.get(RESTORE_POINT_CONTENTS, point.name)
        body: RawObject = {
            "apiVersion": raw["apiVersion"],
            "kind": "RetireAction",
            "metadata": {"name": "attack", "namespace": "visits"},
            "spec": {
                "subject": {"kind": "Namespace", "name": "visits", "namespace": "visits"},
                "points": [
                    {
                        "name": point.name,
                        "uid": raw["metadata"]["uid"],
                        "id": point.id,
                        "kind": "local",
                    }
                ],
                "allowMany": True,
                "allowLast": True,
            },
        }
        await client.create(RETIRE_ACTIONS, body)
        done = await client.wait_for(
            RETIRE_ACTIONS,
            "attack",
            "visits",
            lambda raw: raw.get("status", {}).get("phase") == "Finished",
            timeout_s=30,
        )
    assert done["status"]["error"]["code"] == "action.not_here"
    assert (await stage.point("local")).state == "Ready"


async def test_a_point_under_retirement_is_not_restored(stage: Stage) -> None:
    await stage.back_up()
    point = await stage.point("local")
    async with stage.client() as client:
        raw = await client.get(RESTORE_POINT_CONTENTS, point.name)
        raw["status"] |= {"state": "Retiring", "reason": "RetireAction kubehaven/x frees it"}
        await client.replace(RESTORE_POINT_CONTENTS, raw, subresource="status")
    with pytest.raises(EngineError) as caught:
        await stage.restore(point.name, target="again")
    assert caught.value.code == "point.retiring"


async def test_a_lost_repository_is_told_and_nothing_else_is_touched(stage: Stage) -> None:
    await stage.back_up(export=True)
    exported, kept = await stage.point("exported"), await stage.point("local")
    (marker,) = stage.store.glob("*/visits/kubehaven.json")
    shutil.move(marker.parent, stage.folder / "away")
    row = await stage.finished(await ask(stage, exported.name))
    assert row.outcome == "Failed"
    shutil.move(stage.folder / "away", marker.parent)
    assert (await stage.point("local")).state == kept.state
    await retired(stage, exported.name)
    assert [p.name for p in await stage.points()] == [kept.name]
