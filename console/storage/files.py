"""A store in a folder: a local disk, an NFS export, a mounted volume.

An object is the file of that path, so a folder with a restic repository in it
is read and written as restic itself does. Writes are whole and durable
(`durable`), under temporary names that neither we nor restic take for an object.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from console.storage.durable import create_file, flush_folder, replace_file, temporary_beside
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
        with self._told(name):
            replace_file(path, data)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        """Store an object unless the name exists; False when it does."""
        path = self._path(name)
        with self._told(name):
            return create_file(path, data)

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
                elif entry.is_file():
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
                flush_folder(path.parent)

    def clock(self) -> float:
        """The time the file system gives a new file: the file server's, on NFS.

        Where nothing may be written it is this machine's time.
        """
        if not self._root.is_dir():
            raise self._no_folder()
        probe = temporary_beside(self._root / "clock")
        try:
            with probe.open("xb") as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:
            return time.time()
        finally:
            with suppress(OSError):
                probe.unlink()

    def remove_stale_temporaries(self, *, older_than_s: float) -> tuple[str, ...]:
        """Take away what writers that died have left; the paths, relative to the folder.

        Age is by the folder's own file system. Nothing but our temporary files is
        touched, and no link is followed.
        """
        oldest = self.clock() - older_than_s
        removed = []
        with self._told(""):
            for where, _folders, files in os.walk(self._root, onerror=_raise):
                # the lock is one file for all writers, and never a leftover
                for name in {*files} - {f"{TEMPORARY}lock"}:
                    path = Path(where, name)
                    if name.startswith(TEMPORARY) and _is_older(path, oldest):
                        path.unlink(missing_ok=True)
                        removed.append(str(path.relative_to(self._root)))
        return tuple(sorted(removed))

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


def _raise(fault: OSError) -> None:
    raise fault


def _is_older(path: Path, oldest: float) -> bool:
    try:
        return path.lstat().st_mtime < oldest
    except FileNotFoundError:  # its writer has just finished
        return False
