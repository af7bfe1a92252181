"""The window's commands as data: pages, their keys, their icons."""

from __future__ import annotations

from typing import NamedTuple


class PageEntry(NamedTuple):
    """One page of the rail; `title` is a key of the catalogue."""

    id: str
    title: str
    icon: str
    keys: str
    group: int


PAGES = (
    PageEntry("applications", "Applications", "boxes", "G, A", 0),
    PageEntry("points", "Restore points", "history", "G, R", 0),
    PageEntry("activity", "Activity", "activity", "G, Y", 0),
    PageEntry("locations", "Locations", "database", "G, L", 1),
    PageEntry("clusters", "Clusters", "layers-2", "G, C", 1),
)

FILTER_KEY = "/"
CLOSE_KEY = "Esc"
QUIT_KEY = "Ctrl+Q"


def page(page_id: str) -> PageEntry:
    """The entry of a page."""
    return next(entry for entry in PAGES if entry.id == page_id)


def keys_text(keys: str) -> str:
    """`g a`, as it is typed and shown in tooltips."""
    return keys.replace(", ", " ").lower()
