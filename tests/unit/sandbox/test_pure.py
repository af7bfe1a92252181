"""The parts that only compute: selectors, patches, schemas, columns, quantities."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.sandbox import choosing, patches, protobuf, schema, tables
from console.sandbox.faults import ApiError
from console.sandbox.folders import bytes_of, quantity_of

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


def _difference(old: Any, new: Any) -> Any:
    """The merge patch from one to the other, written from the RFC's definition."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone: dict[str, Any] = {name: None for name in old if name not in new}
    return gone | {
        name: _difference(old.get(name), value)
        for name, value in new.items()
        if name not in old or old[name] != value
    }


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leads_from_one_to_the_other(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    kept = copy.deepcopy(old)
    assert patches.merge(old, _difference(old, new)) == new
    assert old == kept


@given(OBJECTS, OBJECTS)
def test_apply_brings_what_is_wanted_and_keeps_what_others_gave(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    others = {"other": 1}
    live = patches.apply({}, first, others)
    live = patches.apply(first, second, live)
    assert patches.apply(second, {}, live) == others


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "/list/1", "value": "x"}, {"list": ["a", "x", "b"]}),
        ({"op": "add", "path": "/list/-", "value": "x"}, {"list": ["a", "b", "x"]}),
        ({"op": "remove", "path": "/list/0"}, {"list": ["b"]}),
        ({"op": "replace", "path": "/list/0", "value": "x"}, {"list": ["x", "b"]}),
        ({"op": "copy", "from": "/list/0", "path": "/c"}, {"list": ["a", "b"], "c": "a"}),
        ({"op": "move", "from": "/list", "path": "/m"}, {"m": ["a", "b"]}),
        ({"op": "test", "path": "/list/1", "value": "b"}, {"list": ["a", "b"]}),
    ],
)
def test_json_patch(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    assert patches.json_patch({"list": ["a", "b"]}, [operation]) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/none"},
        {"op": "remove", "path": "/list/2"},
        {"op": "replace", "path": "/list/-1", "value": 1},
        {"op": "test", "path": "/list/0", "value": "b"},
        {"op": "add", "path": "list", "value": 1},
        {"op": "invent", "path": "/list"},
    ],
)
def test_a_json_patch_that_cannot_be_done(operation: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as error:
        patches.json_patch({"list": ["a", "b"]}, [operation])
    assert error.value.code == 422


def test_strategic_merge_knows_lists_by_their_keys() -> None:
    have = {
        "containers": [
            {"name": "one", "image": "a", "env": [{"name": "X", "value": "1"}]},
            {"name": "two", "image": "b"},
        ],
        "finalizers": ["x", "y"],
    }
    patch = {
        "containers": [
            {"name": "one", "env": [{"name": "Y", "value": "2"}]},
            {"name": "two", "$patch": "delete"},
            {"name": "three", "image": "c"},
        ],
        "$setElementOrder/containers": [{"name": "three"}, {"name": "one"}],
        "$deleteFromPrimitiveList/finalizers": ["x"],
    }
    found = patches.strategic(have, patch)
    assert [c["name"] for c in found["containers"]] == ["three", "one"]
    assert found["containers"][1]["image"] == "a"
    assert [e["name"] for e in found["containers"][1]["env"]] == ["X", "Y"]
    assert found["finalizers"] == ["y"]
    assert not any(name.startswith("$") for name in found)


@given(
    st.dictionaries(NAMES, st.sampled_from(["x", "y"])), NAMES, st.sets(st.sampled_from(["x", "y"]))
)
def test_selectors_agree_with_their_object_form(
    labels: dict[str, str], name: str, values: set[str]
) -> None:
    obj = {"metadata": {"labels": labels}}
    listed = ",".join(sorted(values))
    for text, operator in (
        (f"{name} in ({listed})", "In"),
        (f"{name} notin ({listed})", "NotIn"),
        (name, "Exists"),
        (f"!{name}", "DoesNotExist"),
    ):
        term = {"key": name, "operator": operator, "values": sorted(values)}
        wanted = choosing.matches({"matchExpressions": [term]}, labels)
        if values or operator not in {"In", "NotIn"}:
            assert choosing.labels(text)(obj) == wanted


def test_unknown_fields_are_pruned_below_everything_but_what_is_kept() -> None:
    shape = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "list": {"type": "array", "items": {"type": "object", "properties": {}}},
                    "map": {"type": "object", "additionalProperties": {"type": "string"}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "deep": {
                        "type": "object",
                        "default": {},
                        "properties": {"level": {"type": "integer", "default": 3}},
                    },
                },
            }
        },
    }
    obj = {
        "kind": "X",
        "spec": {"list": [{"no": 1}], "map": {"any": "x"}, "free": {"any": 1}, "no": 2},
        "no": 3,
    }
    assert sorted(schema.complete(shape, obj)) == ["no", "spec.list[0].no", "spec.no"]
    deep = {"level": 3}
    spec = {"list": [{}], "map": {"any": "x"}, "free": {"any": 1}, "deep": deep}
    assert obj == {"kind": "X", "spec": spec}
    assert not list(schema.find_faults(shape, obj))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b", [1]),
        (".list[0].n", ["x"]),
        (".list[*].n", ["x", "y"]),
        ('.list[?(@.n=="y")].v', [2]),
        (".map['k.e/y']", ["z"]),
        (r".map.k\.e/y", ["z"]),
        (".none.b", []),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    obj = {
        "a": {"b": 1},
        "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}],
        "map": {"k.e/y": "z"},
    }
    assert tables.json_path(obj, path) == found


@pytest.mark.parametrize(
    ("until", "told"),
    [
        ("00:00:59", "59s"),
        ("00:01:59", "119s"),
        ("00:02:00", "2m"),
        ("00:03:05", "3m5s"),
        ("00:11:05", "11m"),
        ("03:30:00", "3h30m"),
        ("09:30:00", "9h"),
    ],
)
def test_ages(until: str, told: str) -> None:
    assert tables.duration("2026-01-01T00:00:00Z", f"2026-01-01T{until}Z") == told


@given(st.integers(0, 2**50))
def test_quantities_come_back(size: int) -> None:
    assert bytes_of(quantity_of(size)) == size


@given(st.binary(max_size=40))
def test_protobuf_that_is_none_is_an_error_and_no_crash(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        protobuf.decode(protobuf.MAGIC + data)
