"""Presenters without any widget: fake views, a fake person, the demo engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.engine import EngineError, LocationView, PointView, RestoreRequest
from console.ui.bridge import EventPump, FaultSink, TaskOwner
from console.ui.messages import Problem, plain
from console.ui.presenters.activity import ActivityPresenter, problems_of, waiting_text
from console.ui.presenters.applications import ApplicationsPresenter
from console.ui.presenters.clusters import ClustersPresenter, LocationsPresenter
from console.ui.presenters.desk import BackUpAnswer, BackUpQuestion, Confirmation, Desk
from console.ui.presenters.frame import FramePresenter, FrameText
from console.ui.presenters.points import PointsPresenter
from console.ui.presenters.restore import PreviewText, RestorePresenter
from console.ui.state import Live
from tests.fakes.data import GZ, HK
from tests.fakes.engine import DemoEngine
from tests.ui.stage import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class FakePerson:
    """Answers every question as told."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.back_up_answer: BackUpAnswer | None = BackUpAnswer(export_to="hk-s3")
        self.yes = True
        self.location = "hk-s3"
        self.chosen_folder = "/tmp/out"  # noqa: S108  # only passed through

    async def back_up(self, question: BackUpQuestion) -> BackUpAnswer | None:
        self.asked.append(question)
        return self.back_up_answer

    async def export(self, point: PointView, locations: tuple[LocationView, ...]) -> str:
        self.asked.append(point)
        return self.location

    async def restore(self, points: tuple[PointView, ...]) -> bool:
        self.asked.append(points)
        return self.yes

    async def add_cluster(self) -> str:
        self.asked.append("add")
        return "lab"

    async def prepare(self, cluster: str) -> bool:
        self.asked.append(f"prepare {cluster}")
        return True

    async def confirm(self, question: Confirmation) -> bool:
        self.asked.append(question)
        return self.yes

    async def folder(self, title: str) -> str:
        return self.chosen_folder


class FakeView:
    """Keeps the last of everything that a presenter shows."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith(("show_", "finish")):
            raise AttributeError(name)

        def keep(*values: object, **named: object) -> None:
            self.shown[name] = values[0] if values else named or True
            if len(values) > 1:
                self.shown[f"{name} more"] = values[1:]

        return keep


class World:
    """A desk on the demo engine."""

    def __init__(self, engine: DemoEngine) -> None:
        self.engine = engine
        self.live = Live()
        self.live.scope = HK
        self.faults = FaultSink()
        self.problems: list[Problem] = []
        self.faults.show = self.problems.append
        self.person = FakePerson()
        self.gone: list[str] = []
        self.desk = Desk(
            engine, self.live, self.faults, self.person, lambda page, text: self.gone.append(page)
        )
        self.tasks = TaskOwner("world", self.faults)
        self.view: Any = FakeView()

    async def __aenter__(self) -> World:
        self.tasks.start(EventPump(self.engine, self.live, self.tasks).run(), name="events")
        await until(lambda: self.live.known("locations") or not self.engine.all_clusters())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tasks.aclose()
        await self.engine.aclose()

    def accepted(self, rows: Sequence[Any]) -> list[str]:
        accept = self.view.shown["show_filter"]
        return sorted(row.name for row in rows if accept(row))


async def test_applications_say_what_needs_you_and_the_figures_add_up() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = ApplicationsPresenter(world.desk, world.view)
        page.show()
        text = plain(world.view.shown["show_sentence"])
        assert text == ("9 of 14 applications are protected. 1 failing, 2 running, 2 unprotected.")
        assert len(world.view.shown["show_rows"]) == 15
        page.filter("", "")
        assert "legacy-forum" not in world.accepted(world.live.applications())
        page.filter("", "removed")
        assert world.accepted(world.live.applications()) == ["legacy-forum"]
        page.filter(" WIK", "")
        assert world.accepted(world.live.applications()) == ["wiki"]
        await page.aclose()


async def test_a_backup_asks_first_and_then_leads_to_activity() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = ApplicationsPresenter(world.desk, world.view)
        page.show()
        page.back_up()  # nothing is chosen: nothing happens
        page.select(f"{HK}/wiki")
        detail = world.view.shown["show_detail"]
        assert (detail.row.name, detail.back_up_blocked) == ("wiki", "")
        page.back_up()
        await until(lambda: world.gone)
        assert world.engine.calls == [f"actions.back_up {HK} wiki hk-s3"]
        question = world.person.asked[0]
        assert isinstance(question, BackUpQuestion)
        assert [one.name for one in question.locations] == ["hk-s3", "cos-guangzhou", "nfs-lab"]
        world.person.back_up_answer = None
        page.back_up()
        await until(lambda: len(world.person.asked) == 2)
        assert len(world.engine.calls) == 1
        await page.aclose()


async def test_a_refused_backup_becomes_a_problem_in_words() -> None:
    async with World(DemoEngine(speed=0)) as world:
        world.engine.fail["actions.back_up"] = EngineError(
            "backupactions is forbidden", subject="wiki", code="cluster.forbidden"
        )
        page = ApplicationsPresenter(world.desk, world.view)
        page.show()
        page.select(f"{HK}/wiki")
        page.back_up()
        await until(lambda: world.problems)
        problem = world.problems[0]
        assert problem.title == "This account may not do that"
        assert problem.subject == "wiki"
        assert problem.hint
        assert world.gone == []
        await page.aclose()


async def test_a_silent_cluster_switches_actions_off_and_says_since_when() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page, frame_view = ApplicationsPresenter(world.desk, world.view), FakeView()
        page.show()
        page.select(f"{HK}/wiki")
        frame = FramePresenter(world.desk, frame_view)
        frame.show()
        row = world.engine.cluster(HK)
        silent = msgspec.structs.replace(row, health="stale", as_of="2026-11-24T05:12:40Z")
        world.engine.put_cluster(silent)
        await until(lambda: world.view.shown["show_detail"].back_up_blocked)
        assert "were protected at" in plain(world.view.shown["show_sentence"])
        text: FrameText = frame_view.shown["show_frame"]
        assert text.stale
        assert text.running == -1
        assert text.silence is not None
        assert text.silence.title.startswith(f"{HK} has not answered for ")
        world.engine.put_cluster(row)
        await until(lambda: not world.view.shown["show_detail"].back_up_blocked)
        await page.aclose()
        await frame.aclose()


async def test_a_removed_application_can_be_restored_but_not_backed_up() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = ApplicationsPresenter(world.desk, world.view)
        page.show()
        page.select(f"{HK}/legacy-forum")
        detail = world.view.shown["show_detail"]
        assert detail.back_up_blocked
        assert not detail.restore_blocked
        page.restore()
        await until(lambda: world.gone == ["activity"])
        points = world.person.asked[0]
        assert isinstance(points, tuple)
        assert {p.application for p in points} == {"legacy-forum"}
        await page.aclose()


async def test_points_can_be_exported_browsed_and_saved() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = PointsPresenter(world.desk, world.view)
        page.show()
        points = world.live.points_of(HK, "wiki")
        local = next(p for p in points if p.kind == "local")
        exported = next(p for p in points if p.kind == "exported")
        page.select(local.key)
        detail = world.view.shown["show_detail"]
        assert (detail.can_browse, len(detail.copies)) == (False, 1)
        page.export()
        await until(lambda: world.engine.calls)
        assert world.engine.calls == [f"actions.export {HK} {local.name} hk-s3"]
        page.select(exported.key)
        page.browse("")
        await until(lambda: "show_entries" in world.view.shown)
        assert [e.name for e in world.view.shown["show_entries more"][0]] == ["objects", "volumes"]
        page.save("volumes/pgdata/VERSION")
        await until(lambda: "show_saved" in world.view.shown)
        world.engine.fail["restore_points.browse"] = EngineError("gone", code="storage.missing")
        page.browse("volumes")
        await until(lambda: "show_browse_problem" in world.view.shown)
        page.filter("wiki", "local")
        assert len(world.accepted(world.live.points())) == 2
        await page.aclose()


async def test_activity_shows_rates_time_left_and_who_holds_the_slot() -> None:
    async with World(DemoEngine(speed=0)) as world:
        clock = [0.0]
        page = ActivityPresenter(world.desk, world.view, lambda: clock[0])
        page.show()
        runs = {run.key: run for run in world.view.shown["show_runs"]}
        assert list(runs) == [f"{HK}/uid-1", f"{HK}/uid-2", f"{HK}/uid-3"]
        assert runs[f"{HK}/uid-3"].detail == (
            "Waiting 3 min for a slot, held by billing, nextcloud."
        )
        before = runs[f"{HK}/uid-1"]
        assert [s.state for s in before.steps] == ["done", "running", "pending", "pending"]
        clock[0] = 2.0
        row = next(r for r in world.live.actions() if r.uid == "uid-1")
        world.engine.actions.advance(row, 1.0)
        await until(lambda: world.view.shown["show_runs"][0].volumes[1].rate)
        volume = world.view.shown["show_runs"][0].volumes[1]
        assert (volume.name, volume.rate) == ("pgdata", "30 MiB/s")
        assert volume.left
        page.cancel(f"{HK}/uid-1")
        await until(lambda: world.engine.calls)
        assert world.engine.calls[0].startswith(f"actions.cancel {HK} ExportAction billing")
        await until(lambda: world.view.shown["show_runs"][0].detail.startswith("Cancelling"))
        await page.aclose()


async def test_a_failed_action_opens_to_object_cause_and_next_step() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = ActivityPresenter(world.desk, world.view)
        page.show()
        page.select(f"{HK}/uid-4")
        detail = world.view.shown["show_detail"]
        assert detail.title == "Backup registry"
        first, second = detail.problems
        assert "no VolumeSnapshotClass" in first.title
        assert first.hint
        assert second.subject == "persistentvolumeclaims/registry/registry-data"
        assert [s.state for s in detail.steps] == ["done", "failed", "pending", "pending"]
        partial = next(r for r in world.live.actions() if r.uid == "uid-8")
        assert [p.level for p in problems_of(partial)] == ["warn"]
        assert waiting_text(msgspec.structs.replace(partial, created_at="")) == "Waiting ."
        await page.aclose()


async def test_a_restore_shows_blockers_first_and_keeps_to_what_was_shown() -> None:
    async with World(DemoEngine(speed=0)) as world:
        points = world.live.points_of(HK, "wiki")
        way = RestorePresenter(world.desk, world.view, points)
        way.start()
        await until(lambda: "show_preview" in world.view.shown)
        preview: PreviewText = world.view.shown["show_preview"]
        assert plain(preview.sentence) == "1 thing blocks this restore."
        assert preview.blocked
        way.confirm()  # blocked: nothing happens
        way.choose_target("Not A Name")
        assert "small letters" in world.view.shown["show_target_problem"]
        way.choose_target("wiki-test")
        await until(lambda: not world.view.shown["show_preview"].blocked)
        preview = world.view.shown["show_preview"]
        assert preview.confirm == f"Restore wiki into wiki-test on {HK}"
        assert preview.steps[0] == "Make the namespace wiki-test"
        assert "show_target_problem" in world.view.shown
        way.confirm()
        await until(lambda: "finish" in world.view.shown)
        name = points[0].name
        assert world.engine.calls == [
            f"actions.restore {HK} {name} wiki-test restore {name} wiki-test"
        ]
        await way.aclose()


async def test_a_restore_that_is_refused_stays_open_with_the_reason() -> None:
    async with World(DemoEngine(speed=0)) as world:
        points = world.live.points_of(HK, "legacy-forum")
        way = RestorePresenter(world.desk, world.view, points)
        way.start()
        await until(lambda: "show_preview" in world.view.shown)
        world.engine.fail["actions.restore"] = EngineError("changed", code="plan.stale")
        way.confirm()
        await until(lambda: "show_problem" in world.view.shown)
        assert "finish" not in world.view.shown
        way.choose_target("kube-system")
        await until(lambda: world.view.shown["show_problem"].subject == "kube-system")
        await way.aclose()


async def test_late_answers_of_a_preview_are_dropped() -> None:
    async with World(DemoEngine(speed=0)) as world:
        asked: list[str] = []
        preview = world.engine.restore_points.preview

        async def slow_first(cluster: str, request: RestoreRequest) -> Any:
            asked.append(request.target)
            return await preview(cluster, request)

        world.engine.restore_points.preview = slow_first  # type: ignore[method-assign]
        way = RestorePresenter(world.desk, world.view, world.live.points_of(HK, "wiki"))
        way.start()
        for text in ("a", "ab", "abc"):
            way.choose_target(text)
        await until(lambda: "show_preview" in world.view.shown)
        assert asked == ["abc"]
        assert world.view.shown["show_preview"].confirm.endswith(f"into abc on {HK}")
        await way.aclose()


async def test_clusters_are_prepared_and_forgotten_only_after_asking() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = ClustersPresenter(world.desk, world.view)
        page.show()
        assert plain(world.view.shown["show_sentence"]) == "2 of 2 clusters answer."
        page.select(GZ)
        page.prepare()
        page.add()
        await until(lambda: len(world.person.asked) == 2)
        world.person.yes = False
        page.forget()
        await until(lambda: len(world.person.asked) == 3)
        assert "clusters.forget" not in " ".join(world.engine.calls)
        world.person.yes = True
        page.forget()
        await until(lambda: world.live.cluster(GZ) is None)
        assert world.view.shown["show_detail"] is None
        await page.aclose()


async def test_locations_are_checked_and_an_empty_page_names_the_command() -> None:
    async with World(DemoEngine(speed=0)) as world:
        page = LocationsPresenter(world.desk, world.view)
        page.show()
        assert plain(world.view.shown["show_sentence"]) == (
            "2 of 3 locations are usable. 1 can't be reached."
        )
        page.select(f"{HK}/nfs-lab")
        page.check()
        await until(lambda: world.view.shown["show_detail"].state == "usable")
        await page.aclose()


@pytest.mark.parametrize(
    "kind",
    [
        ApplicationsPresenter,
        PointsPresenter,
        ActivityPresenter,
        LocationsPresenter,
        ClustersPresenter,
    ],
)
async def test_every_empty_page_says_what_to_do_next(kind: Any) -> None:
    async with World(DemoEngine(speed=0, empty=True)) as world:
        page = kind(world.desk, world.view)
        page.show()
        await until(lambda: world.view.shown["show_empty"].action == "Add cluster…")
        await page.aclose()
