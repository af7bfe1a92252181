"""`python -m kubehaven_image`: the layers, and from them an image archive."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from kubehaven_image.archive import write_archive
from kubehaven_image.debian import SUITE, TRIPLETS, base_layer
from kubehaven_image.layer import Entry, write_layer
from kubehaven_image.locked import runtime
from kubehaven_image.python import compiled, package_layer, wheels_layer
from kubehaven_image.sbom import PLACE, bill_of_materials

ROOT = Path(__file__).resolve().parents[3]
LAYERS = ("base.tar", "wheels.tar", "kubehaven.tar")
_NEEDED = ("mmdebstrap", "dpkg-deb", "uv")


def main() -> None:
    """Write the layers into a folder, or all of it as one archive."""
    parser = argparse.ArgumentParser(prog="kubehaven_image", description=__doc__)
    parser.add_argument("--architecture", choices=sorted(TRIPLETS), default="amd64")
    parser.add_argument("--layers", type=Path, metavar="DIR", help="keep the layers in DIR")
    parser.add_argument("--archive", type=Path, metavar="FILE", help="write an OCI archive")
    parser.add_argument("--name", help="of the image in the archive")
    asked = parser.parse_args()
    missing = [tool for tool in _NEEDED if shutil.which(tool) is None]
    if missing:
        parser.error(
            f"not installed: {', '.join(missing)} (apt-get install mmdebstrap; pip install uv)"
        )
    if asked.archive is None and asked.layers is None:
        parser.error("--layers or --archive says what to write")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.layers or Path(temporary)
        write_layers(asked.architecture, folder)
        if asked.archive:
            name = asked.name or f"docker.io/kubehaven/kubehaven:{version()}"
            layers = tuple(folder / layer for layer in LAYERS)
            digest = write_archive(name, asked.architecture, layers, asked.archive)
            sys.stdout.write(f"{name}@{digest}\n")


def write_layers(architecture: str, folder: Path) -> None:
    """Write base.tar, wheels.tar and kubehaven.tar."""
    folder.mkdir(parents=True, exist_ok=True)
    with (ROOT / "pyproject.toml").open("rb") as stream:
        dependencies = tomllib.load(stream)["project"]["dependencies"]
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    pins = runtime(lock, dependencies)
    base, packages = base_layer(architecture)
    write_layer(compiled(base), folder / LAYERS[0], folders={"tmp": 0o1777})
    write_layer(compiled(wheels_layer(pins, architecture)), folder / LAYERS[1])
    bill = bill_of_materials(version(), packages, pins, suite=SUITE)
    write_layer(compiled(package_layer(ROOT)) | {PLACE: Entry(bill)}, folder / LAYERS[2])


def version() -> str:
    """Of the package; read, not imported."""
    text = (ROOT / "console" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit("console/__init__.py has no __version__")
    return found[1]


if __name__ == "__main__":
    main()
