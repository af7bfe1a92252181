"""Kubeconfigs as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(
    *, cluster: Any = None, user: Any = None, context: Any = None, **root: Any
) -> dict[str, Any]:
    """One context `shop` with a cluster and a user; each part may be given whole."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "shop",
        "clusters": [{"name": "c1", "cluster": cluster or {"server": "https://k.example:6443"}}],
        "users": [{"name": "u1", "user": user or {}}],
        "contexts": [{"name": "shop", "context": context or {"cluster": "c1", "user": "u1"}}],
        **root,
    }


def write(folder: Path, config: Any) -> Path:
    path = folder / "config"
    path.write_text(yaml.safe_dump(config))
    return path
