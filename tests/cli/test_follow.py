"""Following actions by events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from console.cli.follow import Follower, Track
from console.engine import (
    ActionsChanged,
    ActionsListed,
    ActionView,
    EngineError,
    Event,
    Notice,
    Step,
    VolumeProgress,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RUNNING = ActionView(
    cluster="prod",
    kind="BackupAction",
    namespace="shop",
    name="b1",
    uid="u1",
    application="shop",
    phase="Running",
    driver="cli:a@h/1",
)
DONE = msgspec.structs.replace(RUNNING, phase="Finished", outcome="Complete", point="p1")
EXPORTED = msgspec.structs.replace(DONE, kind="ExportAction", name="e1", uid="u2")
OTHER = msgspec.structs.replace(DONE, name="b0", uid="u0")


async def _stream(*events: Event) -> AsyncIterator[Event]:
    for event in events:
        yield event


class _Seen:
    def __init__(self, *events: Event, all_now: tuple[ActionView, ...] = ()) -> None:
        self.changes: list[ActionView] = []
        self.notices: list[Notice] = []
        self.relists = 0
        self._all_now = all_now
        self.follower = Follower(
            _stream(*events),
            "prod",
            relist=self._relist,
            on_change=self.changes.append,
            on_notice=self.notices.append,
        )

    async def _relist(self) -> tuple[ActionView, ...]:
        self.relists += 1
        return self._all_now


def _is_b1(row: ActionView) -> bool:
    return row.name == "b1"


async def test_it_waits_for_the_action_that_is_wanted_and_shows_what_it_does() -> None:
    notice = Notice(level="info", code="c", message="m")
    seen = _Seen(
        ActionsListed(cluster="prod", revision=1, rows=(OTHER,)),
        ActionsListed(cluster="test", revision=1, rows=(DONE,)),
        notice,
        ActionsChanged(cluster="prod", revision=2, upserts=(RUNNING,)),
        ActionsChanged(cluster="prod", revision=3, upserts=(DONE, OTHER)),
    )
    assert await seen.follower.finished(_is_b1) == DONE
    assert seen.changes == [RUNNING, DONE]
    assert seen.notices == [notice]
    assert not seen.relists


async def test_an_export_that_has_ended_before_we_wait_for_it_is_found() -> None:
    seen = _Seen(ActionsListed(cluster="prod", revision=1, rows=(DONE, EXPORTED)))
    assert await seen.follower.finished(_is_b1) == DONE
    assert await seen.follower.finished(lambda row: row.kind == "ExportAction") == EXPORTED


async def test_a_gap_in_the_changes_makes_it_ask_again() -> None:
    seen = _Seen(
        ActionsListed(cluster="prod", revision=1, rows=(RUNNING,)),
        ActionsChanged(cluster="prod", revision=7, upserts=(OTHER,)),
        all_now=(DONE, OTHER),
    )
    assert await seen.follower.finished(_is_b1) == DONE
    assert seen.relists == 1


async def test_a_deleted_action_is_an_error_and_not_a_long_wait() -> None:
    seen = _Seen(
        ActionsListed(cluster="prod", revision=1, rows=(RUNNING,)),
        ActionsChanged(cluster="prod", revision=2, removed=(RUNNING.key,)),
    )
    with pytest.raises(EngineError, match="b1 was deleted") as caught:
        await seen.follower.finished(_is_b1)
    assert caught.value.code == "action.gone"


async def test_the_end_of_the_events_is_an_error() -> None:
    seen = _Seen(ActionsListed(cluster="prod", revision=1, rows=(RUNNING,)))
    with pytest.raises(EngineError, match="stopped"):
        await seen.follower.finished(_is_b1)


def test_without_a_terminal_each_finished_step_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    track = Track()
    queued = msgspec.structs.replace(
        RUNNING, phase="Queued", queue_position=1, held_by=("backup of wiki",)
    )
    cut = Step(name="cut", state="done", detail="2 volumes")
    copying = msgspec.structs.replace(
        RUNNING,
        steps=(cut, Step(name="adopt", state="running")),
        volumes=(VolumeProgress(pvc="data", bytesTotal=10, bytesDone=5),),
    )
    for row in (queued, queued, copying, copying, DONE):
        track.show(row)
    track.close()
    assert capsys.readouterr().err == (
        "backup: queued; place 1 in the queue; its slot is held by backup of wiki\n"
        "backup: ✓ cut  2 volumes\n"
    )
