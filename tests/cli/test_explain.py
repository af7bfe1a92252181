"""Actions and plans in words."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from console.cli.explain import (
    explain_action,
    explain_prepare,
    explain_restore,
    step_line,
)
from console.engine import (
    ActionView,
    Blocker,
    Failure,
    Fault,
    PlannedObject,
    PointVolumeView,
    PreparePlan,
    RestorePreview,
    Step,
    VolumeProgress,
)

NOW = datetime(2026, 1, 2, 3, 10, 0, tzinfo=UTC)

QUEUED = ActionView(
    cluster="prod",
    kind="ExportAction",
    namespace="kubehaven",
    name="export-shop-x7",
    uid="u1",
    application="shop",
    location="nas",
    phase="Queued",
    reason="NoSlot",
    created_at="2026-01-02T03:07:00Z",
    queued_at="2026-01-02T03:07:00Z",
    queue_position=2,
    held_by=("backup of wiki", "backup of \x1b[2Jblog"),
    driver="cli:alice@host/1",
    requested_by="alice",
)


def test_a_queued_action_says_its_place_and_who_holds_the_slot() -> None:
    assert explain_action(QUEUED, NOW) == [
        "export of shop to nas: Queued",
        "  asked for 3 min ago",
        "  has been waiting for 3 min",
        "  place 2 in the queue",
        "  its slot is held by backup of wiki, backup of \\x1b[2Jblog",
        "  waits because all slots are taken (NoSlot)",
        "  asked for by alice",
        "  driven by cli:alice@host/1",
    ]


def test_a_failed_action_says_each_step_and_what_to_do() -> None:
    failed = msgspec.structs.replace(
        QUEUED,
        phase="Finished",
        outcome="Failed",
        reason="",
        queue_position=0,
        held_by=(),
        requested_by="",
        started_at="2026-01-02T03:08:00Z",
        ended_at="2026-01-02T03:09:30Z",
        steps=(
            Step(
                name="clone",
                state="done",
                startTime="2026-01-02T03:08:00Z",
                endTime="2026-01-02T03:08:02Z",
                detail="2 volumes",
            ),
            Step(
                name="copy",
                state="failed",
                startTime="2026-01-02T03:08:02Z",
                endTime="2026-01-02T03:09:30Z",
                attempt=2,
            ),
            Step(name="objects"),
        ),
        volumes=(
            VolumeProgress(
                pvc="data",
                bytesTotal=2048,
                bytesDone=1024,
                bytesStored=512,
                filesDone=1200,
                state="failed",
            ),
        ),
        failures=(Failure(code="file.denied", message="no", object="/a", hint="ask"),),
        error=Fault(code="worker.failed", message="the disk is full", cause="ENOSPC", hint="room"),
    )
    assert explain_action(failed, NOW) == [
        "export of shop to nas: Finished, Failed",
        "  asked for 3 min ago",
        "  waited 1 min",
        "  ran for 1 min 30 s",
        "steps:",
        "  ✓ clone  2 s  2 volumes",
        "  ✖ copy (attempt 2)  1 min 28 s",
        "    objects",
        "volumes:",
        "  data  1.0 KiB of 2.0 KiB, 512 B stored, 1,200 files, failed",
        "error: the disk is full [worker.failed]",
        "  because ENOSPC",
        "  → room",
        "1 not done:",
        "  ✖ /a: no [file.denied]",
        "    → ask",
    ]


def test_a_running_step_shows_how_long_it_has_been_running() -> None:
    step = Step(name="cut", state="running", startTime="2026-01-02T03:09:48Z")
    assert step_line(step, NOW) == "… cut  12 s"


def test_a_restore_shows_what_stands_in_the_way_before_what_it_does() -> None:
    preview = RestorePreview(
        cluster="prod",
        point="p1",
        target="shop",
        objects=(
            PlannedObject(verb="create", resource="namespaces", namespace="", name="shop"),
            PlannedObject(
                verb="create",
                resource="services",
                namespace="shop",
                name="web",
                changes=("clusterIP removed", "nodePort kept"),
            ),
            PlannedObject(
                verb="skip",
                resource="pods",
                namespace="shop",
                name="web-1",
                reason="its Deployment makes it",
            ),
        ),
        volumes=(PointVolumeView(pvc="data", size=1024**3, logical_size=2048),),
        blockers=(Blocker(code="class.missing", message="no class fast", object="data", hint="h"),),
        warnings=(Blocker(code="w", message="old"),),
    )
    assert explain_restore(preview) == [
        "restore p1 into namespace shop",
        "what stands in the way:",
        "  ✖ data: no class fast [class.missing]",
        "    → h",
        "worth knowing:",
        "  ▲ old [w]",
        "in this order:",
        "  create  namespaces shop",
        "  create  services shop/web  clusterIP removed; nodePort kept",
        "left out:",
        "  skip    pods shop/web-1  its Deployment makes it",
        "volumes:",
        "  data  1.0 GiB, 2.0 KiB of data",
    ]


def test_prepare_shows_what_it_writes_and_counts_what_stays() -> None:
    plan = PreparePlan(
        cluster="prod",
        objects=(
            PlannedObject(verb="create", resource="namespaces", namespace="", name="kubehaven"),
            PlannedObject(
                verb="keep", resource="namespaces", namespace="", name="kubehaven-workers"
            ),
        ),
        hash="h",
    )
    assert explain_prepare(plan) == [
        "prepare prod: 1 objects to write, 1 stay",
        "would be written:",
        "  create  namespaces kubehaven",
    ]
