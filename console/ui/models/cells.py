"""What one cell shows: a value the delegate paints, with text ready to draw."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt

CELL = Qt.ItemDataRole.UserRole + 1
SORT = Qt.ItemDataRole.UserRole + 2
KEY = Qt.ItemDataRole.UserRole + 3

# state -> (icon, colour token); the word is always written next to it
STATES = {
    "protected": ("circle-check", "good"),
    "done": ("circle-check", "good"),
    "waiting": ("clock", "info"),
    "late": ("triangle-alert", "warn"),
    "partial": ("triangle-alert", "warn"),
    "failing": ("circle-x", "bad"),
    "unprotected": ("circle-dashed", "t3"),
    "running": ("loader-circle", "accent"),
    "removed": ("history", "t3"),
    "cancelled": ("ban", "t3"),
}
# only these colour their word too; fourteen green words would be noise
LOUD = frozenset({"late", "partial", "failing", "running"})


@dataclass(frozen=True, slots=True)
class Cell:
    """What one table cell shows.

    Attributes:
        sub: Quieter text after the main text.
        state: A key of `STATES`; icon and colours come from there.
        share: 0 to 1: a small bar before the text; negative = none.
        dot: A cluster's colour.
    """

    text: str = ""
    sub: str = ""
    icon: str = ""
    color: str = "t1"
    icon_color: str = ""
    right: bool = False
    weight: int = 400
    mono: bool = False
    state: str = ""
    share: float = -1.0
    dot: str = ""
    tooltip: str = ""
