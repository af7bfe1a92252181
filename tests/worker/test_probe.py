"""`worker probe`: a volume or a location that does not do what it should is told, with a code."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.worker.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.weed import S3Server

SEED = "0123456789abcdef"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path, str(tmp_path / "location"))
    made.volume.mkdir()
    return made


def test_files_are_written_compared_and_copied_and_the_copy_goes(rig: Rig) -> None:
    for _ in range(2):  # a try that is repeated
        assert rig.run("probe", probe="write", seed=SEED)["outcome"] == "Complete"
        assert rig.run("probe", probe="compare", seed=SEED)["outcome"] == "Complete"
        done = rig.run("probe", probe="copy", seed=SEED)
        assert done["outcome"] == "Complete"
        assert abs(done["clock"] - time.time()) < 60
    assert os.listdir(rig.volume) == ["kubehaven-check"]


def test_data_that_is_not_what_was_written_is_told(rig: Rig) -> None:
    rig.run("probe", probe="write", seed=SEED)
    file = rig.volume / "kubehaven-check" / "large"
    content = bytearray(file.read_bytes())
    content[1 << 20] ^= 1
    file.write_bytes(content)
    assert rig.run("probe", code=1, probe="compare", seed=SEED)["code"] == "probe.different"
    file.unlink()
    done = rig.run("probe", code=1, probe="compare", seed=SEED)
    assert done["code"] == "probe.different"
    assert "large" in done["message"]


def test_a_mode_that_was_lost_is_told(rig: Rig) -> None:
    rig.run("probe", probe="write", seed=SEED)
    (rig.volume / "kubehaven-check" / "small").chmod(0o600)
    done = rig.run("probe", code=1, probe="compare", seed=SEED)
    assert "its mode is 600, not 640" in done["message"]


def test_a_folder_is_tried_and_left_as_it_was(rig: Rig) -> None:
    location = rig.folder / "location"
    location.mkdir()
    done = rig.run("probe", probe="store", seed=SEED)
    assert abs(done["storeClock"] - time.time()) < 60
    assert rig.run("probe", probe="store", seed=SEED, readOnly=True)["outcome"] == "Complete"
    assert os.listdir(location) == []


def test_a_bucket_is_tried_and_a_wrong_key_is_told(s3_server: S3Server, tmp_path: Path) -> None:
    rig = Rig(tmp_path, s3_server.new_url("prefix"), s3_server)
    assert rig.run("probe", probe="store", seed=SEED)["storeClock"] > 0
    rig.secret("aws_secret_access_key", b"another")
    assert rig.run("probe", code=1, probe="store", seed=SEED)["code"] == "store.denied"


def test_a_pod_that_has_only_to_begin(rig: Rig) -> None:
    assert rig.run("probe", repository="")["outcome"] == "Complete"
