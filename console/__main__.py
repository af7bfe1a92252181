"""The `kubehaven` command: hands over to the part of the product that was asked for."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is documented in docs/command-line.md."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        return _open_desktop()
    from console.cli.main import run

    return run(given)


def _open_desktop() -> int:
    """The desktop on this process's own engine, where it is installed and can be shown."""
    from console.cli.desktop import why_no_desktop

    why_not = why_no_desktop()
    if why_not:
        sys.stderr.write(f"kubehaven: {why_not}; `kubehaven --help` lists the commands\n")
        return 2
    from console.app import run_desktop
    from console.engine import open_engine

    return run_desktop(lambda: open_engine(host_kind="desktop"))


if __name__ == "__main__":
    sys.exit(main())
