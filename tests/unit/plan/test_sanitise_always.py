"""What holds for every object that is sanitised, whatever is in it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.plan.sanitise import RULES, RestoreContext, sanitise
from tests.builders.objects import claim, deployment, made, namespace, service
from tests.unit.plan.test_sanitise import AWAY, HERE, HTTP, clean, job

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
# no field that any rule knows
UNKNOWN = st.dictionaries(st.from_regex(r"\Ax[a-zA-Z]{1,6}\Z"), JSON, max_size=4)
KNOWN_KINDS = sorted(RULES)
BASES = [claim(), service(ports=[HTTP]), deployment(), job(), namespace()]


@st.composite
def stored(draw: st.DrawFn) -> RawObject:
    """Any known kind, or an unknown one, with fields that nobody has heard of."""
    base = draw(st.sampled_from(BASES))
    group, _, kind = draw(st.sampled_from([*KNOWN_KINDS, "example.test/Widget"])).rpartition("/")
    if draw(st.booleans()):
        group, kind = "", base["kind"]
    obj = copy.deepcopy(base) | {"apiVersion": f"{group}/v1" if group else "v1", "kind": kind}
    obj["spec"] = obj.get("spec", {}) | draw(UNKNOWN)
    return obj | draw(UNKNOWN)


def unheard_of(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key.startswith("x")}


@given(stored(), st.sampled_from([HERE, AWAY]))
def test_sanitising_twice_changes_nothing_more(obj: RawObject, context: RestoreContext) -> None:
    once = sanitise(obj, context=context)
    twice = sanitise(once.obj, context=context)
    assert twice.obj == once.obj
    assert twice.changes == ()


@given(stored(), st.sampled_from([HERE, AWAY]))
def test_fields_that_nobody_knows_are_kept_and_arguments_are_not_changed(
    obj: RawObject, context: RestoreContext
) -> None:
    before = copy.deepcopy(obj)
    found = sanitise(obj, context=context).obj
    assert obj == before
    assert unheard_of(found) == unheard_of(before)
    assert unheard_of(found.get("spec", {})) == unheard_of(before["spec"])


@given(UNKNOWN, UNKNOWN)
def test_an_unknown_kind_keeps_its_whole_spec(spec: RawObject, body: RawObject) -> None:
    obj = made("Widget", "w", api="example.test/v1", spec=spec, **body)
    found = clean(obj, AWAY)
    assert found["spec"] == spec
    assert found["metadata"]["namespace"] == "copy"


@pytest.mark.parametrize("kind", KNOWN_KINDS)
def test_objects_with_holes_do_no_harm(kind: str) -> None:
    group, _, name = kind.rpartition("/")
    api = f"{group}/v1" if group else "v1"
    for body in (
        {},
        {"spec": None},
        {"metadata": None},
        {"spec": {}, "metadata": {"name": "x", "annotations": None}},
    ):
        found = clean({"apiVersion": api, "kind": name, **body}, AWAY)
        assert found["kind"] == name
