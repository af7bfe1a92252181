"""The tags of our snapshots: by them a point's parts are found. Written and read in one place."""

from __future__ import annotations

from hashlib import sha256

OURS = "kubehaven"
OBJECTS = "objects"

_LONGEST_NAME = 200  # bytes


def point_tag(point: str) -> str:
    """`rp=<id of the restore point>`."""
    return f"rp={point}"


def volume_tag(pvc: str) -> str:
    """`pvc=<name of the claim>`; a name over 200 bytes is cut, and a hash of the whole put behind.

    A comma ends a tag where restic takes one from its command line: none is left.
    """
    name = pvc.replace(",", "-")
    if name != pvc or len(name.encode()) > _LONGEST_NAME:
        short = name.encode()[: _LONGEST_NAME - 13].decode(errors="ignore")
        name = f"{short}-{sha256(pvc.encode()).hexdigest()[:12]}"
    return f"pvc={name}"


def volume_tags(point: str, pvc: str) -> tuple[str, str, str]:
    """The tags of a volume's snapshot."""
    return (OURS, point_tag(point), volume_tag(pvc))


def copy_tags(copy: str) -> tuple[str, ...]:
    """The tag of one copy of a volume that has no snapshot: two copies are two moments."""
    return (f"copy={copy}",) if copy else ()


def objects_tags(point: str) -> tuple[str, str, str]:
    """The tags of the snapshot of a point's objects; with it the point exists."""
    return (OURS, point_tag(point), OBJECTS)


def parent_tags(pvc: str) -> tuple[str, str]:
    """The tags that all snapshots of one volume have: the newest is the next one's parent."""
    return (OURS, volume_tag(pvc))
