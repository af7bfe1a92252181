"""What stands in the way of a retirement, and what a person has to say yes to."""

from __future__ import annotations

import msgspec
import pytest

from console.engine.facade import RetireRequest
from console.engine.model.intent import FileStoreSpec, LocationSpec
from console.engine.model.points import (
    Application,
    PointState,
    RestorePointContent,
    RestorePointContentSpec,
    RestorePointContentStatus,
    SnapshotHandle,
    VolumeArtifact,
)
from console.engine.model.record import Meta
from console.engine.plan.retire_plan import RetireFacts, plan_retire, to_preview

NAS = LocationSpec(type="FileStore", fileStore=FileStoreSpec(path="/nas"))


def content(
    number: int,
    *,
    location: str = "",
    state: PointState = "Ready",
    application: str = "shop",
    cluster: str = "here",
) -> RestorePointContent:
    """A point's local copy, or its copy in a location."""
    name = f"{application}-{number}{location and f'-{location}'}"
    handle = SnapshotHandle(handle=f"h-{number}", driver="csi.test", name=f"kh-{number}")
    return RestorePointContent(
        metadata=Meta(name=name, uid=f"uid-{name}"),
        spec=RestorePointContentSpec(
            id=f"{application}-{number}",
            kind="exported" if location else "local",
            application=Application(name=application, namespace=application),
            clusterUID=cluster,
            location=location,
        ),
        status=RestorePointContentStatus(
            state=state,
            objectsSnapshot="o" * 64 if location else "",
            volumes=(
                VolumeArtifact(
                    pvc="data",
                    snapshot=None if location else handle,
                    repositorySnapshot=f"r-{number}" if location else "",
                ),
            ),
        ),
    )


def facts(*contents: RestorePointContent) -> RetireFacts:
    """A cluster that is as it should be."""
    return RetireFacts(contents=contents, cluster_uid="here", locations={"nas": NAS})


def codes(
    chosen: list[RestorePointContent],
    known: RetireFacts,
    *,
    allow_many: bool = True,
    allow_last: bool = True,
) -> list[str]:
    """The codes of what stands in the way."""
    request = RetireRequest(points=(), allow_many=allow_many, allow_last=allow_last)
    return [blocker.code for blocker in plan_retire(chosen, known, request).blockers]


TEN = [content(number) for number in range(10)]


@pytest.mark.parametrize(("gone", "asked"), [(1, []), (2, []), (3, ["retire.many"])])
def test_more_than_a_fifth_is_asked_for(gone: int, asked: list[str]) -> None:
    assert codes(TEN[:gone], facts(*TEN), allow_many=False) == asked
    assert codes(TEN[:gone], facts(*TEN)) == []


def test_the_last_good_point_is_asked_for() -> None:
    known = facts(content(1), content(2, state="Damaged"), content(3, state="Building"))
    assert codes([content(1)], known, allow_last=False) == ["retire.last"]
    assert codes([content(2, state="Damaged")], known, allow_last=False, allow_many=False) == []


def test_a_point_is_gone_when_its_last_copy_is() -> None:
    local, copy = content(1), content(1, location="nas")
    assert codes([local], facts(local, copy), allow_many=False, allow_last=False) == []
    both = codes([local, copy], facts(local, copy), allow_many=False, allow_last=False)
    assert both == ["retire.last", "retire.many"]


def test_what_another_action_is_about_to_free_does_not_count_as_left() -> None:
    """Two retirements that each leave the other's point would leave none."""
    mine, theirs = content(1, state="Retiring"), content(2, state="Retiring")
    assert codes([mine], facts(mine, theirs), allow_last=False) == ["retire.last"]


def test_a_damaged_point_that_was_marked_is_not_missed() -> None:
    marked = content(1, state="Retiring")
    known = msgspec.structs.replace(facts(marked, content(2)), damaged=("shop-1",))
    assert codes([marked], known, allow_many=False, allow_last=False) == []


def test_points_of_another_application_do_not_count() -> None:
    others = [content(n, application="other") for n in range(10)]
    asked = codes([content(1)], facts(content(1), *others), allow_last=False)
    assert asked == ["retire.last"]
    assert "retire.applications" in codes([content(1), others[0]], facts(content(1), *others))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"skew_s": 61.0}, "clock.skew"),
        ({"skew_s": -61.0}, "clock.skew"),
        ({"terminating": ("Namespace kubehaven",)}, "retire.terminating"),
        ({"in_use": {"shop-1-nas": "ExportAction kubehaven/e"}}, "point.in_use"),
        ({"cluster_uid": "there"}, "retire.other_owner"),
        ({"locations": {}}, "location.missing"),
        (
            {"locations": {"nas": msgspec.structs.replace(NAS, readOnly=True)}},
            "retire.read_only",
        ),
    ],
)
def test_each_refusal_has_its_reason(change: dict[str, object], code: str) -> None:
    exported = content(1, location="nas")
    known = facts(exported, content(2))
    assert codes([exported], known) == []
    assert codes([exported], msgspec.structs.replace(known, **change)) == [code]


def test_clocks_may_be_a_minute_apart() -> None:
    assert codes([TEN[0]], msgspec.structs.replace(facts(*TEN), skew_s=60.0)) == []


def test_a_building_content_is_no_point() -> None:
    building = content(1, state="Building")
    assert codes([building], facts(building, content(2))) == ["retire.building"]


def test_everything_is_named_by_its_id() -> None:
    local, copy = content(1), content(2, location="nas")
    known = msgspec.structs.replace(facts(*TEN, copy), also_named_by={"h-1": ("theirs",)})
    plan = plan_retire([copy, local], known, RetireRequest(points=()))
    shown = [(item.what, item.id, item.bytes) for item in to_preview(plan, cluster="c").items]
    assert shown == [
        ("Manifest", "shop-1", "now"),
        ("VolumeSnapshot", "h-1", "kept"),
        ("RepositorySnapshot", "o" * 64, "prune"),
        ("RepositorySnapshot", "r-2", "prune"),
    ]
    assert {w.code for w in plan.warnings} == {"retire.kept", "retire.prune_later"}
    again = plan_retire([local, copy], known, RetireRequest(points=(), allow_many=True))
    assert again.hash == plan.hash
    assert plan_retire([local], known, RetireRequest(points=())).hash != plan.hash
