"""Other owners for a tree that is there: users and groups are mapped, in ACLs too. Linux.

The map holds no id on both sides, so that a second pass changes nothing: a pass
that was killed is simply run again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from console.repository.acls import ACL_NAMES, map_acl
from console.repository.beneath import Beneath, folder_flags
from console.repository.errors import TargetUnfit
from console.repository.landing import refuse_fatal
from console.repository.pieces import Failures
from console.repository.results import RestoreResult
from console.repository.stopping import StopToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from console.repository.progress import Progress

_CAPABILITY = "security.capability"


def map_owners(
    folder: Path,
    owner_map: Iterable[tuple[int, int]],
    *,
    progress: Progress,
    stop: StopToken | None = None,
) -> RestoreResult:
    """Give every file below a folder, and the folder, its new owner and group.

    Follows no link. Modes with set-uid bits and capabilities stay; contents and
    times are not touched.

    Raises:
        ValueError: An id is on both sides: a second pass would map it again.
        TargetUnfit, Cancelled.
    """
    owners = dict(owner_map)
    if twice := sorted(set(owners) & set(owners.values())):
        raise ValueError(f"{twice[0]} is an old and a new owner")
    one = _Pass(owners, Failures(progress), progress, stop or StopToken())
    try:
        root = os.open(folder, folder_flags())
    except OSError as fault:
        raise TargetUnfit(f"{folder}: {fault.strerror}", subject=str(folder)) from fault
    try:
        with Beneath(root) as beneath:
            one.tree(beneath)
    except OSError as fault:
        raise TargetUnfit(f"{folder}: {fault.strerror}", subject=str(folder)) from fault
    finally:
        os.close(root)
    return RestoreResult(
        files=one.files, dirs=one.dirs, bytes=0, failures=tuple(one.failures.items)
    )


class _Pass:
    """One walk over a tree."""

    def __init__(
        self, owners: Mapping[int, int], failures: Failures, progress: Progress, stop: StopToken
    ) -> None:
        self.failures = failures
        self.files = self.dirs = 0
        self._owners = owners
        self._progress = progress
        self._stop = stop

    def tree(self, beneath: Beneath) -> None:
        """The root and all that is below it."""
        folders = [b""]
        while folders:
            self._stop.check()
            path = folders.pop()
            fd = beneath.folder(path)
            self._own(b"/proc/self/fd/%d" % fd, path, os.fstat(fd), follow=True)
            self.dirs += 1
            for name in sorted(os.listdir(fd)):
                inner = path + b"/" + os.fsencode(name) if path else os.fsencode(name)
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    folders.append(inner)
                    continue
                where = b"/proc/self/fd/%d/%b" % (fd, os.fsencode(name))
                self._own(where, inner, found, follow=False)
                self.files += 1
                self._progress.add(files_done=1)

    def _own(self, where: bytes, path: bytes, found: os.stat_result, *, follow: bool) -> None:
        """Owner first: it clears set-uid bits and capabilities, which are put back."""
        uid = self._owners.get(found.st_uid, found.st_uid)
        gid = self._owners.get(found.st_gid, found.st_gid)
        is_link = stat.S_ISLNK(found.st_mode)
        try:
            if (uid, gid) != (found.st_uid, found.st_gid):
                capability = b"" if is_link else _xattr(where, _CAPABILITY, follow=follow)
                os.chown(where, uid, gid, follow_symlinks=follow)
                if not is_link and found.st_mode & (stat.S_ISUID | stat.S_ISGID):
                    os.chmod(where, stat.S_IMODE(found.st_mode))
                if capability:
                    os.setxattr(where, _CAPABILITY, capability, follow_symlinks=follow)
            if not is_link:
                self._map_acls(where, follow=follow)
        except OSError as fault:
            refuse_fatal(fault)
            self.failures.system(path, "item.owner", fault)

    def _map_acls(self, where: bytes, *, follow: bool) -> None:
        for name in ACL_NAMES:
            value = _xattr(where, name, follow=follow)
            mapped = map_acl(value, self._owners)
            if mapped != value:
                os.setxattr(where, name, mapped, follow_symlinks=follow)


def _xattr(where: bytes, name: str, *, follow: bool) -> bytes:
    with contextlib.suppress(OSError):
        return os.getxattr(where, name, follow_symlinks=follow)
    return b""
