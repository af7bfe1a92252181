"""Where objects lie inside a point: there and back, whatever the name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from console.engine.model.kinds import DEPLOYMENTS, NAMESPACES, Kind
from console.engine.plan.paths import (
    MAX_NAME_BYTES,
    ObjectPath,
    object_path,
    parse_object_path,
    short_name,
)

# RBAC allows nearly every character in a name, but / and %
CHARACTERS = st.characters(codec="utf-8", exclude_characters="/%\0")
SHORT = st.text(CHARACTERS, min_size=1, max_size=60).filter(lambda name: name not in {".", ".."})
LONG = st.builds(lambda stem, more: (stem * 253)[: 190 + more], SHORT, st.integers(0, 63))
NAMES = SHORT | LONG


def test_core_objects_lie_below_core() -> None:
    assert object_path(NAMESPACES, "visits") == "core/v1/namespaces/visits.json"
    assert object_path(DEPLOYMENTS, "web") == "apps/v1/deployments/web.json"


@given(NAMES)
def test_there_and_back(name: str) -> None:
    kind = Kind("rbac.authorization.k8s.io", "v1", "roles", "Role")
    path = object_path(kind, name)
    found = parse_object_path(path)
    assert found is not None
    assert found[:3] == ("rbac.authorization.k8s.io", "v1", "roles")
    assert found.cut == (len(name.encode()) > MAX_NAME_BYTES)
    assert found.cut or found.name == name
    assert found.api_version == kind.api_version
    assert max(len(part.encode()) for part in path.split("/")) <= MAX_NAME_BYTES + len(".json")


@given(NAMES, NAMES)
def test_two_names_never_share_a_path(one: str, other: str) -> None:
    assert (short_name(one) == short_name(other)) == (one == other)


@given(st.text(max_size=40))
def test_what_is_no_objects_path_is_told(path: str) -> None:
    found = parse_object_path(path)
    assert found is None or isinstance(found, ObjectPath)


def test_names_that_would_leave_the_folder_are_refused() -> None:
    for path in ("core/v1/pods/...json", "core/v1/pods/.json", "core//pods/a.json", "a/b/c.json"):
        assert parse_object_path(path) is None, path


def test_long_names_are_cut_and_told_apart() -> None:
    one, other = "a" * 201, "a" * 202
    assert short_name("a" * 200) == "a" * 200
    assert short_name(one) != short_name(other)
    found = parse_object_path(object_path(NAMESPACES, one))
    assert found
    assert found.cut
