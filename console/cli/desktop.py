"""Whether the desktop can be opened here. Imports nothing of Qt."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec


def why_no_desktop() -> str:
    """What keeps the desktop from opening, in words; empty when nothing does."""
    if find_spec("PySide6") is None or find_spec("qasync") is None:
        return "the desktop is not installed: pip install 'kubehaven[desktop]'"
    shown = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in shown):
        return "there is no display to open the desktop on"
    return ""


def can_be_seen() -> bool:
    """Whether there is a person in front of a display, and a desktop to show."""
    blind = os.environ.get("QT_QPA_PLATFORM", "") in {"offscreen", "minimal"}
    return not blind and not why_no_desktop()
