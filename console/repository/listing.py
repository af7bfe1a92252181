"""Which names in a folder of the store are files of the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.storage.protocol import ObjectStore

_ID = re.compile("[0-9a-f]{64}")


def list_files(store: ObjectStore, folder: str) -> list[str]:
    """The names of a folder's files, in order; what is not named by a hash is none of them.

    Restic writes a file under a name ending in `-tmp-<number>` first, and leaves it
    there when it is killed.
    """
    return sorted(
        info.name for info in store.list(folder) if _ID.fullmatch(info.name.rpartition("/")[2])
    )
