"""The sample application: a page that counts its views.

The count is in a SQLite file on the volume `data`, a line per view in a file on
the volume `log`. `/` counts and shows, `/count` only shows.
"""

from __future__ import annotations

import html
import os
import signal
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Visits:
    """The counter and its log."""

    def __init__(self, data: Path, log: Path) -> None:
        self._log = log / "views.log"
        self._database = sqlite3.connect(data / "visits.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS views (at_ns INTEGER NOT NULL)")

    def add(self) -> int:
        """Count one view; returns how many there are now."""
        at_ns = time.time_ns()
        self._database.execute("INSERT INTO views VALUES (?)", (at_ns,))
        count = self.count()
        with self._log.open("a") as log:
            log.write(f"{at_ns} view {count}\n")
        return count

    def count(self) -> int:
        """How many views there are."""
        (count,) = self._database.execute("SELECT count(*) FROM views").fetchone()
        return int(count)


class Page(BaseHTTPRequestHandler):
    """Serves the page."""

    visits: Visits
    title: str

    def do_GET(self) -> None:
        """Answer `/`, `/count` and `/ready`."""
        match self.path:
            case "/":
                count, title = self.visits.add(), html.escape(self.title)
                self._answer(
                    f"<!doctype html><title>{title}</title><h1>{title}</h1><p>views: {count}</p>\n",
                    "text/html; charset=utf-8",
                )
            case "/count":
                self._answer(f"{self.visits.count()}\n", "text/plain")
            case "/ready":
                self._answer("ok\n", "text/plain")
            case _:
                self.send_error(404)

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Page.visits = Visits(Path(os.environ["DATA"]), Path(os.environ["LOG"]))
    Page.title = os.environ.get("TITLE", "Visits")
    server = HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page)
    sys.stdout.write(f"views so far: {Page.visits.count()}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
