"""The image that stamps folders with the time: every second, all of them, one after the other.

Its arguments are the folders. Each gets a file `stamp` with the time in
nanoseconds and a file `stamps` that grows by one line of it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def stamp(folder: Path) -> None:
    """Write the time into a folder, durably."""
    text = f"{time.time_ns()}\n"
    with (folder / "stamps").open("a") as stamps:
        stamps.write(text)
        stamps.flush()
        os.fsync(stamps.fileno())
    new = folder / "stamp.new"
    new.write_text(text)
    new.replace(folder / "stamp")


if __name__ == "__main__":
    while True:
        for name in sys.argv[1:]:
            stamp(Path(name))
        time.sleep(1)
