"""Exit codes, as docs/command-line.md promises them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DONE = 0
FAILED = 1
USAGE = 2
PARTIAL = 3
CANCELLED = 4
NO_REPOSITORY = 10
LOCKED = 11
WRONG_PASSWORD = 12
INTERRUPTED = 130

_BY_OUTCOME = {"Complete": DONE, "Skipped": DONE, "Partial": PARTIAL, "Cancelled": CANCELLED}
_BY_CODE = {
    "repository.missing": NO_REPOSITORY,
    "repository.locked": LOCKED,
    "repository.password": WRONG_PASSWORD,
    "location.wrong_key": WRONG_PASSWORD,
}
_GRAVITY = (DONE, PARTIAL, CANCELLED, FAILED)


def exit_of_outcome(outcome: str) -> int:
    """The exit code of work that ended with an outcome."""
    return _BY_OUTCOME.get(outcome, FAILED)


def exit_of_error(code: str) -> int:
    """The exit code of an error by its stable code."""
    return _BY_CODE.get(code, FAILED)


def worst(codes: Iterable[int]) -> int:
    """The gravest of the exit codes of several pieces of work."""
    return max(codes, key=lambda code: _GRAVITY.index(code) if code in _GRAVITY else len(_GRAVITY))
