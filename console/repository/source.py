"""Reading the tree to back up: folders, nodes, xattrs, file content, holes. POSIX.

Everything is reached by descriptors of folders and without following a link, so
a tree that changes under the reader can't lead it elsewhere.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from console.repository.beneath import Beneath
from console.repository.quoting import quote
from console.repository.results import ItemFailure
from console.repository.trees import ExtendedAttribute, Node, format_time, go_mode

if sys.platform != "win32":
    import grp
    import pwd

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.repository.stopping import StopToken

IGNORED_XATTRS = frozenset({"security.selinux"})  # belongs to the node, not to the data
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "dev",
    stat.S_IFCHR: "chardev",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_NO_XATTRS = {errno.ENOTSUP, errno.ENODATA, errno.ENOSYS}


class Item(NamedTuple):
    """One entry of a folder as it was when the folder was read."""

    name: bytes
    stat: os.stat_result

    @property
    def kind(self) -> str:
        """The node type."""
        return _KINDS.get(stat.S_IFMT(self.stat.st_mode), "")


def text_path(path: bytes) -> str:
    """A path for people; bytes that are not UTF-8 as surrogates."""
    return path.decode("utf-8", "surrogateescape")


def failure(path: bytes, fault: OSError) -> ItemFailure:
    """What went wrong with an item, by the system's error."""
    codes = {
        errno.ENOENT: "item.vanished",
        errno.ESTALE: "item.vanished",
        errno.ENOTDIR: "item.vanished",
        errno.ELOOP: "item.vanished",  # a link stands where a file or folder was
        errno.EACCES: "item.denied",
        errno.EPERM: "item.denied",
    }
    code = codes.get(fault.errno or 0, "item.read")
    return ItemFailure(text_path(path), code, fault.strerror or str(fault))


def read_folder(fd: int, on_failure: Callable[[bytes, OSError], None]) -> list[Item]:
    """A folder's entries in the order of their names' bytes."""
    items = []
    with os.scandir(fd) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            try:
                items.append(Item(name, entry.stat(follow_symlinks=False)))
            except OSError as fault:
                on_failure(name, fault)
    items.sort()
    return items


def count_tree(root: int, stop: StopToken) -> tuple[int, int]:
    """Bytes and files of a tree, as far as it can be read; what was met so far after a stop."""
    total = files = 0
    stack = [b""]
    with Beneath(root) as beneath:
        while stack and not stop.stopped:
            path = stack.pop()
            try:
                items = read_folder(beneath.folder(path), lambda _name, _fault: None)
            except OSError:
                continue  # the backup itself reports it
            for item in items:
                if item.kind == "file":
                    total += item.stat.st_size
                    files += 1
                elif item.kind == "dir":
                    stack.append(path + b"/" + item.name if path else item.name)
    return total, files


def open_file(folder: int, name: bytes) -> int:
    """A descriptor of a file, leaving its access time alone where allowed.

    O_NONBLOCK: where the file has become a FIFO, opening must not wait.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags | getattr(os, "O_NOATIME", 0), dir_fd=folder)
    except PermissionError:
        return os.open(name, flags, dir_fd=folder)


def make_node(item: Item) -> Node:
    """A node with what stat says; xattrs, targets and content are added by others."""
    name, st = item
    kind = item.kind
    mtime = format_time(st.st_mtime_ns)
    node = Node(
        quoted_name=quote(name),
        type=kind,
        mode=go_mode(st.st_mode),
        mtime=mtime,
        atime=mtime,  # restic's default: reading a file must not change its folder's tree
        ctime=format_time(st.st_ctime_ns),
        uid=st.st_uid,
        gid=st.st_gid,
        user=_user(st.st_uid),
        group=_group(st.st_gid),
        inode=st.st_ino,
    )
    if kind == "file":
        node.size = st.st_size
        node.content = []
    if kind in {"file", "symlink", "dev", "chardev"}:
        node.links = st.st_nlink
        if st.st_nlink > 1:
            node.device_id = st.st_dev
    if kind in {"dev", "chardev"}:
        node.device = st.st_rdev
    return node


def special_node(folder: int, item: Item) -> Node:
    """The node of anything but a file or a folder."""
    node = make_node(item)
    if node.type == "symlink":
        target = os.readlink(item.name, dir_fd=folder)
        node.linktarget = target.decode("utf-8", "surrogateescape")
        if not _is_utf8(target):
            node.linktarget_raw = target
    node.extended_attributes = read_xattrs(_by_descriptor(folder, item.name))
    return node


def read_xattrs(where: int | bytes) -> list[ExtendedAttribute] | None:
    """The xattrs of a descriptor, or of a path itself; None where there are none."""
    follow = isinstance(where, int)
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError as fault:
        if fault.errno in _NO_XATTRS:
            return None
        raise
    found = []
    for name in names:
        if name in IGNORED_XATTRS:
            continue
        try:
            value = os.getxattr(where, name, follow_symlinks=follow)
        except OSError as fault:
            if fault.errno in _NO_XATTRS:
                continue  # removed meanwhile
            raise
        text = os.fsencode(name).decode("utf-8", "replace")
        found.append(ExtendedAttribute(text, value))
    return found or None


def next_data(fd: int, offset: int) -> int:
    """Where the next byte of data may stand, at or after an offset; the end is far away."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as fault:
        return sys.maxsize if fault.errno == errno.ENXIO else offset


def _by_descriptor(folder: int, name: bytes) -> bytes:
    """A path to a name in an open folder; the only way to xattrs of links and devices."""
    return b"/proc/self/fd/%d/%b" % (folder, name)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@functools.lru_cache(maxsize=1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


@functools.lru_cache(maxsize=1024)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
