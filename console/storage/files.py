"""A store in a folder: a local disk, an NFS export, a mounted volume.

An object is the file of that path, so a folder with a restic repository in it
is read and written as restic itself does. A file is written beside its place
under a temporary name, flushed, and moved; then the folder is flushed.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from console.storage.errors import (
    AccessDenied,
    BadName,
    NoSuchObject,
    NoSuchStore,
    OutOfSpace,
    ReadOnly,
    ShortRead,
    StoreError,
    Unavailable,
)
from console.storage.names import TEMPORARY, checked_name, checked_prefix, is_object_name
from console.storage.protocol import ObjectInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_AWAY = {
    getattr(errno, name)
    for name in ("ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENOTCONN", "EREMOTEIO")
    if hasattr(errno, name)
}
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EMLINK, getattr(errno, "ENOTSUP", errno.ENOSYS)}
_NO_FLUSH = {errno.EINVAL, getattr(errno, "ENOTSUP", errno.EINVAL)}
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileStore:
    """Objects as files below a folder.

    Folders are made as they are needed, the store's own too; they stay when
    their last object goes. Files get mode 0600 and folders 0700.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._root = Path(os.path.abspath(folder))

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self._root)

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Store an object whole."""
        path = self._path(name)
        with self._told(name), self._written(path, data) as temporary:
            os.replace(temporary, path)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does."""
        path = self._path(name)
        with self._told(name):
            if path.exists():
                return False
            with self._written(path, data) as temporary:
                return _move_to_free_name(temporary, path)

    def get(self, name: str) -> bytes:
        """The object's bytes, whole."""
        path = self._path(name)
        with self._told(name):
            return path.read_bytes()

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`."""
        path = self._path(name)
        with self._told(name), path.open("rb", buffering=0) as file:
            file.seek(offset)
            parts: list[bytes] = []
            left = length
            while left and (part := file.read(left)):
                parts.append(part)
                left -= len(part)
        if left:
            message = f"{path} ends {left} bytes before {offset + length}"
            raise ShortRead(message, subject=name)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stat(self, name: str) -> ObjectInfo:
        """Name and size."""
        path = self._path(name)
        with self._told(name):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
            return ObjectInfo(name, path.stat().st_size)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below a prefix, folder by folder."""
        folders = [checked_prefix(prefix)]
        while folders:
            folder = folders.pop()
            for entry in self._entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{folder}{entry.name}/")
                else:
                    with suppress(FileNotFoundError):  # it went while we listed
                        yield ObjectInfo(folder + entry.name, entry.stat().st_size)

    def list_folders(self, prefix: str = "") -> Iterator[str]:
        """The folders directly below a prefix, empty ones too."""
        for entry in self._entries(checked_prefix(prefix)):
            if entry.is_dir(follow_symlinks=False):
                yield f"{entry.name}/"

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        path = self._path(name)
        with self._told(name), suppress(*_MISSING):
            if not path.is_dir():
                path.unlink()
                _flush_folder(path.parent)

    def clock(self) -> float:
        """The time the file system gives a new file: the file server's, on NFS.

        Where nothing may be written it is this machine's time.
        """
        if not self._root.is_dir():
            raise self._no_folder()
        probe = self._root / f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            with probe.open("xb") as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:
            return time.time()
        finally:
            with suppress(OSError):
                probe.unlink()

    def close(self) -> None:
        """Nothing to give back."""

    def _path(self, name: str) -> Path:
        return self._root.joinpath(*checked_name(name).split("/"))

    def _entries(self, prefix: str) -> Sequence[os.DirEntry[str]]:
        folder = self._root.joinpath(*prefix.split("/"))
        with self._told(prefix):
            try:
                with os.scandir(folder) as entries:
                    return [entry for entry in entries if is_object_name(entry.name)]
            except (FileNotFoundError, NotADirectoryError):
                if not self._root.is_dir():
                    raise self._no_folder() from None
                return []

    @contextmanager
    def _written(self, path: Path, data: bytes | memoryview) -> Iterator[Path]:
        """The data, durable under a temporary name; afterwards the move is made durable."""
        _make_folders(path.parent)
        temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
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
        _flush_folder(path.parent)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translated(error, name) from error

    def _translated(self, error: OSError, name: str) -> StoreError:
        said = error.strerror or type(error).__name__
        message = f"{self._root}: {name}: {said}"
        if isinstance(error, _MISSING):
            return NoSuchObject(f"there is no object {name} in {self._root}", subject=name)
        if error.errno == errno.EROFS:
            return ReadOnly(message, subject=name, hint="The file system is mounted read-only.")
        if isinstance(error, PermissionError):
            hint = f"Give the user that runs this the right to use {self._root}."
            return AccessDenied(message, subject=name, hint=hint)
        if error.errno in _FULL:
            return OutOfSpace(message, subject=name, hint="Make room, or raise the quota.")
        if error.errno == errno.ENAMETOOLONG:
            return BadName(message, subject=name)
        if error.errno in _AWAY:
            return Unavailable(message, subject=name, hint="Is the file server up and mounted?")
        return StoreError(message, subject=name, hint="Look at the disk and the system's log.")

    def _no_folder(self) -> NoSuchStore:
        hint = "Create the folder, or mount what should be there."
        return NoSuchStore(f"there is no folder {self._root}", subject=self.url, hint=hint)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
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


def _move_to_free_name(temporary: Path, path: Path) -> bool:
    """Give a finished file its name unless that is taken; exactly one of several movers wins."""
    try:
        if sys.platform == "win32":
            temporary.rename(path)  # refuses a taken name there
        else:
            os.link(temporary, path)
    except FileExistsError:
        # An NFS client that repeats a lost request sees its own first success.
        return temporary.stat().st_nlink > 1
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
