"""The live rows follow the events; gaps are noticed; what is remembered survives a crash."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from console.engine import (
    ApplicationsChanged,
    ApplicationsListed,
    ApplicationView,
    ClustersListed,
    ClusterView,
    EngineError,
    Notice,
)
from console.ui.bridge import EventPump, FaultSink, TaskOwner, Watching, problem_from
from console.ui.state import Live, Remembered, load_remembered, save_remembered
from tests.fakes.data import HK
from tests.fakes.engine import DemoEngine
from tests.ui.stage import until

if TYPE_CHECKING:
    from pathlib import Path

    from console.ui.messages import Problem


def _cluster(name: str) -> ClusterView:
    return ClusterView(name=name, server="https://x", kubeconfig="/k", context="c", health="live")


def _app(name: str, size: int = 1, cluster: str = "one") -> ApplicationView:
    return ApplicationView(cluster=cluster, name=name, state="protected", size=size)


def _listed(*rows: ApplicationView, revision: int = 0) -> ApplicationsListed:
    return ApplicationsListed(cluster="one", revision=revision, rows=rows)


def test_a_list_then_changes() -> None:
    live = Live()
    told: list[frozenset[str]] = []
    stop = live.subscribe(told.append)
    live.apply([ClustersListed(rows=(_cluster("one"),)), _listed(_app("a"), _app("b"))])
    live.apply(
        [
            ApplicationsChanged(
                cluster="one", revision=1, upserts=(_app("c"),), removed=("one/a",)
            ),
            ApplicationsChanged(cluster="one", revision=2, upserts=(_app("b", 7),)),
        ]
    )
    assert {row.name: row.size for row in live.applications()} == {"b": 7, "c": 1}
    assert told == [frozenset({"clusters", "applications"}), frozenset({"applications"})]
    assert not live.gaps
    stop()
    live.apply([_listed()])
    assert len(told) == 2


def test_a_gap_is_noticed_and_healed() -> None:
    live = Live()
    live.apply([ClustersListed(rows=(_cluster("one"),)), _listed(_app("a"))])
    live.apply([ApplicationsChanged(cluster="one", revision=3, upserts=(_app("z"),))])
    assert live.gaps == {("applications", "one")}
    live.relist("applications", "one", (_app("b"),))
    live.apply([ApplicationsChanged(cluster="one", revision=9, upserts=(_app("c"),))])
    assert not live.gaps
    assert [row.name for row in live.applications()] == ["b", "c"]


def test_a_forgotten_cluster_takes_its_rows_and_the_scope_along() -> None:
    live = Live()
    live.apply([ClustersListed(rows=(_cluster("one"), _cluster("two"))), _listed(_app("a"))])
    live.look_at("one")
    assert live.known("applications")
    live.apply([ClustersListed(rows=(_cluster("two"),))])
    assert (live.scope, live.applications()) == ("", ())
    assert not live.known("applications")


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), max_size=4),
            st.sets(st.sampled_from("abcdef"), max_size=3),
        ),
        max_size=20,
    )
)
def test_any_batches_agree_with_a_dict(batches: list[tuple[dict[str, int], set[str]]]) -> None:
    live = Live()
    live.apply([ClustersListed(rows=(_cluster("one"),)), _listed()])
    oracle: dict[str, int] = {}
    for revision, (upserts, removed) in enumerate(batches, 1):
        oracle = {k: v for k, v in oracle.items() if k not in removed} | upserts
        live.apply(
            [
                ApplicationsChanged(
                    cluster="one",
                    revision=revision,
                    upserts=tuple(_app(name, size) for name, size in upserts.items()),
                    removed=tuple(f"one/{name}" for name in removed),
                )
            ]
        )
    assert {row.name: row.size for row in live.applications()} == oracle


def test_what_is_remembered_survives(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "window.json"
    assert load_remembered(path) == Remembered()
    save_remembered(path, Remembered(cluster="one", page="activity", mode="dark"))
    assert load_remembered(path).page == "activity"
    path.write_text("{not json")
    assert load_remembered(path) == Remembered()
    assert [p.name for p in path.parent.iterdir()] == ["window.json"]


async def test_the_pump_batches_and_asks_again_after_a_gap() -> None:
    engine, live, faults = DemoEngine(speed=0), Live(), FaultSink()
    tasks = TaskOwner("test", faults)
    told: list[frozenset[str]] = []
    live.subscribe(told.append)
    tasks.start(EventPump(engine, live, tasks).run(), name="events")
    await until(lambda: live.known("locations"))
    assert len(told) == 1  # two clusters with four lists each came as one batch
    row = (await engine.applications.list(HK))[0]
    for size in range(100):
        engine.put(msgspec.structs.replace(row, size=size), skip=1)
    await until(lambda: not live.gaps and live.applications()[0].size == 99)
    assert len(told) < 8
    await tasks.aclose()
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_an_owner_reports_a_failure_once_and_ends_its_tasks() -> None:
    faults = FaultSink()
    shown: list[Problem] = []
    faults.show = shown.append
    owner = TaskOwner("page", faults)

    async def known() -> None:
        raise EngineError("no route", subject="lab", code="cluster.unreachable")

    async def unknown() -> None:
        raise ZeroDivisionError("the secret value")

    async def for_ever() -> None:
        await asyncio.Event().wait()

    for _ in range(2):
        await asyncio.wait([owner.start(known(), name="known")])
        await asyncio.wait([owner.start(unknown(), name="unknown")])
    assert [p.code for p in shown] == [
        "cluster.unreachable",
        "window.unexpected",
        "cluster.unreachable",
    ]
    assert "the secret value" not in shown[1].report()
    assert "ZeroDivisionError" in shown[1].text
    first = owner.start(for_ever(), name="search")
    second = owner.start(for_ever(), name="search", replaces=True)
    await asyncio.wait([first])
    assert first.cancelled()
    await owner.aclose()
    assert second.cancelled()


def test_problems_name_object_cause_and_next_step() -> None:
    error = EngineError("denied", subject="Secret x", hint="Ask", code="cluster.forbidden")
    problem = problem_from(error)
    assert (problem.title, problem.text) == ("This account may not do that", "denied")
    assert (problem.subject, problem.hint) == ("Secret x", "Ask")


def test_notices_are_kept_until_they_are_shown() -> None:
    live = Live()
    live.apply([Notice(level="warn", code="x", message=f"m{n}") for n in range(3)])
    assert [notice.message for notice in live.notices] == ["m0", "m1", "m2"]


async def test_watching_tries_again_and_reports_what_trying_can_not_mend() -> None:
    engine, live, faults = DemoEngine(speed=0), Live(), FaultSink()
    shown: list[Problem] = []
    faults.show = shown.append
    tasks = TaskOwner("test", faults)
    silent = EngineError("no route", code="cluster.unreachable")
    silent.retryable = True
    engine.fail["clusters.watch"] = silent
    live.apply([ClustersListed(rows=(engine.cluster(HK),))])
    watching = Watching(engine, live, tasks, retry_s=(0.01, 0.02))
    await until(lambda: len(engine.calls) == 2)
    assert shown == []
    engine.fail["clusters.watch"] = EngineError("expired", code="cluster.sign_in")
    live.apply([ClustersListed(rows=engine.all_clusters())])
    await until(lambda: len(engine.calls) == 4)
    assert [problem.code for problem in shown] == ["cluster.sign_in"]
    watching.close()
    await tasks.aclose()


async def test_a_forgotten_cluster_is_not_watched_or_asked_any_more() -> None:
    engine, live = DemoEngine(speed=0), Live()
    tasks = TaskOwner("test", FaultSink())
    engine.fail["clusters.watch"] = EngineError("no", code="cluster.sign_in")
    live.apply([ClustersListed(rows=(engine.cluster(HK),))])
    watching = Watching(engine, live, tasks, retry_s=(5.0, 5.0))
    await until(lambda: engine.calls)
    live.apply([ClustersListed(rows=())])
    late = ApplicationsChanged(cluster=HK, revision=9, upserts=(_app("a", cluster=HK),))
    live.apply([late])
    assert not live.gaps
    this = asyncio.current_task()
    await until(lambda: asyncio.all_tasks() == {this})
    watching.close()
