"""The stop token: how long work is asked to end early."""

from __future__ import annotations

import threading

from console.repository.errors import Cancelled


class StopToken:
    """Set once, from any thread or a signal handler; looked at between blobs and files."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask the work to end; returns at once."""
        self._event.set()

    @property
    def stopped(self) -> bool:
        """Whether the work has been asked to end."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` when the work has been asked to end."""
        if self._event.is_set():
            raise Cancelled("the work was stopped on request")
