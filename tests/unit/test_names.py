"""Derived names: the same parts give the same name, and every name is one Kubernetes accepts."""

import re

from hypothesis import given
from hypothesis import strategies as st

from console.engine.model.names import derived_name, exported_content_name, point_id

NAME = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")


@given(st.lists(st.text(), min_size=1))
def test_a_derived_name_depends_on_its_parts_alone(parts: list[str]) -> None:
    assert derived_name(*parts) == derived_name(*parts)
    assert re.fullmatch(r"kh-[0-9a-f]{12}", derived_name(*parts))


def test_parts_are_kept_apart() -> None:
    assert derived_name("ab", "c") != derived_name("a", "bc")


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_names_of_points_are_valid_object_names(namespace: str) -> None:
    point = point_id(namespace, "uid", "2026-11-24T10:54:23Z")
    assert NAME.match(point)
    assert len(point) <= 63
    assert NAME.match(exported_content_name(point, "My Store"))
    assert "20261124-105423" in point
