"""`kubehaven repo` on files and S3, beside restic on the same repositories."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.repository import Repository
from console.repository.keys import list_keys
from console.repository.location_keys import (
    MARKER,
    LocationKey,
    RepositoryMarker,
    salt_of_username,
    write_kit,
)
from console.storage import open_store
from tests.builders.trees import differences

if TYPE_CHECKING:
    from tests.cli.repo.shell import Shell
    from tests.fakes.weed import S3Server

ODD = "a\x1b[2Jb\nc"


def test_there_and_back_with_restic_watching(made: Shell, tmp_path: Path) -> None:
    told = made.run("backup", str(made.source), "--tag", "one", "--tag", "two", "--host", "here")
    assert "2 files, 195 KiB; 2 new, 0 changed" in told
    assert made.errors == ""
    (row,) = made.json("snapshots")
    assert made.run("snapshots").splitlines()[1].startswith(f"{row['short_id']}   ")
    assert made.run("restore", "latest", "--target", str(tmp_path / "ours")).startswith(
        "restored 2"
    )
    assert differences(made.source, tmp_path / "ours") == []
    made.restic("restore", "latest", "--target", str(tmp_path / "restics"))
    assert differences(made.source, tmp_path / "restics" / "volume") == []
    assert made.run("check", "--read-data").startswith("no problems in ")
    made.restic("check", "--read-data")


def test_the_shape_of_what_programs_read(made: Shell, tmp_path: Path) -> None:
    done = made.json("backup", str(made.source), "--tag", "one", "--host", "here")
    assert {name: done[name] for name in ("outcome", "files", "files_new", "failures")} == {
        "outcome": "Complete",
        "files": 2,
        "files_new": 2,
        "failures": [],
    }
    (row,) = made.json("snapshots", "--tag", "one")
    assert row["id"] == done["snapshot"]
    assert set(row) == {
        *("id", "short_id", "time", "tree", "paths", "hostname", "username", "tags", "parent"),
        *("program_version", "summary"),
    }
    assert (row["paths"], row["hostname"], row["tags"]) == ([str(made.source)], "here", ["one"])
    assert made.json("snapshots", "--tag", "other") == []
    entries = made.json("ls", "latest", "volume")
    assert [(entry["name"], entry["type"], entry["size"]) for entry in entries] == [
        ("a", "file", 12),
        ("link", "symlink", 0),
        ("sub", "dir", 0),
    ]
    assert entries[1]["link_target"] == "a"
    below = made.json("ls", row["short_id"], "-R")
    assert [entry["path"] for entry in below] == [
        *("volume", "volume/a", "volume/link", "volume/sub", "volume/sub/b")
    ]
    assert made.json("ls", "latest", "volume/sub/b")[0]["size"] == 200_000
    target = str(tmp_path / "target")
    restored = made.json("restore", "latest", "--target", target, "--path", "volume/sub")
    assert (restored["outcome"], restored["snapshot"]) == ("Complete", row["id"])
    assert differences(made.source / "sub", tmp_path / "target") == []
    checked = made.json("check")
    assert checked["problems"] == []
    assert checked["snapshots"] == 1


def test_an_empty_folder_is_an_empty_array(made: Shell) -> None:
    (made.source / "empty").mkdir()
    made.run("backup", str(made.source))
    assert made.json("ls", "latest", "volume/empty") == []
    assert made.run("ls", "latest", "volume/empty") == ""


def test_the_second_backup_has_a_parent_unless_told_otherwise(made: Shell) -> None:
    first = made.json("backup", str(made.source))["snapshot"]
    assert made.json("backup", str(made.source))["files_unchanged"] == 2
    assert made.json("snapshots")[1]["parent"] == first
    assert made.json("backup", str(made.source), "--parent", "none")["files_new"] == 2
    assert made.json("backup", str(made.source), "--parent", first[:10])["files_unchanged"] == 2


def test_labels_in_any_bytes_and_tags_as_restic_takes_them(made: Shell) -> None:
    odd = made.source / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    made.run("backup", str(odd), "--tag", "one,two", "--tag", "three")
    (row,) = made.json("snapshots")
    assert row["tags"] == ["one", "two", "three"]
    assert row["paths"] == [f"{made.source}/caf\\xe9"]
    assert made.json("backup", str(odd))["dirs"] == 1
    assert made.json("snapshots")[1]["parent"] == row["id"]


def test_what_restic_wrote(shell: Shell, tmp_path: Path) -> None:
    shell.restic("init", "--repository-version", "2")
    shell.restic("backup", ".", cwd=shell.source)
    assert [entry["name"] for entry in shell.json("ls", "latest")] == ["a", "link", "sub"]
    shell.run("restore", "latest", "--target", str(tmp_path / "target"))
    assert differences(shell.source, tmp_path / "target", root=False) == []
    shell.run("check", "--read-data")


def test_cat(made: Shell) -> None:
    made.run("backup", str(made.source))
    (row,) = made.json("snapshots")
    access = [*made.access, "cat"]
    content = made.raw(*access, "file", "latest", "volume/sub/b")
    assert content == (made.source / "sub" / "b").read_bytes()
    assert json.loads(made.run("cat", "config")) == json.loads(made.restic("cat", "config"))
    theirs = json.loads(made.restic("cat", "snapshot", row["id"]))
    ours = json.loads(made.run("cat", "snapshot", row["short_id"]))
    assert {name: ours[name] for name in theirs} == theirs
    tree = json.loads(made.run("cat", "tree", row["tree"]))
    assert [node["name"] for node in tree["nodes"]] == ["volume"]
    assert made.run("cat", "blob", row["tree"]) == made.restic("cat", "blob", row["tree"])
    below = json.loads(made.run("cat", "tree", tree["nodes"][0]["subtree"]))
    (id_,) = next(node["content"] for node in below["nodes"] if node["name"] == "a")
    assert made.run("cat", "blob", id_) == "content of a"
    (key,) = list_keys(open_store(made.repository))
    assert json.loads(made.run("cat", "key", key.id[:6]))["kdf"] == "scrypt"
    (index,) = (Path(made.repository) / "index").iterdir()
    assert "packs" in json.loads(made.run("cat", "index", index.name))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["ls", "latest", "no/such"], 1, "repository.no_path"),
        (["ls", "beef"], 1, "repository.no_snapshot"),
        (["cat", "file", "latest", "volume"], 1, "repository.no_path"),
        (["cat", "file", "latest"], 2, "`cat file` takes 2 words"),
        (["cat", "blob", "12"], 2, "is no id"),
        (["cat", "blob", "0" * 64], 1, "no index names"),
        (["cat", "index", "zz"], 1, "no file begins with index/zz"),
        (["cat", "nonsense"], 2, "invalid choice"),
        (["init"], 1, "repository.exists"),
        (["backup", "/no/such/folder"], 1, "repository.source"),
        (["restore", "latest", "--target", "/proc/nowhere"], 1, "repository.target"),
        (["restore", "latest", "--target", "t", "--map-owner", "a:b"], 2, "no pair of numbers"),
        (["--no-lock", "backup", "."], 1, "repository.read_only"),
        (["--location-key-file", "kit", "snapshots"], 2, "either a password or a location key"),
        ([], 2, "usage: kubehaven repo"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    shell: Shell, holding: Path, words: list[str], code: int, said: str
) -> None:
    shell.repository = str(holding)
    shell.run(*words, code=code)
    assert said in shell.errors


def test_exit_codes_of_access(made: Shell, tmp_path: Path) -> None:
    words = ["snapshots", "-r", str(tmp_path / "nowhere")]
    made.raw(*words, "--password-file", str(made.password_file), code=10)
    assert "[repository.missing]" in made.errors
    other = tmp_path / "other"
    other.write_text("wrong")
    made.raw("-r", made.repository, "snapshots", "--password-file", str(other), code=12)
    assert "wrong" not in made.errors.replace("wrong password", "")
    made.raw("snapshots", "-r", made.repository, code=2)
    made.raw("snapshots", "--password-file", str(other), code=2)
    made.raw("-r", made.repository, "snapshots", "--password-file", str(tmp_path / "no"), code=2)
    other.write_text(" \n")
    made.raw("-r", made.repository, "snapshots", "--password-file", str(other), code=2)
    made.raw("-r", "ftp:x", "snapshots", "--password-file", str(made.password_file), code=1)
    assert "store.unusable" in made.errors


def test_errors_for_programs(made: Shell) -> None:
    made.run("ls", "beef", "--output", "json", code=1)
    error = json.loads(made.errors)["error"]
    assert error["code"] == "repository.no_snapshot"
    assert set(error) == {"code", "message", "subject", "hint"}


def test_a_repository_that_another_one_holds(made: Shell) -> None:
    holder = Repository.open(open_store(made.repository), b"correct horse")
    with holder.lock(exclusive=True):
        made.run("backup", str(made.source), code=11)
        assert "exclusively locked" in made.errors
        made.run("snapshots")
        made.run("--no-lock", "check")


def test_damage_is_shown_and_the_rest_too(made: Shell) -> None:
    made.run("backup", str(made.source))
    first = next((Path(made.repository) / "snapshots").iterdir())
    made.run("backup", str(made.source))
    first.write_bytes(first.read_bytes()[:-1])
    assert len(json.loads(made.run("snapshots", "--output", "json", code=1))) == 1
    assert made.run("check", code=1).startswith("1 problem in ")
    assert first.name in made.errors
    (problem,) = made.json("check", code=1)["problems"]
    assert problem["code"] == "repository.damage.snapshot"


def test_names_can_not_act_on_a_terminal(made: Shell) -> None:
    (made.source / ODD).write_bytes(b"x")
    (made.source / os.fsdecode(b"caf\xe9")).write_bytes(b"y")
    made.run("backup", str(made.source))
    shown = made.run("ls", "latest", "volume")
    assert "volume/a\\x1b[2Jb\\nc" in shown
    assert "\x1b" not in shown
    names = [entry["name"] for entry in made.json("ls", "latest", "volume")]
    assert names[:3] == ["a", ODD, "caf\udce9"]


def test_a_location_key_in_place_of_the_password(shell: Shell, tmp_path: Path) -> None:
    kit, key = tmp_path / "kit", LocationKey.generate()
    write_kit(kit, key, location="here", url=str(tmp_path))
    shell.repository = str(tmp_path / "uid" / "shop")
    access = ["-r", shell.repository, "--location-key-file", str(kit)]
    shell.raw(*access, "snapshots", code=10)
    shell.raw(*access, "init")
    shell.raw(*access, "init", code=1)
    marker_file = Path(shell.repository) / MARKER
    marker = RepositoryMarker.decode(marker_file.read_bytes())
    assert (marker.cluster_uid, marker.application) == ("uid", "shop")
    (known,) = list_keys(open_store(shell.repository))
    assert salt_of_username(known.username) == marker.salt
    shell.raw(*access, "backup", str(shell.source))

    shell.password_file.write_bytes(key.password(marker.salt))
    shell.restic("check", "--read-data")
    assert str(shell.source) in shell.run("snapshots")
    marker_file.unlink()
    assert len(json.loads(shell.raw(*access, "snapshots", "--output", "json"))) == 1
    other = tmp_path / "other-kit"
    write_kit(other, LocationKey.generate(), location="there", url=str(tmp_path))
    shell.raw("-r", shell.repository, "--location-key-file", str(other), "snapshots", code=12)
    shell.raw("-r", shell.repository, "--location-key-file", str(marker_file), "ls", "x", code=1)
    assert "[location.kit]" in shell.errors


def test_s3_with_keys_from_the_environment_or_a_file(
    shell: Shell, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.repository = s3_server.new_url("some/prefix")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    shell.run("init")
    shell.run("backup", str(shell.source))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    keys = shell.folder / "keys.ini"
    pair = f"aws_access_key_id={s3_server.access_key}\naws_secret_access_key="
    keys.write_text(f"[default]\n{pair}{s3_server.secret_key}\n")
    assert len(shell.json("snapshots", "--credentials-file", str(keys))) == 1
    keys.write_text(f"[default]\n{pair}wrong-secret\n")
    shell.run("snapshots", "--credentials-file", str(keys), code=1)
    assert "[store.denied]" in shell.errors
    assert "wrong-secret" not in shell.errors
