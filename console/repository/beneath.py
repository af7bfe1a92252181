"""Reaching folders below a root without following any link. Linux and other POSIX.

`openat2` does it in one call where the kernel has it; elsewhere each step is
opened by itself with O_NOFOLLOW. Names are bytes; paths are relative to the root.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 2, 4, 8
_MAX_PATH = 4000  # longer ones are walked
_KEPT = 32


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class Beneath:
    """The folders below a root, for one thread; keeps the last few open.

    Args:
        stepwise: Never use `openat2`.
    """

    def __init__(self, root: int, *, stepwise: bool = False) -> None:
        # not a duplicate: that would share the position of reading the folder's entries
        self._root = os.open(b".", folder_flags(), dir_fd=root)
        self._kept: OrderedDict[bytes, int] = OrderedDict()
        self._stepwise = stepwise or not _has_openat2()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in (*self._kept.values(), self._root):
            os.close(fd)
        self._kept.clear()

    def folder(self, path: bytes) -> int:
        """A descriptor of a folder, good until 32 others were asked for; `OSError` otherwise."""
        if not path:
            return self._root
        fd = self._kept.get(path)
        if fd is not None:
            self._kept.move_to_end(path)
            return fd
        fd = self._open(path)
        self._kept[path] = fd
        if len(self._kept) > _KEPT:
            os.close(self._kept.popitem(last=False)[1])
        return fd

    def _open(self, path: bytes) -> int:
        if self._stepwise or len(path) > _MAX_PATH:
            return _walk(self._root, path.split(b"/"))
        return _openat2(self._root, path)


def folder_flags() -> int:
    """The flags a folder is opened with: itself or nothing."""
    return os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _walk(root: int, steps: list[bytes]) -> int:
    fd = os.dup(root)
    for step in steps:
        if step in {b"", b".", b".."}:
            os.close(fd)
            raise OSError(errno.EXDEV, "the path leaves the tree")
        try:
            deeper = os.open(step, folder_flags(), dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root: int, path: bytes) -> int:
    how = _OpenHow(
        folder_flags(), 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    )
    while True:
        fd: int = _libc().syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(root),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in {errno.EAGAIN, errno.EINTR}:
            raise OSError(code, os.strerror(code), os.fsdecode(path))


@functools.cache
def _has_openat2() -> bool:
    """Whether the kernel, and what filters its calls, allows `openat2`."""
    if not sys.platform.startswith("linux"):
        return False
    fd = os.open("/", folder_flags())
    try:
        with contextlib.suppress(OSError):
            os.close(_openat2(fd, b"."))
            return True
        return False
    finally:
        os.close(fd)
