"""What containers print: kept in files, followed as it comes."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Log:
    """One container's output, over all of its restarts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._news = asyncio.Event()
        self._closed = False

    async def pump(self, source: asyncio.StreamReader) -> None:
        """Keep what comes until its end."""
        while data := await source.read(65536):
            os.write(self._fd, data)
            self._wake()

    def close(self) -> None:
        """No more comes."""
        if not self._closed:
            self._closed = True
            self._wake()

    def free(self) -> None:
        """Give the file up."""
        self.close()
        os.close(self._fd)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def so_far(self, tail: int | None) -> bytes:
        """Everything, or the last lines."""
        data = self._path.read_bytes()
        if tail is None:
            return data
        lines = data.splitlines(keepends=True)
        return b"".join(lines[-tail:]) if tail else b""

    async def follow(self, tail: int | None) -> AsyncIterator[bytes]:
        """What is there, then what comes, until the container is over."""
        at = os.fstat(self._fd).st_size
        yield self.so_far(tail)
        while True:
            news = self._news
            if data := os.pread(self._fd, 65536, at):
                at += len(data)
                yield data
            elif self._closed:
                return
            else:
                await news.wait()
