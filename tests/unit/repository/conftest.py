"""A small repository in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.repository import Repository, init_repository
from console.storage import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = b"correct horse"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def repo(store: MemoryStore) -> Repository:
    init_repository(store, PASSWORD)
    return Repository.open(store, PASSWORD)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A few small files, one large, two folders."""
    folder = tmp_path / "source"
    (folder / "a" / "b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (folder / name).write_text(f"content of {name}")
    (folder / "large").write_bytes(bytes(range(256)) * 8192)
    return folder
