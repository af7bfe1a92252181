"""Where an object lies inside a restore point: `<group or core>/<version>/<resource>/<name>.json`.

The same path in a local point's packs and in a repository's `objects`
snapshot. Names over 200 bytes are cut and hashed; the whole name then stands in
the object alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from console.engine.model.kinds import Kind

MAX_NAME_BYTES = 200
_HASH_CHARACTERS = 16
_CORE = "core"


class ObjectPath(NamedTuple):
    """An object's path, taken apart. `name` is not the object's when `cut` is true."""

    group: str  # "" = core
    version: str
    resource: str  # plural, as in the API's path
    name: str
    cut: bool = False

    @property
    def api_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version


def short_name(name: str) -> str:
    """A name of at most 200 bytes: unchanged, or cut and ended by `~<16 hex>` of its SHA-256."""
    raw = name.encode()
    if len(raw) <= MAX_NAME_BYTES:
        return name
    tail = hashlib.sha256(raw).hexdigest()[:_HASH_CHARACTERS]
    head = raw[: MAX_NAME_BYTES - _HASH_CHARACTERS - 1].decode(errors="ignore")
    return f"{head}~{tail}"


def object_path(kind: Kind, name: str) -> str:
    """Where an object of this kind and name lies."""
    return f"{kind.group or _CORE}/{kind.version}/{kind.plural}/{short_name(name)}.json"


def parse_object_path(path: str) -> ObjectPath | None:
    """A path taken apart; None when it is no object's path."""
    parts = path.split("/")
    if len(parts) != 4 or not all(parts) or not parts[3].endswith(".json"):
        return None
    group, version, resource = parts[:3]
    name = parts[3].removesuffix(".json")
    head, tilde, tail = name.rpartition("~")
    cut = bool(tilde) and len(name.encode()) > MAX_NAME_BYTES - 4 and _is_hash(tail)
    if not name or {head, name} & {".", ".."}:
        return None
    return ObjectPath("" if group == _CORE else group, version, resource, name, cut)


def _is_hash(tail: str) -> bool:
    return len(tail) == _HASH_CHARACTERS and not tail.strip("0123456789abcdef")
