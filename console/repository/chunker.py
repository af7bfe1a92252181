"""Where files are cut: FastCDC with a gear table that depends on the data key.

Without the key nobody can tell from the sizes of a repository's blobs whether a
known file is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyfastcdc

from console.repository.kernel import AVERAGE_CHUNK, MAX_CHUNK, MIN_CHUNK

if TYPE_CHECKING:
    from console.repository.keys import DataKey


def make_chunker(key: DataKey) -> pyfastcdc.FastCDC:
    """A chunker for one thread."""
    # pyfastcdc shifts the seed left by one, so the top bit must be clear
    seed = int.from_bytes(key.derive("kubehaven/chunk-seed/v1", 8), "big") >> 1
    return pyfastcdc.FastCDC(
        avg_size=AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK, seed=seed or 1
    )
