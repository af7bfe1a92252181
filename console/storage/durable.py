"""Files that are whole or not there: write beside the place, flush, move, flush the folder.

POSIX and Windows. Files get mode 0600 and folders 0700. Everything here raises
`OSError`.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from console.storage.names import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EMLINK, getattr(errno, "ENOTSUP", errno.ENOSYS)}
_NO_FLUSH = {errno.EINVAL, getattr(errno, "ENOTSUP", errno.EINVAL)}


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Write a file whole, in place of one that may be there; missing folders are made."""
    with _written(path, data) as temporary:
        os.replace(temporary, path)


def create_file(path: Path, data: bytes | memoryview) -> bool:
    """Write a file whole unless the name is taken, then False; missing folders are made.

    Exactly one of several concurrent creators gets True.
    """
    if os.path.lexists(path):
        return False
    with _written(path, data) as temporary:
        return _move_to_free_name(temporary, path)


def flush_folder(folder: Path) -> None:
    """Make what was created, moved or removed in a folder durable."""
    if sys.platform == "win32":
        return  # a folder can't be opened there; NTFS journals the move
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise
    finally:
        os.close(descriptor)


def temporary_beside(path: Path) -> Path:
    """A new name in the same folder that no store lists."""
    return path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")


@contextmanager
def _written(path: Path, data: bytes | memoryview) -> Iterator[Path]:
    """The data, durable under a temporary name; afterwards the move is made durable."""
    _make_folders(path.parent)
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb", buffering=0, opener=_private) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    flush_folder(path.parent)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    flush_folder(folder.parent)


def _move_to_free_name(temporary: Path, path: Path) -> bool:
    """Give a finished file its name unless that is taken; exactly one of several movers wins."""
    try:
        if sys.platform == "win32":
            temporary.rename(path)  # refuses a taken name there
        else:
            os.link(temporary, path)
    except FileExistsError:
        # An NFS client that repeats a lost request sees its own first success.
        return temporary.exists() and temporary.stat().st_nlink > 1
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _move_under_lock(temporary, path)
    return True


def _move_under_lock(temporary: Path, path: Path) -> bool:
    """The same where the file system has no hard links (FAT, some network mounts)."""
    import fcntl  # POSIX only, as is whoever comes here

    with (path.parent / f"{TEMPORARY}lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return False
        temporary.rename(path)
        return True
