"""What the image takes from requirements-dev.lock: the runtime's packages, with their hashes."""

from __future__ import annotations

import re
from typing import NamedTuple

_PIN = re.compile(r"([a-z0-9._-]+)==(\S+)")
_VIA = re.compile(r"    #(?: via)?\s+(\S.*)")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Pin(NamedTuple):
    """One package of the lock."""

    name: str
    version: str
    text: str  # as it stands in the lock, hashes too
    needed_by: frozenset[str]


def pins(lock: str) -> dict[str, Pin]:
    """Every package of a lock that `uv pip compile` wrote."""
    found: dict[str, Pin] = {}
    lines: list[str] = []
    for line in [*lock.splitlines(), "end==0"]:
        if _PIN.match(line):
            if lines:
                pin = _pin(lines)
                found[pin.name] = pin
            lines = []
        if lines or _PIN.match(line):
            lines.append(line)
    return found


def runtime(lock: str, dependencies: list[str]) -> tuple[Pin, ...]:
    """The packages that `dependencies` (of pyproject.toml) need, by name.

    Raises:
        KeyError: A dependency is not in the lock.
    """
    every = pins(lock)
    needed = {_normal(dependency) for dependency in dependencies}
    while more := {name for name, pin in every.items() if pin.needed_by & needed} - needed:
        needed |= more
    return tuple(every[name] for name in sorted(needed))


def _pin(lines: list[str]) -> Pin:
    name, _, version = lines[0].split()[0].partition("==")
    needed_by = frozenset(via[1].strip() for line in lines if (via := _VIA.match(line)))
    return Pin(name, version, "\n".join(lines) + "\n", needed_by)


def _normal(dependency: str) -> str:
    match = _NAME.match(dependency)
    name = match[0] if match else dependency
    return re.sub(r"[-_.]+", "-", name).lower()
