"""Large trees and files: round trips by us and by restic, in bounded memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders.trees import differences
from tests.fakes.restic import PASSWORD, find_restic

if TYPE_CHECKING:
    from pathlib import Path

MAX_RSS_BYTES = 400_000_000
GIB = 1 << 30

_PRELUDE = textwrap.dedent(f"""
    import json, sys
    from pathlib import Path
    import console.repository as r
    from console.storage import FileStore

    def report(result):
        # VmHWM: ru_maxrss would count the parent's memory before exec
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        print(json.dumps({{
            "outcome": result.outcome, "files": result.files, "failures": len(result.failures),
            "rss": int(status["VmHWM"].split()[0]) * 1024,
        }}))

    store, folder = FileStore(sys.argv[1]), Path(sys.argv[2])
    repo = r.Repository.open(store, {PASSWORD!r})
""")
_BACK_UP = _PRELUDE + "report(r.back_up(repo, folder, progress=r.Progress()))"
_AGAIN = _PRELUDE + 'report(r.back_up(repo, folder, parent=repo.find_snapshot("latest")))'
_RESTORE = _PRELUDE + 'report(r.restore_tree(repo, repo.find_snapshot("latest"), folder))'


def _run(script: str, repository: Path, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(repository), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["outcome"] == "Complete"
    assert result["rss"] <= MAX_RSS_BYTES
    return result


def _round_trip(tmp_path: Path, source: Path, *, files: int, by_restic: bool = True) -> None:
    restic = find_restic(tmp_path / "repository")
    restic.run("init", "--repository-version", "2")
    assert _run(_BACK_UP, restic.folder, source)["files"] == files
    restic.check()
    assert _run(_AGAIN, restic.folder, source)["files"] == files
    assert _run(_RESTORE, restic.folder, tmp_path / "ours")["files"] == files
    assert differences(source, tmp_path / "ours") == []
    if by_restic:
        snapshot = restic.snapshots()[-1]["id"]
        theirs = restic.restore(snapshot, tmp_path / "theirs") / "volume"
        assert differences(source, theirs) == []


@pytest.mark.long
@pytest.mark.parametrize("folders", [1, 500])
def test_fifty_thousand_small_files(tmp_path: Path, folders: int) -> None:
    dice = random.Random(3)  # noqa: S311 - test data
    source = tmp_path / "source"
    for folder in range(folders):
        (source / f"d{folder}").mkdir(parents=True)
    for number in range(50_000):
        content = dice.randbytes(dice.randrange(200)) + b"common text " * dice.randrange(300)
        (source / f"d{number % folders}" / f"f{number}").write_bytes(content)
    _round_trip(tmp_path, source, files=50_000)


@pytest.mark.long
def test_a_file_of_two_gib_with_holes(tmp_path: Path) -> None:
    dice = random.Random(4)  # noqa: S311 - test data
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "disk.img", "wb") as file:
        for at in (0, 100 << 20, 777_777_777, GIB + 12_345, 2 * GIB - (40 << 20)):
            file.seek(at)
            file.write(dice.randbytes(30 << 20))
        file.truncate(2 * GIB)
    stored = (source / "disk.img").stat().st_blocks * 512
    _round_trip(tmp_path, source, files=1)
    assert (tmp_path / "ours" / "disk.img").stat().st_blocks * 512 <= stored * 1.1


@pytest.mark.long
def test_two_gib_of_data_in_one_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "data", "wb") as file:
        for _ in range(128):
            piece = os.urandom(8 << 20)
            file.write(piece + piece[:4096] * 2048)
    _round_trip(tmp_path, source, files=1, by_restic=False)
