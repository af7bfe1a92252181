"""Where this desktop keeps what it may keep: no credential, only paths and choices."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "KUBEHAVEN_HOME"


def home_folder(home: Path | None = None) -> Path:
    """The folder of this user's Kubehaven: given, from `$KUBEHAVEN_HOME`, or the system's own."""
    if home is not None:
        return home
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_config_dir("kubehaven"))
