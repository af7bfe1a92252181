"""The error of a command that can't be carried out as it was given."""

from __future__ import annotations


class UsageError(Exception):
    """Something in the command is wrong or missing; exit code 2."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
