"""`python -m tests.cli.repo.braked WORDS…`: kubehaven, slow at every file of a name with `slow`.

A test that stops a command in its midst needs one that can't be done before.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from console.cli import main

PER_FILE_S = 0.1


def _brake(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and "slow" in str(arguments[0]):
        time.sleep(PER_FILE_S)


if __name__ == "__main__":
    sys.addaudithook(_brake)
    raise SystemExit(main.run(sys.argv[1:]))
