"""A layer: files by path, written as a tar file whose bytes follow from the content alone."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_MERGED = ("bin/", "sbin/", "lib/", "lib64/", "lib32/")  # Debian's merged /usr


class Entry(NamedTuple):
    """A file, or a link when `link` is not empty."""

    data: bytes = b""
    mode: int = 0o644
    link: str = ""


Layer = dict[str, Entry]  # by path, without a leading slash


def write_layer(layer: Layer, path: Path, *, folders: dict[str, int] | None = None) -> None:
    """Write a layer: sorted, owned by root, of 1970; `folders` are empty ones with a mode."""
    modes = {parent: 0o755 for name in layer for parent in _parents(name)} | (folders or {})
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted([*layer, *modes]):
            info = tarfile.TarInfo(name)
            if name in modes:
                info.type, info.mode = tarfile.DIRTYPE, modes[name]
                archive.addfile(info)
                continue
            entry = layer[name]
            info.mode = entry.mode
            if entry.link:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
                archive.addfile(info)
            else:
                info.size = len(entry.data)
                archive.addfile(info, io.BytesIO(entry.data))


def from_tar(content: bytes) -> Layer:
    """The files and links of a tar file; below /usr what Debian keeps there."""
    layer: Layer = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for info in archive:
            name = _merged(info.name.removeprefix("./"))
            if info.issym():
                layer[name] = Entry(link=info.linkname, mode=0o777)
            elif info.islnk():
                layer[name] = layer[_merged(info.linkname.removeprefix("./"))]
            elif info.isfile():
                stream = archive.extractfile(info)
                data = stream.read() if stream else b""
                layer[name] = Entry(data, info.mode & 0o755)
    return layer


def from_folder(root: Path, below: str) -> Layer:
    """The files of a folder, at `below` in the image."""
    layer: Layer = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.relative_to(root).parts:
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            layer[f"{below}/{path.relative_to(root)}"] = Entry(path.read_bytes(), mode)
    return layer


def _merged(name: str) -> str:
    return f"usr/{name}" if name.startswith(_MERGED) else name


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]
