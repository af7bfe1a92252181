"""The first code of every process that stands for a container.

`python -m console.sandbox.container <parent> <module> <arguments>` ties the
process to the sandbox (it dies when the sandbox does) and becomes the module;
with `exec` in its place, the program that the arguments name.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux; elsewhere nothing)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    module = sys.argv[2]
    if module == "exec":
        os.execvp(sys.argv[3], sys.argv[3:])  # noqa: S606 - from the list in executing.py
    sys.argv = [module, *sys.argv[3:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
