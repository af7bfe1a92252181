"""The owners that a POSIX ACL names, in the form in which Linux keeps it as an xattr."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ACL_NAMES = ("system.posix_acl_access", "system.posix_acl_default")
_VERSION = 2
_HEAD = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_USER, _GROUP = 0x02, 0x08  # the tags whose id means something


def map_acl(value: bytes, owners: Mapping[int, int]) -> bytes:
    """The ACL with its named users and groups mapped; what is no such ACL stays as it is."""
    size = len(value) - _HEAD.size
    if size < 0 or size % _ENTRY.size or _HEAD.unpack_from(value)[0] != _VERSION:
        return value
    mapped = bytearray(value)
    for at in range(_HEAD.size, len(value), _ENTRY.size):
        tag, permissions, owner = _ENTRY.unpack_from(value, at)
        if tag in {_USER, _GROUP}:
            _ENTRY.pack_into(mapped, at, tag, permissions, owners.get(owner, owner))
    return bytes(mapped)
