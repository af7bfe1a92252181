"""Volumes and snapshots as folders."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import uuid
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_HANDLE = re.compile(r"[A-Za-z0-9][\w-]{0,99}")
_UNITS = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip


def bytes_of(quantity: str | int) -> int:
    """The bytes of a quantity such as 1Gi."""
    found = re.fullmatch(r"([\d.]+)([kMGTP]i?|Ki|)", str(quantity))
    return int(float(found[1]) * _UNITS[found[2]]) if found else int(float(quantity))


def quantity_of(size: int) -> str:
    """The shortest exact quantity of a number of bytes."""
    for unit in ("Pi", "Ti", "Gi", "Mi", "Ki"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


class Cut(NamedTuple):
    """What a snapshot knows of itself."""

    size_bytes: int
    taken_ns: int


class CopyError(Exception):
    """A copy that did not end well."""


class Folders:
    """The storage behind the driver: a folder per handle."""

    def __init__(self, root: Path) -> None:
        self._volumes, self._snapshots = root / "volumes", root / "snapshots"
        self._trash = root / "trash"
        self.sizes: dict[str, int] = {}
        self.cuts: dict[str, Cut] = {}
        for folder in (self._volumes, self._snapshots, self._trash):
            folder.mkdir(parents=True, exist_ok=True)

    def volume(self, handle: str) -> Path | None:
        """The folder of a volume; None when there is none."""
        return _existing(self._volumes, handle)

    def snapshot(self, handle: str) -> Path | None:
        """The folder of a snapshot; None when there is none."""
        return _existing(self._snapshots, handle)

    async def new_volume(self, size_bytes: int, source: Path | None) -> str:
        """A new volume, empty or a copy; returns its handle."""
        handle = f"vol-{uuid.uuid4()}"
        if source is None:
            (self._volumes / handle).mkdir()
        else:
            await copy_tree(source, self._volumes / handle)
        self.sizes[handle] = size_bytes
        return handle

    async def new_snapshot(self, source: Path, handle: str, cut: Cut) -> None:
        """A copy of a volume under a snapshot's handle."""
        await copy_tree(source, self._snapshots / handle)
        self.cuts[handle] = cut

    async def destroy(self, folder: Path | None) -> None:
        """Free a folder: it is out of reach at once, its bytes soon after."""
        if folder is None:
            return
        hidden = self._trash / str(uuid.uuid4())
        _move(folder, hidden)
        await asyncio.to_thread(shutil.rmtree, hidden, ignore_errors=True)


def _existing(root: Path, handle: str) -> Path | None:
    folder = root / handle
    return folder if _HANDLE.fullmatch(handle) and folder.is_dir() else None


def _move(source: Path, target: Path) -> None:
    source.rename(target)


async def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder with owners, modes, times, xattrs, links and holes; shares blocks if it can."""
    unfinished = target.with_name(f".{target.name}")
    process = await asyncio.create_subprocess_exec(
        "cp", "-a", "--reflink=auto", "--", os.fspath(source), os.fspath(unfinished),
        stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, told = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        raise CopyError(f"cp: {told.decode(errors='replace')[:500]}")
    _move(unfinished, target)
