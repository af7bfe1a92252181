"""The `kubehaven` command: hands over to the part of the product that was asked for."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is documented in docs/command-line.md."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        return _open_desktop()
    from console.cli.main import run

    return run(given)


def _open_desktop() -> int:
    """The desktop on this process's own engine, where it is installed and can be shown."""
    why_not = _why_no_desktop()
    if why_not:
        sys.stderr.write(f"kubehaven: {why_not}; `kubehaven --help` lists the commands\n")
        return 2
    from console.app import run_desktop
    from console.engine import open_engine

    return run_desktop(lambda: open_engine(host_kind="desktop"))


def _why_no_desktop() -> str:
    if find_spec("PySide6") is None or find_spec("qasync") is None:
        return "the desktop is not installed: pip install 'kubehaven[desktop]'"
    shown = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in shown):
        return "there is no display to open the desktop on"
    return ""


if __name__ == "__main__":
    sys.exit(main())
