"""Writing a restored tree: folders, files, links, devices, and their metadata. POSIX.

Everything is created new, reached by descriptors of folders below the target,
and no link is followed. One thread per `Landing`.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from typing import TYPE_CHECKING

from console.repository.acls import ACL_NAMES, map_acl
from console.repository.errors import TargetUnfit
from console.repository.results import ItemFailure
from console.repository.source import IGNORED_XATTRS, text_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from console.repository.beneath import Beneath
    from console.repository.trees import Node

BLOCK = 64 * 1024
_ZEROS = bytes(BLOCK)
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Landing:
    """Creates entries below a target folder."""

    def __init__(
        self,
        beneath: Beneath,
        *,
        owners: Mapping[int, int],
        report: Callable[[ItemFailure], None],
    ) -> None:
        self._beneath = beneath
        self._owners = owners
        self._report = report
        self._is_root = os.geteuid() == 0

    def make_folder(self, path: bytes) -> None:
        """An empty folder that only we may enter for now."""
        folder, name = self._split(path)
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            # a new volume has one of its own
            if path != b"lost+found":
                raise

    def make_special(self, path: bytes, node: Node) -> None:
        """A symlink, FIFO or device with its metadata."""
        folder, name = self._split(path)
        if node.type == "symlink":
            os.symlink(node.target, name, dir_fd=folder)
        elif node.type == "fifo":
            os.mkfifo(name, 0o600, dir_fd=folder)
        else:
            kind = stat.S_IFBLK if node.type == "dev" else stat.S_IFCHR
            os.mknod(name, 0o600 | kind, node.device, dir_fd=folder)
        self._dress_name(path, folder, name, node)

    def create_file(self, path: bytes) -> int:
        """A descriptor of a new, empty file."""
        folder, name = self._split(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=folder)

    def reopen_file(self, path: bytes) -> int:
        """A descriptor of a file made before."""
        folder, name = self._split(path)
        return os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)

    def remove_file(self, path: bytes) -> None:
        """Take a file away that could not be completed."""
        folder, name = self._split(path)
        os.unlink(name, dir_fd=folder)

    def link(self, first: bytes, path: bytes) -> None:
        """Another name for a file made before."""
        from_folder, from_name = self._split(first)
        folder, name = self._split(path)
        os.link(from_name, name, src_dir_fd=from_folder, dst_dir_fd=folder, follow_symlinks=False)

    def dress_folder(self, path: bytes, node: Node) -> None:
        """A folder's metadata, when nothing more is made in it."""
        self.dress(self._beneath.folder(path), path, node)

    def dress(self, fd: int, path: bytes, node: Node) -> None:
        """Owner, xattrs, mode and times of an open file or folder.

        In this order: changing the owner clears set-uid bits and capabilities, and
        a mode without write permission would keep xattrs out.
        """
        owner = self._owner(node)
        self._try(path, "item.owner", lambda: os.fchown(fd, *owner), needs_root=True)
        self._set_xattrs(fd, path, node)
        self._try(path, "item.mode", lambda: os.fchmod(fd, node.unix_mode))
        self._try(path, "item.times", lambda: os.utime(fd, ns=(node.mtime_ns, node.mtime_ns)))

    def _dress_name(self, path: bytes, folder: int, name: bytes, node: Node) -> None:
        """The metadata of what can't be opened."""
        uid, gid = self._owner(node)
        self._try(
            path,
            "item.owner",
            lambda: os.chown(name, uid, gid, dir_fd=folder, follow_symlinks=False),
            needs_root=True,
        )
        self._set_xattrs(b"/proc/self/fd/%d/%b" % (folder, name), path, node)
        if node.type != "symlink":
            self._try(path, "item.mode", lambda: os.chmod(name, node.unix_mode, dir_fd=folder))
        ns = node.mtime_ns
        self._try(
            path,
            "item.times",
            lambda: os.utime(name, ns=(ns, ns), dir_fd=folder, follow_symlinks=False),
        )

    def _set_xattrs(self, where: int | bytes, path: bytes, node: Node) -> None:
        follow = isinstance(where, int)
        for attribute in node.extended_attributes or ():
            name, value = attribute.name, attribute.value or b""
            if name in ACL_NAMES:
                value = map_acl(value, self._owners)
            if name not in IGNORED_XATTRS:
                put = functools.partial(os.setxattr, where, name, value, follow_symlinks=follow)
                self._try(path, "item.xattr", put, what=name)

    def _owner(self, node: Node) -> tuple[int, int]:
        return self._owners.get(node.uid, node.uid), self._owners.get(node.gid, node.gid)

    def _try(
        self,
        path: bytes,
        code: str,
        change: Callable[[], None],
        *,
        what: str = "",
        needs_root: bool = False,
    ) -> None:
        try:
            change()
        except OSError as fault:
            refuse_fatal(fault)
            if needs_root and not self._is_root:
                return  # as cp and tar: an ordinary user's files are his own
            message = f"{what}: {fault.strerror}" if what else fault.strerror or str(fault)
            self._report(ItemFailure(text_path(path), code, message))
        except (ValueError, OverflowError) as fault:
            self._report(ItemFailure(text_path(path), code, str(fault)))

    def _split(self, path: bytes) -> tuple[int, bytes]:
        """A descriptor of the folder a path is in, and the name in it."""
        folder, _, name = path.rpartition(b"/")
        return self._beneath.folder(folder), name


def refuse_fatal(fault: OSError) -> None:
    """`TargetUnfit` for what would fail every file: no room, read-only."""
    if fault.errno in _FATAL:
        raise TargetUnfit(
            f"the target can't be written: {fault.strerror}",
            hint="make room, or restore to another folder",
        ) from fault


def write_sparse(fd: int, content: bytes, offset: int) -> None:
    """Write content to a file that has its full length already; zeros are left as holes."""
    length = len(content)
    start = at = 0
    while at < length:
        end = min(at + BLOCK - (offset + at) % BLOCK, length)
        if content.startswith(_ZEROS[: end - at], at):
            _write(fd, content, start, at, offset)
            start = end
        at = end
    _write(fd, content, start, length, offset)


def _write(fd: int, content: bytes, start: int, end: int, offset: int) -> None:
    view = memoryview(content)
    while start < end:
        start += os.pwrite(fd, view[start:end], offset + start)
