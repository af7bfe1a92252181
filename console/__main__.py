"""The `kubehaven` command: hands over to the part of the product that was asked for."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is documented in docs/command-line.md."""
    from console.cli.main import run

    return run(sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
