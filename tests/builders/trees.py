"""Trees of files for backups: odd ones, real ones, and a comparer of two trees."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MODES = {b"sticky": 0o1777, b"suid": 0o4755, b"sgid": 0o2711, b"nomode": 0, b"": 0o2750}
_CHUNK = 1 << 20


class Seen(NamedTuple):
    """What two trees are compared by."""

    kind: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int  # of files
    links: int  # of anything but folders
    target: bytes  # of symlinks
    device: int
    xattrs: tuple[tuple[str, bytes], ...]


def look(path: bytes) -> Seen:
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    return Seen(
        kind=kind,
        mode=stat.S_IMODE(st.st_mode),
        uid=st.st_uid,
        gid=st.st_gid,
        mtime_ns=st.st_mtime_ns,
        size=st.st_size if kind == stat.S_IFREG else 0,
        links=st.st_nlink if kind != stat.S_IFDIR else 0,
        target=os.readlink(path) if kind == stat.S_IFLNK else b"",
        device=st.st_rdev if kind in {stat.S_IFBLK, stat.S_IFCHR} else 0,
        xattrs=_xattrs(path),
    )


def differences(one: Path, other: Path, *, root: bool = True, limit: int = 20) -> list[str]:
    """What differs between two trees: content, mode, owner, mtime, targets, links, xattrs.

    Sockets are left out. `root`: compare the top folders' own metadata too.
    """
    left, right = _tree(one), _tree(other)
    found = [f"only in one: {path!r}" for path in sorted(left.keys() ^ right.keys())]
    for path in sorted(left.keys() & right.keys()):
        if not path and not root:
            continue
        if left[path] != right[path]:
            pairs = zip(Seen._fields, left[path], right[path], strict=True)
            found.append(f"{path!r}: {[(n, a, b) for n, a, b in pairs if a != b]}")
        elif left[path].kind == stat.S_IFREG and not _same_content(one, other, path):
            found.append(f"{path!r}: content")
    found.extend(
        f"hard links: {sorted(group)[:4]!r}"
        for group in _link_groups(one, left) ^ _link_groups(other, right)
    )
    return found[:limit]


def make_odd_tree(root: Path) -> Path:
    """Odd names, links, devices, xattrs, ACLs, holes, times; needs root for owners and devices."""
    root.mkdir(parents=True)
    top = os.fsencode(root)

    def put(name: bytes, content: bytes = b"x") -> bytes:
        path = top + b"/" + name
        with open(path, "wb") as file:
            file.write(content)
        return path

    for name in (
        b"plain", b"with space", b'quo"te', b"back\\slash", b"new\nline", b"tab\t", b"bell\a",
        b"del\x7f", b"ctl\x01x", b"<html>&", b"bad\xff\xfeutf8", b"\xed\xa0\x80surrogate", b"-dash",
        "é-日本".encode(), "emoji😀".encode(), "zwsp\u200b".encode(), "nbsp\u00a0".encode(),
        "line\u2028sep".encode(), "\ufffd".encode(), "\U000e0001tag".encode(), b"a" * 255,
        b"...", b"..x", b"a.b", b"a-b",
    ):  # fmt: skip
        put(name, b"content of " + name)
    put(b"empty", b"")
    put(b"dup1", b"same" * 1000)
    put(b"dup2", b"same" * 1000)
    put(b"zero4m", bytes(4 << 20))
    put(b"random3m", os.urandom(3 << 20))
    put(b"mid600k", b"0123456789abcdef" * 38400)
    os.makedirs(top + b"/a/" + b"\xff\xfe" + b"/deep")
    put(b"a/x", b"in a")
    put(b"a/\xff\xfe/deep/y", b"in deep")
    os.mkdir(top + b"/emptydir", 0o711)
    os.mkdir(top + b"/sticky")
    for name in (b"suid", b"sgid", b"nomode"):
        put(name)
    os.symlink(b"plain", top + b"/link")
    os.symlink(b"no/such <t>\xff", top + b"/dangling")
    os.symlink(b"/etc", top + b"/absolute")
    os.link(top + b"/plain", top + b"/hard1")
    os.link(top + b"/plain", top + b"/a/hard2")
    os.link(top + b"/random3m", top + b"/a/hardbig")
    os.mkfifo(top + b"/fifo", 0o640)
    _decorate(top)
    with open(top + b"/sparse", "wb") as file:
        file.seek(10 << 20)
        file.write(b"mid")
        file.seek(50 << 20)
        file.write(b"end")
    for name, ns in ((b"empty", 10**18 + 120), (b"dup1", -5 * 10**9 + 7), (b"dup2", 0)):
        os.utime(top + b"/" + name, ns=(ns, ns))
    os.utime(top + b"/link", ns=(1, 123_000_000), follow_symlinks=False)
    os.utime(top + b"/emptydir", ns=(5, 1_600_000_000_123_456_789))
    for name, mode in MODES.items():
        os.chmod(top + b"/" + name, mode)
    os.utime(root, ns=(7, 1_500_000_000_000_000_001))
    return root


def _decorate(top: bytes) -> None:
    """Owners, devices, xattrs and ACLs."""
    os.setxattr(top + b"/plain", "user.test", b"\0\1binary")
    os.setxattr(top + b"/plain", "user.empty", b"")
    os.setxattr(top + b"/emptydir", "user.d", b"v")
    os.setxattr(top, "user.root", b"of the root")
    acl = bytes.fromhex(
        "0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000400ffffffff"
    )
    os.setxattr(top + b"/dup1", "system.posix_acl_access", acl)
    os.setxattr(top + b"/sticky", "system.posix_acl_default", acl)
    if os.geteuid() == 0:
        os.chown(top + b"/dup2", 1000, 12345)
        os.chown(top + b"/emptydir", 70000, 70001)
        os.lchown(top + b"/link", 1000, 1000)
        os.chown(top, 999, 998)
        with suppress(PermissionError):
            os.mknod(top + b"/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            os.mknod(top + b"/loop", 0o660 | stat.S_IFBLK, os.makedev(7, 0))
            os.setxattr(
                top + b"/suid", "security.capability", bytes.fromhex("01000002" + "00" * 16)
            )


def add_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def copy_real_files(root: Path, *, max_files: int | None = None) -> int:
    """Fill a folder with real files: the standard library, then the shared data folder.

    Returns how many there are.
    """
    root.mkdir(parents=True, exist_ok=True)
    count = 0
    for source in (sysconfig.get_path("stdlib"), "/usr/share"):
        for folder, names, files in os.walk(source):
            names[:] = [name for name in names if name != "site-packages"]
            there = root / Path(source).name / os.path.relpath(folder, source)
            there.mkdir(parents=True, exist_ok=True)
            for name in files:
                if max_files is not None and count >= max_files:
                    return count
                with suppress(OSError):
                    shutil.copy2(os.path.join(folder, name), there / name, follow_symlinks=False)
                    count += 1
    return count


def _tree(root: Path) -> dict[bytes, Seen]:
    top = os.fsencode(root)
    found = {b"": look(top)}
    stack = [b""]
    while stack:
        folder = stack.pop()
        for name in os.listdir(os.path.join(top, folder)):
            path = os.path.join(folder, name)
            seen = look(os.path.join(top, path))
            if seen.kind == stat.S_IFSOCK:
                continue
            found[path] = seen
            if seen.kind == stat.S_IFDIR:
                stack.append(path)
    return found


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(os.listxattr(path, follow_symlinks=False))
        if name != "security.selinux"
    )


def _same_content(one: Path, other: Path, path: bytes) -> bool:
    with (
        open(os.path.join(os.fsencode(one), path), "rb") as left,
        open(os.path.join(os.fsencode(other), path), "rb") as right,
    ):
        while (piece := left.read(_CHUNK)) == right.read(_CHUNK):
            if not piece:
                return True
    return False


def _link_groups(root: Path, tree: dict[bytes, Seen]) -> set[frozenset[bytes]]:
    groups: dict[int, set[bytes]] = {}
    for path, seen in tree.items():
        if seen.kind == stat.S_IFREG and seen.links > 1:
            groups.setdefault(os.lstat(os.path.join(os.fsencode(root), path)).st_ino, set()).add(
                path
            )
    return {frozenset(group) for group in groups.values()}
