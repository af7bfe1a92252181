"""Where the icons, fonts, style sheet and translations lie: beside the source, or in the wheel."""

from __future__ import annotations

from pathlib import Path

import console

_PACKAGE = Path(console.__file__).parent


def resource(*parts: str) -> Path:
    """The path of a file or folder under `resources/`."""
    shipped = _PACKAGE / "_resources"
    root = shipped if shipped.is_dir() else _PACKAGE.parent / "resources"
    return root.joinpath(*parts)
