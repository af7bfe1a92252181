"""Kubehaven: protects, restores and migrates Kubernetes applications."""

from pathlib import Path

__version__ = "0.1.0"


def resources_path() -> Path:
    """The folder of what is shipped beside the code: CRDs, RBAC, icons, translations."""
    package = Path(__file__).parent
    installed = package / "_resources"
    return installed if installed.is_dir() else package.parent / "resources"
