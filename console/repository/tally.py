"""What a backup has met: failures, sockets, folders, files. Thread-safe."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.repository.progress import Progress
    from console.repository.results import ItemFailure
    from console.repository.trees import Node


class Tally:
    """What a backup has met; thread-safe."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._lock = threading.Lock()
        self.failures: list[ItemFailure] = []
        self.skipped: list[ItemFailure] = []
        self.dirs_new = self.dirs_changed = self.dirs_unchanged = 0

    def fail(self, item: ItemFailure) -> None:
        """An item could not be read, or not wholly."""
        with self._lock:
            self.failures.append(item)
        self.progress.add(failed=1)

    def skip(self, item: ItemFailure) -> None:
        """An item is not stored, and that is no failure."""
        with self._lock:
            self.skipped.append(item)

    def folder(self, *, is_new: bool, is_changed: bool) -> None:
        """A folder's tree is stored."""
        with self._lock:
            self.dirs_new += is_new
            self.dirs_changed += is_changed
            self.dirs_unchanged += not (is_new or is_changed)

    def file(self, size: int, before: Node | None, *, unchanged: bool = False) -> None:
        """A file is stored."""
        self.progress.add(
            files_done=1,
            files_unchanged=int(unchanged),
            files_new=int(before is None),
            files_changed=int(before is not None and not unchanged),
            bytes_done=size if unchanged else 0,
        )
