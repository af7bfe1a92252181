"""`worker probe`: what `cluster check` has a pod try, on a volume of its own or on a location.

`write` puts a few files into the volume and `compare` looks for exactly them; `copy` carries
them through a repository in the pod's own /tmp and back, as a backup and a restore do.
`store` writes one small object to the location, reads it back and removes it. Without any of
them the pod has only to begin.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from console.repository import (
    Repository,
    back_up,
    find_difference,
    init_repository,
    restore_tree,
)
from console.storage import FileStore
from console.worker.errors import ProbeFailed
from console.worker.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.worker.work import Work

FOLDER = "kubehaven-check"
COPY = "kubehaven-check-copy"
PATIENCE_S = 15.0  # a store that can't be reached is told while somebody looks

_SIZES = {"small": 1000, "large": 4 << 20, "deep/Größe 数": 10}
_OWNER = (1000, 2000)
_MODE = 0o640
_LINK = "deep/link"
_LINK_TO = "../small"


def probe(work: Work) -> Result:
    """Try what the job names; raises `ProbeFailed` when it did not work."""
    store_clock = 0.0
    if work.job.probe == "write":
        _write(work.volume, work.job.seed)
    elif work.job.probe == "compare":
        _compare(work.volume / FOLDER, work.job.seed)
    elif work.job.probe == "copy":
        _copy(work)
    elif work.job.probe == "store":
        store_clock = _try_store(work)
    return Result(outcome="Complete", clock=time.time(), store_clock=store_clock)


def _content(name: str, seed: str) -> bytes:
    return hashlib.shake_128(f"{seed} {name}".encode()).digest(_SIZES[name])


def _write(volume: Path, seed: str) -> None:
    folder = volume / FOLDER
    shutil.rmtree(folder, ignore_errors=True)  # of a try that was interrupted
    try:
        for name in _SIZES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(_content(name, seed))
                os.fchmod(file.fileno(), _MODE)
                os.fsync(file.fileno())
        (folder / _LINK).symlink_to(_LINK_TO)
    except OSError as fault:
        said = fault.strerror or type(fault).__name__
        raise ProbeFailed(f"files can't be written: {said}", code="probe.write") from fault
    if os.geteuid() == 0:  # in a pod always
        _give(folder)
    for path in (folder / "deep", folder, volume):
        _flush(path)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give(folder: Path) -> None:
    try:
        for name in _SIZES:
            os.chown(folder / name, *_OWNER)
    except OSError as fault:
        raise ProbeFailed(
            f"root can't give files to another owner: {fault.strerror}",
            hint="does the storage map root to nobody (root_squash)? Restored files could not get "
            "their owners back",
            code="probe.owner",
        ) from fault


def _compare(folder: Path, seed: str) -> None:
    try:
        wrong = next(_differences(folder, seed), None)
    except OSError as fault:
        wrong = _Difference(fault.filename or str(folder), fault.strerror or "can't be read")
    if wrong is not None:
        raise ProbeFailed(
            f"the data is not what was written: {Path(wrong.path).name}: {wrong.what}",
            code="probe.different",
        )


class _Difference(NamedTuple):
    path: str
    what: str


def _differences(folder: Path, seed: str) -> Iterator[_Difference]:
    for name in _SIZES:
        path = folder / name
        found = path.stat()
        if path.read_bytes() != _content(name, seed):
            yield _Difference(name, "its content differs")
        if found.st_mode & 0o777 != _MODE:
            yield _Difference(name, f"its mode is {found.st_mode & 0o777:o}, not {_MODE:o}")
        if os.geteuid() == 0 and (found.st_uid, found.st_gid) != _OWNER:
            yield _Difference(name, f"its owner is {found.st_uid}:{found.st_gid}")
    if str((folder / _LINK).readlink()) != _LINK_TO:
        yield _Difference(_LINK, "the link points elsewhere")


def _copy(work: Work) -> None:
    source, target = work.volume / FOLDER, work.volume / COPY
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        store, password = FileStore(folder), work.job.seed.encode()
        try:
            init_repository(store, password)
            repository = Repository.open(store, password)
            made = back_up(repository, source, stop=work.stop)
            snapshot = repository.find_snapshot(made.snapshot)
            done = restore_tree(repository, snapshot, target, stop=work.stop)
            for item in (*made.failures, *done.failures):
                raise ProbeFailed(f"{item.path}: {item.message}", code=item.code)
            other = find_difference(repository, snapshot, target, stop=work.stop)
        except OSError as fault:
            said = fault.strerror or type(fault).__name__
            raise ProbeFailed(f"files can't be copied: {said}", code="probe.copy") from fault
        finally:
            store.close()
    if other:
        raise ProbeFailed(f"the copy differs at {other}", code="probe.different")
    shutil.rmtree(target)


def _try_store(work: Work) -> float:
    name, data = f"kubehaven-probe-{work.job.seed}", work.job.seed.encode()
    store = work.open_store(patience_s=PATIENCE_S)
    try:
        if work.job.read_only:
            next(iter(store.list_folders()), None)
            return store.clock()
        store.put(name, data)
        back = store.get(name)
        clock = store.clock()
        store.delete(name)
    finally:
        store.close()
    if back != data:
        raise ProbeFailed("the store did not give back what was written", code="probe.different")
    return clock
