"""The two layers of Python code: the locked wheels, and our own package."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kubehaven_image.layer import Entry, Layer, from_folder

if TYPE_CHECKING:
    from kubehaven_image.locked import Pin

HOME = "opt/kubehaven"
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
VERSION = (3, 11)  # of Debian's Python; compiled code fits this one alone

# the S3 SDK carries the description of every service; we speak to the stores' alone
_OUR_SERVICES = ("s3", "sts", "sso", "sso-oidc", "signin")
# thousands of modules of the Kubernetes client that a process imports a few of
_NOT_COMPILED = tuple(
    f"{HOME}/kubernetes/{client}/{part}/"
    for client in ("client", "aio/client")
    for part in ("models", "api")
)


def wheels_layer(pins: tuple[Pin, ...], architecture: str) -> Layer:
    """The runtime's wheels, each checked against its hash in the lock."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(pin.text for pin in pins), encoding="utf-8")
        target = Path(folder, "site")
        command = ["uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--python-version", "{}.{}".format(*VERSION)]
        command += ["--python-platform", PLATFORMS[architecture], "--link-mode", "copy"]
        command += ["--target", str(target), "-r", str(requirements)]
        _run([*command])
        layer = from_folder(target, "")
    kept = {name.lstrip("/"): entry for name, entry in layer.items()}
    return {f"{HOME}/{name}": entry for name, entry in kept.items() if _is_needed(name)}


def package_layer(root: Path) -> Layer:
    """Our package with its resources, and the command `kubehaven`."""
    start = (
        b"#!/usr/bin/python3.11\nfrom console.__main__ import main\n\nraise SystemExit(main())\n"
    )
    return {
        **from_folder(root / "console", f"{HOME}/console"),
        **from_folder(root / "resources", f"{HOME}/console/_resources"),
        "usr/bin/kubehaven": Entry(start, 0o755),
    }


def compiled(layer: Layer) -> Layer:
    """The layer with the compiled form of its modules: pods have read-only roots and start cold.

    Raises:
        SystemExit: This Python isn't the image's.
    """
    if sys.version_info[:2] != VERSION:
        raise SystemExit("the image is made by Python {}.{}, as it has one".format(*VERSION))
    with tempfile.TemporaryDirectory() as folder:
        for name, entry in layer.items():
            if name.endswith(".py") and not name.startswith(_NOT_COMPILED):
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(entry.data)
        command = [sys.executable, "-I", "-m", "compileall", "-q", "-j1", "-s", folder, "-p", "/"]
        _run([*command, "--invalidation-mode", "unchecked-hash", folder])
        made = {
            str(path.relative_to(folder)): Entry(path.read_bytes())
            for path in sorted(Path(folder).rglob("*.pyc"))
        }
    return layer | made


def _is_needed(name: str) -> bool:
    service = name.removeprefix("botocore/data/")
    if service != name and "/" in service:
        return service.partition("/")[0] in _OUR_SERVICES
    return not name.startswith(("bin/", ".")) and not name.endswith((".c", ".pyx", ".h"))


def _run(command: list[str]) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    # every word is ours
    subprocess.run(command, check=True, env=environment)  # noqa: S603
