"""Which names objects can have; the same for every store.

A name that breaks these rules is refused before anything is sent. What lies in
a store under another name (a folder marker, `lost+found`, somebody's notes) is
no object: it is neither listed nor touched.
"""

from __future__ import annotations

import re

from console.storage.errors import BadName

# Last parts that begin so are unfinished writes and claims: never listed, no
# object's name. restic ignores them too: they are no hexadecimal id.
TEMPORARY = ".kubehaven-tmp-"

_PART = re.compile(r"[A-Za-z0-9._~-]{1,255}")


def is_object_name(name: str) -> bool:
    """Whether an object can have this name."""
    return len(name) <= 900 and all(_is_part(part) for part in name.split("/"))


def checked_name(name: str) -> str:
    """The name itself.

    Raises:
        BadName: No object can have it.
    """
    if not is_object_name(name):
        raise BadName(f"no object can be named {name!r}", subject=name)
    return name


def checked_prefix(prefix: str) -> str:
    """The prefix itself: empty, or the name of a folder with a `/` behind it.

    Raises:
        BadName: It is neither.
    """
    if prefix and not (prefix.endswith("/") and is_object_name(prefix[:-1])):
        raise BadName(f"no folder can be named {prefix!r}", subject=prefix)
    return prefix


def _is_part(part: str) -> bool:
    if part in {".", ".."} or part.startswith(TEMPORARY):
        return False
    return _PART.fullmatch(part) is not None
