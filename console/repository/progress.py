"""Counters of a running backup, restore or check; any thread may add or read."""

from __future__ import annotations

import threading

import msgspec


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment; bytes are of file content unless said otherwise."""

    bytes_total: int = 0  # known so far
    bytes_done: int = 0
    bytes_new: int = 0  # of blobs the repository did not hold, before compression
    bytes_stored: int = 0  # of those blobs, in packs
    files_total: int = 0  # known so far
    files_done: int = 0
    files_new: int = 0
    files_changed: int = 0
    files_unchanged: int = 0
    failed: int = 0


class Progress:
    """Thread-safe counters with the fields of `Counts`; one object per run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Counts.__struct_fields__, 0)
        self._expected = 0, 0

    def add(self, **amounts: int) -> None:
        """Add to counters by name."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] += amount

    def expect(self, *, bytes_total: int, files_total: int) -> None:
        """What to show as totals until more than that was found."""
        with self._lock:
            self._expected = bytes_total, files_total

    def snapshot(self) -> Counts:
        """All counters of one moment."""
        with self._lock:
            counts = Counts(**self._counts)
            expected_bytes, expected_files = self._expected
        return msgspec.structs.replace(
            counts,
            bytes_total=max(counts.bytes_total, expected_bytes),
            files_total=max(counts.files_total, expected_files),
        )
