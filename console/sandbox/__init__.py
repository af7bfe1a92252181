"""A small Kubernetes in one process, for the first run and for fast tests.

What it claims, and what it does not, stands in docs/sandbox.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.sandbox.sandbox import Sandbox

__all__ = ["Sandbox"]


def __getattr__(name: str) -> Any:
    """Import the sandbox when first asked for: its pods' processes start without it."""
    if name != "Sandbox":
        raise AttributeError(name)
    from console.sandbox.sandbox import Sandbox

    return Sandbox
