"""`worker place`: a pod that mounts the volume, so that it comes to be where it will be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.worker.errors import BadJob
from console.worker.result import Result

if TYPE_CHECKING:
    from console.worker.work import Work


def place(work: Work) -> Result:
    """Nothing is read or written: with the pod's start all is done."""
    if not work.volume.is_dir() and not work.volume.is_block_device():
        raise BadJob(f"{work.volume} is neither a folder nor a device", subject="--volume")
    return Result(outcome="Complete")
