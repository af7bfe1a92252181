"""The base layer: Debian's Python and the libraries it needs, unpacked, nothing configured.

No shell, no package manager: what isn't there can't be used by whoever gets in.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from kubehaven_image.layer import Entry, Layer, from_tar

SUITE = "bookworm"
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6", "tzdata")
TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

_STDLIB = "usr/lib/python3.11/"
_UNUSED = ("ensurepip/", "idlelib/", "lib2to3/", "pydoc_data/", "test/", "tkinter/", "turtledemo/")
_ROOT_FILES = {
    "etc/passwd": b"root:x:0:0:root:/:/nonexistent\nkubehaven:x:65532:65532::/:/nonexistent\n",
    "etc/group": b"root:x:0:\nkubehaven:x:65532:\n",
    "etc/nsswitch.conf": b"hosts: files dns\n",
}
ROOT_LINKS = {name: f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")}


class Package(NamedTuple):
    """A Debian package that the image holds."""

    name: str
    version: str
    architecture: str


def base_layer(architecture: str) -> tuple[Layer, tuple[Package, ...]]:
    """The layer, and the packages it is made of."""
    layer: Layer = {name: Entry(data) for name, data in _ROOT_FILES.items()}
    packages: list[Package] = []
    with tempfile.TemporaryDirectory() as folder:
        _fetch(architecture, Path(folder))
        for archive in sorted(Path(folder).glob("*.deb")):
            files = from_tar(_run("dpkg-deb", "--fsys-tarfile", str(archive)))
            kept = {name: one for name, one in files.items() if _is_needed(name, architecture)}
            if kept:
                packages.append(_package(archive))
                layer |= kept | _licences(files)
    layer |= {name: Entry(link=target, mode=0o777) for name, target in ROOT_LINKS.items()}
    return layer, tuple(packages)


def _fetch(architecture: str, folder: Path) -> None:
    keep = f'cp "$1"/var/cache/apt/archives/*.deb {folder}/'
    command = ["mmdebstrap", "--quiet", "--variant=extract", "--format=null"]
    command += [f"--architectures={architecture}", f"--include={','.join(PACKAGES)}"]
    _run(*command, f"--extract-hook={keep}", SUITE, "/dev/null")


def _is_needed(name: str, architecture: str) -> bool:
    if name.startswith(_STDLIB):
        return not name.removeprefix(_STDLIB).startswith(_UNUSED)
    kept = (f"usr/lib/{TRIPLETS[architecture]}/", "usr/lib64/", "usr/share/zoneinfo/")
    return name.startswith((*kept, "usr/lib/ld-linux", "etc/python3.11/", "usr/bin/python3"))


def _licences(files: Layer) -> Layer:
    return {
        name: one
        for name, one in files.items()
        if name.startswith("usr/share/doc/") and name.endswith("/copyright")
    }


def _package(archive: Path) -> Package:
    shown = _run(
        "dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", archive
    )
    name, version, architecture = shown.decode().split()
    return Package(name, version, architecture)


def _run(*command: str | Path) -> bytes:
    # every word is ours or comes from Debian's own packages, which mmdebstrap has verified
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603
