"""What the commands on the engine ask it for, print, and end with; the engine is a scripted one.

That they do what they say on a real engine is proven in tests/cli/test_story.py.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.cli import main, session
from console.engine import DrivenElsewhere, EngineError
from tests.fakes.engine import DemoEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ON = ("--cluster", "ocp-hongkong")


class Shell:
    """Runs commands on a scripted engine and keeps what they printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.engine = DemoEngine()
        self.fail: dict[str, EngineError] = {}
        self.out = self.err = ""

    def run(self, *words: str) -> int:
        code = main.run(list(words))
        self.out, self.err = self._capsys.readouterr()
        return code

    def ask(self, *words: str) -> Any:
        assert self.run(*words, "--output", "json") == 0, self.err
        return json.loads(self.out)

    @asynccontextmanager
    async def open_engine(self, home: Path | None = None) -> AsyncIterator[DemoEngine]:
        del home
        self.engine = DemoEngine(speed=100.0)
        self.engine.fail = self.fail
        try:
            yield self.engine
        finally:
            await self.engine.aclose()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    made = Shell(capsys)
    monkeypatch.setattr(session, "open_engine", made.open_engine)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ("cluster", "list"),
        ("app", "list", *ON),
        ("location", "list", *ON),
        ("point", "list", *ON),
        ("action", "list", *ON),
    ],
)
def test_a_list_is_a_table_for_people_and_an_array_for_programs(
    shell: Shell, words: tuple[str, ...]
) -> None:
    rows = shell.ask(*words)
    assert rows
    assert shell.run(*words) == 0
    heads, *lines = shell.out.splitlines()
    assert len(lines) == len(rows)
    assert heads.split()[0] in {"NAME", "KIND"}


@pytest.mark.parametrize("noun", ["cluster", "app", "location", "point", "action", "engine"])
def test_a_noun_alone_is_a_usage_error_that_shows_its_verbs(shell: Shell, noun: str) -> None:
    assert shell.run(noun) == 2
    assert "VERB" in shell.err


def test_with_several_clusters_one_has_to_be_named(shell: Shell) -> None:
    assert shell.run("app", "list") == 2
    assert "ocp-hongkong, tke-guangzhou" in shell.err
    assert shell.run("app", "list", "--cluster", "nowhere") == 2
    assert "no cluster is named nowhere" in shell.err


def test_a_kubeconfig_that_names_programs_is_shown_with_the_command_that_trusts_it(
    shell: Shell, tmp_path: Path
) -> None:
    path = tmp_path / "exec config"
    assert shell.run("cluster", "add", "tke", "--kubeconfig", str(path), "--context", "a b") == 2
    assert "  program /usr/local/bin/tke-login --region hk\n" in shell.err
    command = f"kubehaven cluster add tke --kubeconfig '{path}' --context 'a b' --trust-programs"
    assert command in shell.err
    assert shell.engine.calls == [f"clusters.add tke {path} a b False"]
    words = ["cluster", "add", "tke", "--kubeconfig", str(path), "--trust-programs"]
    assert shell.ask(*words)["name"] == "tke"


def test_prepare_shows_everything_and_needs_a_yes(shell: Shell) -> None:
    assert shell.run("cluster", "prepare", "ocp-hongkong", "--dry-run") == 0
    assert "create  Namespace kubehaven-workers" in shell.out
    assert not shell.engine.calls
    assert shell.run("cluster", "prepare", "ocp-hongkong") == 2  # no terminal
    assert "--yes" in shell.err
    assert not shell.engine.calls
    assert shell.run("cluster", "prepare", "ocp-hongkong", "--yes") == 0
    assert shell.engine.calls == ["clusters.prepare ocp-hongkong prepare-1"]


def test_forget_says_that_nothing_in_the_cluster_changes(shell: Shell) -> None:
    assert shell.run("cluster", "forget", "ocp-hongkong") == 0
    assert "nothing in the cluster changed" in shell.out


def test_a_backup_is_followed_to_its_end(shell: Shell) -> None:
    action = shell.ask("backup", "shop", *ON)
    assert (action["kind"], action["phase"], action["outcome"]) == (
        "BackupAction",
        "Finished",
        "Complete",
    )
    assert shell.engine.calls == [
        "actions.back_up ocp-hongkong shop ",
        "clusters.watch ocp-hongkong False",
    ]


def test_without_waiting_an_action_is_only_named(shell: Shell) -> None:
    assert shell.run("backup", "shop", "--export", "hk-s3", "--no-wait", *ON) == 0
    assert "BackupAction shop/shop-00001\n" in shell.out
    assert "kubehaven action show shop-00001 --cluster ocp-hongkong" in shell.out
    assert shell.engine.calls == ["actions.back_up ocp-hongkong shop hk-s3"]


def test_a_restore_shows_what_stands_in_the_way_and_does_nothing(shell: Shell) -> None:
    point = shell.ask("point", "list", "--application", "shop", *ON)[0]["name"]
    assert shell.run("restore", point, "--yes", *ON) == 1
    assert "what stands in the way:\n  ✖ Namespace shop: " in shell.out
    assert not shell.engine.calls


def test_a_restore_does_what_was_shown(shell: Shell) -> None:
    point = shell.ask("point", "list", "--application", "shop", *ON)[0]["name"]
    words = ("restore", point, "--to", "shop-2", *ON)
    assert shell.run(*words, "--dry-run") == 0
    assert f"restore {point} into namespace shop-2\n" in shell.out
    assert not shell.engine.calls
    assert shell.run(*words, "--yes") == 0, shell.err
    assert shell.engine.calls[0] == (
        f"actions.restore ocp-hongkong {point} shop-2 restore {point} shop-2"
    )
    assert "restore of shop into shop-2: Finished, Complete" in shell.out


def test_storage_classes_are_pairs(shell: Shell) -> None:
    assert shell.run("restore", "p", "--storage-class", "fast", *ON) == 2
    assert "'fast' is not OLD=NEW" in shell.err


def test_an_action_is_found_by_each_of_its_names(shell: Shell) -> None:
    row = next(row for row in shell.ask("action", "list", *ON) if row["kind"] == "ExportAction")
    path = f"{row['namespace']}/{row['name']}"
    for name in (row["name"], path, f"ExportAction/{path}", f"exportactions/{path}"):
        assert shell.ask("action", "show", name, *ON)["uid"] == row["uid"]
    assert shell.run("action", "show", "nothing", *ON) == 2
    assert "there is no action nothing" in shell.err


def test_to_cancel_is_done_when_the_action_has_ended(shell: Shell) -> None:
    row = next(row for row in shell.ask("action", "list", *ON) if row["phase"] == "Running")
    assert shell.ask("action", "cancel", row["name"], *ON)["outcome"] == "Cancelled"
    assert shell.engine.calls[0].startswith("actions.cancel ocp-hongkong")


@pytest.mark.parametrize(
    ("outcome", "code"), [("Complete", 0), ("Partial", 3), ("Failed", 1), ("Cancelled", 4)]
)
def test_how_an_action_ended_is_the_exit_code(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, outcome: str, code: int
) -> None:
    def end(actions: Any, row: Any, _outcome: str) -> None:
        actions._engine.put(msgspec.structs.replace(row, phase="Finished", outcome=outcome))

    monkeypatch.setattr("tests.fakes.engine.DemoActions._end", end)
    assert shell.run("backup", "shop", *ON) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineError("no", code="cluster.unreachable"), 1),
        (EngineError("no", code="repository.missing"), 10),
        (EngineError("no", code="repository.locked"), 11),
        (EngineError("no", code="repository.password"), 12),
        (EngineError("no", code="location.wrong_key"), 12),
        (DrivenElsewhere("no", holder="h"), 1),
    ],
)
def test_an_error_says_its_code_and_becomes_an_exit_code(
    shell: Shell, error: EngineError, code: int
) -> None:
    shell.fail["actions.back_up"] = error
    assert shell.run("backup", "shop", "--output", "json", *ON) == code
    assert json.loads(shell.err)["error"]["code"] == error.code
    assert shell.out == ""


def test_a_bucket_needs_an_access_key_and_a_location_a_kit(shell: Shell) -> None:
    assert shell.run("location", "add", "s3", "--bucket", "b", "--recovery-kit", "k", *ON) == 2
    assert "--credentials-file" in shell.err
    assert shell.run("location", "add", "s3", "--folder", "/b", *ON) == 2
    assert "--recovery-kit" in shell.err


def test_a_location_is_added_with_absolute_paths_and_says_where_its_kit_is(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell.run("location", "add", "nas", "--folder", "f", "--recovery-kit", "k", *ON) == 0
    assert f"recovery kit: {tmp_path / 'k'}\n" in shell.out
    assert f"nas: usable, {tmp_path / 'f'}" in shell.out


def test_a_key_without_a_place_is_a_usage_error(shell: Shell) -> None:
    assert shell.run("point", "list", "--location-key-file", "k") == 2
    assert "--location URL" in shell.err
    assert shell.run("point", "list", "--location", "/nowhere") == 2
    assert "--location-key-file" in shell.err


def test_a_retirement_shows_each_id_and_needs_a_yes(shell: Shell) -> None:
    point = shell.ask("point", "list", "--application", "shop", *ON)[0]
    words = ("point", "retire", point["name"], *ON)
    assert shell.run(*words, "--dry-run") == 0
    assert f"snap-{point['id']} of data" in shell.out
    assert shell.run(*words) == 2  # no terminal
    assert not shell.engine.calls
    assert shell.run(*words, "--yes") == 0, shell.err
    assert shell.engine.calls[0] == (
        f"actions.retire ocp-hongkong {point['name']} retire {point['name']}"
    )
    assert "retirement of shop: Finished, Complete" in shell.out


def test_a_retirement_of_the_last_point_is_not_made_by_a_mere_yes(shell: Shell) -> None:
    points = [p["name"] for p in shell.ask("point", "list", "--application", "shop", *ON)]
    assert shell.run("point", "retire", *points, "--yes", *ON) == 1
    assert "--allow-last" in shell.out
    assert not shell.engine.calls
    assert shell.run("point", "retire", *points, "--allow-last", "--yes", *ON) == 0


def test_leftovers_are_listed_by_name_with_their_reason(shell: Shell) -> None:
    assert shell.run("cluster", "leftovers", "ocp-hongkong") == 0
    (line,) = [line for line in shell.out.splitlines() if "kh-0123456789ab" in line]
    assert line.split()[:3] == ["delete", "jobs.batch", "kubehaven-workers"]
    assert line.endswith("its action has ended")
    assert shell.ask("cluster", "leftovers", "ocp-hongkong")["cluster"] == "ocp-hongkong"
