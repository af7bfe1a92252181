"""Fixtures that several folders of tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# how long an example takes says how busy the machine is, and nothing about what is tested
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

pytest_plugins = ["tests.fakes.restic", "tests.fakes.weed"]
