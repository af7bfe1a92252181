"""Creating an object exactly once where the store has no conditional write.

A writer puts a claim beside the name, then lists the claims: only one who is
alone writes, and only if the name is still free. Of two writers whose claims
overlap at least one sees the other, steps back and tries again later; what
comes after a write finds the name taken. This needs listings that show what was
written before them, which S3 promises today.

A claim whose writer died is void after `CLAIM_LIFE_S`, by the store's clock.
"""

from __future__ import annotations

import time
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol

from console.storage.errors import StoreError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

CLAIM_LIFE_S = 900.0  # far longer than a request lives
TRIES = 30
LONGEST_PAUSE_S = 2.0

_random = SystemRandom().random


class Claims(Protocol):
    """The claims on one name."""

    def is_taken(self) -> bool:
        """Whether the name exists."""

    def write(self) -> None:
        """Put our claim."""

    def rivals(self) -> int:
        """How many claims that are not ours stand."""

    def withdraw(self) -> None:
        """Remove our claim."""


def create_by_claim(
    claims: Claims,
    write: Callable[[], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = _random,
) -> bool:
    """Run `write` if the name is free; False when it is taken.

    A write that fails leaves the claim: it may still arrive.

    Raises:
        Unavailable: Others kept claiming the name, and none of them wrote it.
    """
    for attempt in range(TRIES):
        if claims.is_taken():
            return False
        claims.write()
        if not claims.rivals():
            if free := not claims.is_taken():
                write()
            _withdraw(claims)
            return free
        _withdraw(claims)
        sleep(min(LONGEST_PAUSE_S, 0.05 * 2**attempt) * jitter())
    raise Unavailable("other writers keep claiming the same name")


def _withdraw(claims: Claims) -> None:
    try:
        claims.withdraw()
    except StoreError:
        return  # a key that may not delete: the claim dies of age
