"""The job file: what is wrong is said with file and field."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from console.worker.errors import BadJob
from console.worker.job import COMMANDS, Command, decode_job, decode_manifest, load_job

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {
    "version": 1,
    "repository": "s3:https://s3.example.org/bucket/prefix/uid/shop",
    "store": {"region": "eu", "pathStyle": True, "skipTLSVerify": False},
    "point": "shop-1",
    "pvc": "data",
    "hostname": "cluster",
    "interval": 5,
    "marker": {
        "format": "kubehaven-repository",
        "version": 1,
        "salt": base64.b64encode(bytes(32)).decode(),
        "clusterUID": "uid",
        "application": "shop",
    },
    "parentTags": ["kubehaven", "pvc=data"],
    "manifest": {"id": "shop-1", "objectCount": 3, "packs": ["ab"], "anything": {"more": 1}},
    "snapshot": "0" * 64,
    "ownerMap": [["1000", "2000"]],
    "readData": True,
    "owner": "uid",
    "objectsSnapshot": "1" * 64,
    "volumeSnapshots": ["2" * 64],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_whole_job_is_read(command: Command) -> None:
    job = decode_job(json.dumps(GOOD).encode(), command)
    assert job.store.path_style is True
    assert job.marker is not None
    assert job.marker.salt == bytes(32)
    assert job.owner_map == (("1000", "2000"),)
    assert decode_manifest(job).object_count == 3


@pytest.mark.parametrize(
    ("command", "change", "said"),
    [
        ("verify", {"version": 2}, "field version is 2"),
        ("verify", {"repository": 5}, "field repository: Expected `str`, got `int`"),
        ("verify", {"repository": ""}, "field repository is empty"),
        ("verify", {"interval": 0}, "field interval"),
        ("verify", {"store": {"pathStyel": True}}, "field store: Object contains unknown field"),
        ("verify", {"redaData": True}, "unknown field `redaData`"),
        ("backup", {"pvc": ""}, "field pvc is missing, backup needs it"),
        ("backup", {"point": None}, "field point"),
        ("backup", {"parentTags": "x"}, "field parentTags"),
        ("init", {"marker": None}, "field marker is missing"),
        ("init", {"marker": {**GOOD["marker"], "salt": "AAAA"}}, "marker.salt has 3 bytes"),
        ("restore", {"snapshot": ""}, "field snapshot is missing"),
        ("restore", {"ownerMap": [["1"]]}, "field ownerMap[0]"),
    ],
)
def test_what_is_wrong_is_said(command: Command, change: dict[str, Any], said: str) -> None:
    with pytest.raises(BadJob) as caught:
        decode_job(json.dumps({**GOOD, **change}).encode(), command, where="/job/job.json")
    assert said in caught.value.message
    assert caught.value.message.startswith("/job/job.json: ")
    assert caught.value.code == "job.invalid"


def test_placing_needs_no_repository() -> None:
    assert decode_job(b'{"version": 1}', "place").repository == ""


def test_a_manifest_that_is_missing_or_no_manifest() -> None:
    without = {name: value for name, value in GOOD.items() if name != "manifest"}
    with pytest.raises(BadJob, match="field manifest is missing"):
        decode_job(json.dumps(without).encode(), "objects")
    job = decode_job(json.dumps({**GOOD, "manifest": {"volumes": 3}}).encode(), "objects")
    with pytest.raises(BadJob, match="manifest: field volumes"):
        decode_manifest(job)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'"x"', b'{"version": 1}'])
def test_what_is_no_job_at_all(raw: bytes) -> None:
    with pytest.raises(BadJob, match=r"job\.json"):
        decode_job(raw, "verify")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadJob, match="No such file"):
        load_job(tmp_path / "job.json", "verify")
