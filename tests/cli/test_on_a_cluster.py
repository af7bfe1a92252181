"""The real command on a sandbox: work, its end, its interruption, bad input."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cli.lab import interrupt, open_lab, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.lab import Lab
    from tests.fakes.weed import S3Server


QUESTION = "prepare lab like this? [y/N] "


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path, prepared=False) as made:
        yield made


def test_a_backup_makes_a_point_that_is_shown_and_can_be_browsed(lab: Lab) -> None:
    backup, export = lab.ask("backup", "visits", "--export", "nas")
    assert (backup["outcome"], export["outcome"]) == ("Complete", "Complete")
    assert backup["point"] == export["point"]
    points = [p for p in lab.ask("point", "list") if p["id"] == backup["point"]]
    assert sorted(p["kind"] for p in points) == ["exported", "local"]
    exported = next(p for p in points if p["kind"] == "exported")
    assert "visits: protected" in lab.run("app", "show", "visits").out
    shown = lab.run("point", "show", exported["name"]).out
    assert "exported in nas, Ready" in shown
    # it was taken here, so it is from no other cluster
    assert "nas: usable" in lab.run("location", "check", "nas", "--all-clusters").out
    assert lab.ask("point", "show", exported["name"])["origin"] == ""
    names = [row["name"] for row in lab.ask("point", "browse", exported["name"], "volumes/data")]
    assert "visits.db" in names
    into = lab.folder / "into"
    got = lab.ask(
        "point", "get", exported["name"], "objects/core/v1/configmaps", "--into", str(into)
    )
    assert got["bytes"] > 0
    config = json.loads((into / "configmaps" / "visits.json").read_bytes())
    assert config["data"] == {"title": "Visits"}
    explained = lab.run("action", "show", backup["name"]).out
    assert "backup of visits: Finished, Complete\n" in explained
    assert "✓ cut" in explained


def test_a_restore_beside_the_living_application(lab: Lab) -> None:
    (backup,) = [lab.ask("backup", "visits")]
    preview = lab.run("restore", backup["point"], "--to", "visits-2", "--dry-run").out
    assert f"restore {backup['point']} into namespace visits-2\n" in preview
    assert "create  persistentvolumeclaims visits-2/data" in preview
    done = lab.run("restore", backup["point"], "--to", "visits-2", "--yes")
    assert "restore of visits into visits-2: Finished, Complete" in done.out
    assert "visits-2" in lab.run("app", "list").out


def test_a_restore_over_a_living_application_is_refused_with_the_reason(lab: Lab) -> None:
    point = lab.ask("backup", "visits")["point"]
    done = lab.run("restore", point, "--yes", code=1)
    assert "what stands in the way:" in done.out
    assert "→" in done.out


def test_ctrl_c_stops_following_and_the_action_goes_on_with_the_next_engine(lab: Lab) -> None:
    lab.run("backup", "visits")  # so that there is a Lease
    with lab.driven_by("desktop:anna@laptop/1"):
        process = lab.start("backup", "visits")
        heard = said(process, "no engine has taken it yet")
        assert "lab is driven by desktop:anna@laptop/1" in heard
        done = interrupt(process)
    assert done.code == 130
    assert done.out == ""
    first, *more = done.err.splitlines()
    assert first.startswith("stopped following; the action isn't cancelled")
    name = more[0].partition("kubehaven action show ")[2].split()[0]
    assert more[1].endswith(f"kubehaven action cancel {name} --cluster lab")
    assert len(more) == 2
    assert lab.ask("action", "show", name, "--follow")["outcome"] == "Complete"


def test_an_action_can_be_cancelled_before_any_engine_has_taken_it(lab: Lab) -> None:
    lab.run("backup", "visits", "--no-wait")
    action = next(a for a in lab.ask("action", "list") if a["phase"] != "Finished")
    assert "no engine has taken it yet" in lab.run("action", "show", action["name"]).out
    assert lab.ask("action", "cancel", action["name"])["outcome"] == "Cancelled"
    assert "has ended already" in lab.run("action", "cancel", action["name"], code=2).err


def test_an_engine_in_the_foreground_carries_out_what_others_ask_for(lab: Lab) -> None:
    engine = lab.start("engine", "run")
    try:
        said(engine, "driving lab")
        second = lab.run("engine", "run", code=1)
        assert "drives lab" in second.err
        followed = lab.run("backup", "visits")
        assert "lab is driven by cli:" in followed.err
        assert "backup of visits: Finished, Complete" in followed.out
        said(engine, "backup of visits: Finished, Complete")
    finally:
        done = interrupt(engine, signal.SIGTERM)
    assert done.code == 0


@pytest.mark.long  # an engine learns of it at its next renewal, up to 10 s later
def test_an_engine_takes_over_when_it_is_told_to(lab: Lab) -> None:
    engines = [lab.start("engine", "run")]
    try:
        first = engines[0]
        said(first, "driving lab")
        second = lab.start("engine", "run", "--take-over")
        engines.append(second)
        said(second, "driving lab")
        said(first, "warn: ")
        assert lab.ask("backup", "visits")["outcome"] == "Complete"
        said(second, "backup of visits: Finished, Complete")
    finally:
        ends = [interrupt(engine, signal.SIGTERM) for engine in engines]
    assert [end.code for end in ends] == [0, 0]


def test_a_check_shows_what_was_tried_and_ends_with_its_worst(lab: Lab) -> None:
    done = lab.run("cluster", "check", "--class", "sandbox")
    assert "volume.handover" in done.out
    assert "failed" not in done.out
    assert lab.ask("cluster", "check", "--class", "sandbox")["outcome"] == "ok"
    missing = lab.run("cluster", "check", "--class", "nowhere", code=1)
    assert "there is no such storage class" in missing.err


def test_the_names_of_things_that_are_not_there(lab: Lab) -> None:
    for words, code in (
        (("app", "show", "nothing"), 1),
        (("backup", "nothing"), 1),
        (("backup", "visits", "--export", "nowhere"), 1),
        (("point", "show", "nothing"), 1),
        (("restore", "nothing", "--dry-run"), 1),
        (("location", "check", "nothing"), 1),
        (("action", "show", "nothing"), 2),
        (("cluster", "remove", "nothing"), 1),
    ):
        done = lab.run(*words, code=code)
        assert done.err.startswith("error: "), words
        assert done.out == "", words


def test_the_cluster_s_own_namespaces_are_no_applications(lab: Lab) -> None:
    for name in ("kube-system", "kubehaven", "kubehaven-workers"):
        assert "[backup.platform]" in lab.run("backup", name, code=1).err


def test_a_location_is_read_without_the_cluster_by_its_key_only(lab: Lab, tmp_path: Path) -> None:
    point = lab.ask("backup", "visits", "--export", "nas")[0]["point"]
    place = ("--location", str(lab.location), *lab.key)
    rows = {row["id"]: row for row in lab.ask("point", "list", *place)}
    repository = lab.location / rows[point]["repository"]
    there = ("--repository", str(repository), *lab.key)
    for where in (place, there):
        assert [r["name"] for r in lab.ask("point", "browse", point, *where)] == [
            "objects",
            "volumes",
        ]
    lab.run("point", "get", point, "volumes/log/views.log", *there, "--into", str(tmp_path))
    assert (tmp_path / "views.log").exists()
    # a damaged repository is named, and hides no other's points
    whole = lab.ask("point", "list", *place)
    broken = repository.with_name("a-broken-one")
    shutil.copytree(repository, broken)
    for snapshot in (broken / "snapshots").iterdir():
        snapshot.write_bytes(b"\0" + snapshot.read_bytes()[1:])
    listed = lab.run("point", "list", *place, "--output", "json", code=3)
    assert json.loads(listed.out) == whole
    assert f"{broken.parent.name}/a-broken-one: " in listed.err
    assert "[repository.damage.snapshot]" in listed.err
    assert lab.ask("point", "browse", point, *place)
    lab.run("location", "check", "nas", code=1)
    assert "a-broken-one" in lab.run("location", "list").out
    shutil.rmtree(broken)
    lab.run("location", "check", "nas")
    other = tmp_path / "other"
    where = ("--folder", str(tmp_path / "else"), "--recovery-kit", str(other))
    lab.run("location", "add", "other", *where)
    wrong = ("--location-key-file", str(other))
    assert "key" in lab.run("point", "list", "--location", str(lab.location), *wrong, code=12).err
    lab.run("location", "password", *wrong, str(repository), code=12)
    lab.run("location", "password", *lab.key, str(tmp_path / "empty"), code=10)
    assert (
        "neither a location"
        in lab.run("point", "list", "--location", str(tmp_path), *lab.key, code=1).err
    )


def test_restic_reads_a_repository_by_password_command(lab: Lab) -> None:
    if shutil.which("restic") is None:
        pytest.skip("restic is not installed; `make setup` installs it")
    point = lab.ask("backup", "visits", "--export", "nas")[0]["point"]
    rows = lab.ask("point", "list", "--location", str(lab.location), *lab.key)
    repository = lab.location / next(r["repository"] for r in rows if r["id"] == point)
    password = lab.run("location", "password", *lab.key, str(repository))
    assert password.err == ""
    done = subprocess.run(
        [
            "restic",
            "-r",
            str(repository),
            "--no-cache",
            "snapshots",
            "--json",
            "--tag",
            f"rp={point}",
        ],
        env={**os.environ, "RESTIC_PASSWORD": password.out.strip()},
        capture_output=True,
        check=True,
    )
    assert len(json.loads(done.stdout)) == 3


def test_the_recovery_kit_is_never_overwritten_and_a_location_knows_its_key(
    lab: Lab, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    kit = tmp_path / "kit"
    kit.write_text("precious")
    words = ("location", "add", "second", "--folder", str(folder))
    lab.run(*words, "--recovery-kit", str(kit), code=1)
    assert kit.read_text() == "precious"
    lab.run(*words, "--recovery-kit", str(tmp_path / "new"))
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert lab.run(*words, "--location-key-file", str(lab.kit), code=12).err
    lab.run(*words, "--location-key-file", str(tmp_path / "new"))


def test_a_location_that_can_not_be_is_refused_before_a_key_is_made(
    lab: Lab, tmp_path: Path
) -> None:
    kit = tmp_path / "kit"
    (tmp_path / "file").touch()
    for name, folder, code in (
        ("third", str(tmp_path / "file"), "location.folder"),
        ("third", "/proc/nowhere", "location.folder"),
        ("Third_", str(tmp_path / "folder"), "location.name"),
    ):
        words = ("location", "add", name, "--folder", folder, "--recovery-kit", str(kit))
        assert f"[{code}]" in lab.run(*words, code=1).err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_an_export_to_a_bucket(lab: Lab, s3_server: S3Server, tmp_path: Path) -> None:
    keys = s3_server.credentials
    file = tmp_path / "keys.ini"
    file.write_text(
        f"[default]\naws_access_key_id={keys.access_key_id}\n"
        f"aws_secret_access_key={keys.secret_access_key}\n"
    )
    kit = tmp_path / "kit"
    words = ["location", "add", "s3", "--bucket", s3_server.new_bucket(), "--prefix", "a/b"]
    words += ["--endpoint", s3_server.endpoint, "--region", "us-east-1"]
    lab.run(*words, "--credentials-file", str(file), "--recovery-kit", str(kit))
    backup, export = lab.ask("backup", "visits", "--export", "s3")
    assert export["outcome"] == "Complete"
    url = next(row["url"] for row in lab.ask("location", "list") if row["name"] == "s3")
    place = ("--location", url, "--location-key-file", str(kit), "--credentials-file", str(file))
    (row,) = lab.ask("point", "list", *place)
    assert (row["id"], row["state"]) == (backup["point"], "Ready")
    assert lab.ask("point", "browse", backup["point"], "volumes/data", *place)


def test_a_kubeconfig_that_can_not_be_used(bare: Lab, tmp_path: Path) -> None:
    good = yaml.safe_load(bare.stage.kubeconfig.read_text())
    broken = tmp_path / "broken"

    def added(text: str, code: int = 1) -> str:
        broken.write_text(text)
        return bare.run("cluster", "add", "x", "--kubeconfig", str(broken), code=code).err

    assert "[kubeconfig.invalid]" in added("kind: Config: no\n")
    good["users"][0]["user"]["token"] = "wrong"
    assert "[cluster.sign_in]" in added(yaml.safe_dump(good))
    good["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    assert "[cluster.unreachable]" in added(yaml.safe_dump(good))
    assert bare.run("cluster", "add", "x", "--kubeconfig", "/nowhere", code=1).err
    good["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/touch",
            "args": [str(tmp_path / "ran")],
            "interactiveMode": "Never",
        }
    }
    asked = added(yaml.safe_dump(good), code=2)
    assert "/bin/touch" in asked
    assert f"kubehaven cluster add x --kubeconfig {broken} --trust-programs" in asked
    assert not (tmp_path / "ran").exists()
    assert bare.ask("cluster", "list") == []


def test_before_prepare_commands_say_what_is_missing(bare: Lab) -> None:
    bare.run("cluster", "add", "lab", "--kubeconfig", str(bare.stage.kubeconfig))
    assert "visits" in bare.run("app", "list").out
    assert "kubehaven cluster prepare lab" in bare.run("backup", "visits", code=1).err
    assert "create" in bare.run("cluster", "prepare", "lab", "--dry-run").out
    assert "--yes" in bare.run("cluster", "prepare", "lab", code=2).err
    assert "[cluster.unprepared]" in bare.run("point", "list", code=1).err


def test_the_first_backup_says_that_nobody_has_checked_the_cluster(bare: Lab) -> None:
    bare.run("cluster", "add", "lab", "--kubeconfig", str(bare.stage.kubeconfig))
    assert "next: kubehaven cluster check lab" in bare.run("cluster", "prepare", "lab", "--yes").out
    unchecked = bare.run("backup", "visits", "--no-wait").err
    assert "never checked" in unchecked
    assert "kubehaven cluster check lab" in unchecked
    done = bare.run("cluster", "prepare", "lab", "--yes", "--check")
    assert "workers.image" in done.out
    assert bare.run("backup", "visits", "--no-wait").err == ""


@pytest.mark.parametrize(
    ("answer", "code", "prepared"), [(b"y\n", 0, True), (b"\n", 4, False), (None, 130, False)]
)
def test_on_a_terminal_prepare_asks(
    bare: Lab, answer: bytes | None, code: int, prepared: bool
) -> None:
    bare.run("cluster", "add", "lab", "--kubeconfig", str(bare.stage.kubeconfig))
    keyboard, terminal = pty.openpty()
    try:
        process = bare.start("cluster", "prepare", "lab", stdin=terminal)
        assert process.stderr is not None
        assert process.stderr.read(len(QUESTION)) == QUESTION
        if answer is None:
            process.send_signal(signal.SIGINT)
        else:
            os.write(keyboard, answer)
        process.communicate(timeout=20)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert process.returncode == code
    assert (bare.run("point", "list", code=None).code == 0) is prepared


def test_what_prepare_would_put_there_is_printed_for_kubectl(bare: Lab) -> None:
    bare.run("cluster", "add", "lab", "--kubeconfig", str(bare.stage.kubeconfig))
    text = bare.run("cluster", "prepare", "lab", "--print").out
    objects = list(yaml.safe_load_all(text))
    assert "# left out: settings.kubehaven.io kubehaven/default: " in text
    assert [obj["kind"] for obj in objects[-3:]] == ["Role", "Role", "NetworkPolicy"]
    listed = bare.ask("cluster", "prepare", "lab", "--print")
    assert (listed["kind"], listed["items"]) == ("List", objects)
    assert "[cluster.unprepared]" in bare.run("point", "list", code=1).err


def test_kubehaven_is_removed_after_showing_it_and_comes_back_with_the_points(bare: Lab) -> None:
    bare.set_up()
    point = bare.ask("backup", "visits")["point"]
    shown = bare.run("cluster", "remove", "lab", "--dry-run").out
    assert "customresourcedefinitions.apiextensions.k8s.io backupactions.kubehaven.io" in shown
    assert "  1 backupactions.kubehaven.io\n" in shown
    assert "brings a local restore point back" in shown
    again = f"kubehaven location add nas --cluster lab --folder {bare.location}"
    assert f"  {again} --location-key-file KIT\n" in shown
    assert "--yes" in bare.run("cluster", "remove", "lab", code=2).err
    assert [row["id"] for row in bare.ask("point", "list")] == [point]
    done = bare.run("cluster", "remove", "lab", "--yes").out
    assert "Kubehaven is removed from lab" in done
    assert "[cluster.unprepared]" in bare.run("point", "list", code=1).err
    back = bare.run("cluster", "prepare", "lab", "--yes").out
    assert "lab is prepared\nlocal restore points found again: 1\n" in back
    bare.run(*again.split()[1:], "--location-key-file", str(bare.kit))
    assert [row["id"] for row in bare.ask("point", "list")] == [point]
    assert bare.ask("cluster", "forget", "lab") == {"forgotten": "lab"}
    assert bare.ask("cluster", "list") == []
