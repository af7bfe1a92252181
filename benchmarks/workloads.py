"""What the mover is measured with: generated data, the same for every tool.

Written piece by piece: the memory of who starts a program counts as that program's.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
PAGE = 8192
_LINES_IN_A_MIB = 9000


class Sizes(NamedTuple):
    """How much data is made."""

    text_mib: int = 768
    random_mib: int = 384
    small_files: int = 20_000

    def scaled(self, scale: float) -> Sizes:
        """More or less of everything."""
        return Sizes(*(max(8, round(size * scale)) for size in self))


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - data to measure with, no secret


def make_text(folder: Path, mib: int, seed: int) -> None:
    """A few big files that compress well and don't repeat: logs, as it were."""
    chance = _chance(seed)
    vocabulary = [chance.randbytes(chance.randint(2, 9)).hex().encode() for _ in range(3000)]
    lines = [b" ".join(chance.choices(vocabulary, k=9)) for _ in range(4000)]
    folder.mkdir(parents=True)
    for number in range(8):
        with (folder / f"log-{number}").open("wb") as file:
            for _ in range(-(-mib // 8)):
                picked = chance.choices(lines, k=_LINES_IN_A_MIB)
                noise = chance.randbytes(8 * len(picked)).hex().encode()
                text = b"".join(
                    noise[at * 16 : at * 16 + 16] + b" " + line + b"\n"
                    for at, line in enumerate(picked)
                )
                file.write(text[:MIB])


def make_random(folder: Path, mib: int, seed: int) -> None:
    """Big files that can't be compressed: pictures, archives, ciphertext."""
    chance = _chance(seed)
    folder.mkdir(parents=True)
    for number in range(4):
        with (folder / f"archive-{number}").open("wb") as file:
            for _ in range(-(-mib // 4)):
                file.write(chance.randbytes(MIB))


def make_small(folder: Path, files: int, seed: int) -> None:
    """Many files of 200 bytes to 16 KiB, most of them small, half of each can be compressed."""
    chance = _chance(seed)
    for number in range(files):
        at = folder / f"{number // 2500:02}" / f"{number // 50 % 50:02}"
        if number % 50 == 0:
            at.mkdir(parents=True, exist_ok=True)
        half = round(100 * 82 ** chance.random())
        (at / f"{number:06}.dat").write_bytes(
            chance.randbytes(half) + b"all the same " * (half // 13)
        )


def change_pages(folder: Path, share: float, seed: int) -> None:
    """Overwrite a share of the bytes of big files, page by page, as a database does."""
    chance = _chance(seed)
    for path in sorted(folder.iterdir()):
        pages = path.stat().st_size // PAGE
        with path.open("r+b") as file:
            for page in chance.sample(range(pages), max(1, round(pages * share))):
                file.seek(page * PAGE)
                file.write(chance.randbytes(PAGE // 2).hex().encode())


def change_files(folder: Path, share: float, seed: int) -> None:
    """Write a share of the files anew."""
    chance = _chance(seed)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in chance.sample(paths, max(1, round(len(paths) * share))):
        path.write_bytes(chance.randbytes(path.stat().st_size))


def weigh(folder: Path) -> tuple[int, int]:
    """Files and their bytes below a folder."""
    files = size = 0
    for top, _, names in os.walk(folder):
        files += len(names)
        size += sum(os.lstat(os.path.join(top, name)).st_size for name in names)
    return files, size
