"""Fixtures of the engine's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from console.engine import open_engine
from console.sandbox import Sandbox
from tests.engine.story import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def bare_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A sandbox and an engine that does not know it yet."""
    async with (
        Sandbox(tmp_path / "sandbox", name="lab") as sandbox,
        open_engine(tmp_path / "home") as engine,
    ):
        yield Stage(sandbox, engine, tmp_path)


@pytest.fixture
async def stage(bare_stage: Stage) -> Stage:
    """A prepared cluster with the sample application and a location."""
    await bare_stage.prepare()
    await bare_stage.sandbox.deploy_visits()
    await bare_stage.add_location()
    return bare_stage
