"""A worker that dies right after its N-th write to the store.

`python -m tests.worker.killed_after N PREFIX ARGUMENTS OF kubehaven worker…`: the
process ends at once, without any clean-up. Only writes to names that begin with
PREFIX count. A worker that writes less ends as ever.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from console.__main__ import main
from console.storage import open_store
from console.worker import work
from tests.fakes.hooked_store import HookedStore

if TYPE_CHECKING:
    from console.storage import ObjectStore

KILLED = 137


class DyingStore(HookedStore):
    """A store that takes the process with it after so many writes below a prefix."""

    def __init__(self, inner: ObjectStore, writes: int, prefix: str) -> None:
        super().__init__(inner, lambda _number, _name: None)
        self._prefix = prefix
        self._left = writes

    def put(self, name: str, data: bytes | memoryview) -> None:
        super().put(name, data)
        self._written("put", name)

    def create(self, name: str, data: bytes | memoryview) -> bool:
        made = super().create(name, data)
        self._written("create", name)
        return made

    def delete(self, name: str) -> None:
        super().delete(name)
        self._written("delete", name)

    def _written(self, how: str, name: str) -> None:
        if not name.startswith(self._prefix):
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.write(2, f"killed after {how} {name}\n".encode())
                os._exit(KILLED)


def run() -> int:
    """Run the worker on a dying store."""
    writes, prefix, *arguments = sys.argv[1:]

    def open_dying(url: str, **how: Any) -> ObjectStore:
        return DyingStore(open_store(url, **how), int(writes), prefix)

    with patch.object(work, "open_store", open_dying):
        return main(["worker", *arguments])


if __name__ == "__main__":
    sys.exit(run())
