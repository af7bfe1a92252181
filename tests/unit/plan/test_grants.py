"""A role is covered when every single right of it is; checked against a slow, plain reading."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.model.record import Requester
from console.engine.plan.grants import Rule, bound_roles, covers, rules_of

POD_READER = Rule(("get", "list"), ("",), ("pods", "pods/log"))


@pytest.mark.parametrize(
    ("held", "wanted", "enough"),
    [
        ([POD_READER], [Rule(("get",), ("",), ("pods",))], True),
        ([POD_READER], [Rule(("watch",), ("",), ("pods",))], False),
        ([POD_READER], [Rule(("*",), ("",), ("pods",))], False),
        ([POD_READER], [Rule(("get",), ("apps",), ("pods",))], False),
        ([POD_READER], [Rule(("get",), ("",), ("secrets",))], False),
        ([POD_READER], [Rule(("get",), ("",), ("pods/exec",))], False),
        ([Rule(("get",), ("",), ("*/log",))], [Rule(("get",), ("",), ("pods/log",))], True),
        ([Rule(("*",), ("*",), ("*",))], [Rule(("*",), ("*",), ("*",))], True),
        ([Rule(("*",), ("*",), ("*",))], [Rule(("bind",), ("x",), ("pods/log",))], True),
        ([Rule(("get",), ("",), ("pods",), ("a",))], [Rule(("get",), ("",), ("pods",))], False),
        (
            [Rule(("get",), ("",), ("pods",), ("a", "b"))],
            [Rule(("get",), ("",), ("pods",), ("b",))],
            True,
        ),
        (
            [Rule(("get",), ("",), ("pods",)), Rule(("list",), ("",), ("pods",))],
            [Rule(("get", "list"), ("",), ("pods",))],
            True,
        ),
        ([Rule(("get",), urls=("/metrics*",))], [Rule(("get",), urls=("/metrics/a",))], True),
        ([Rule(("get",), urls=("/metrics",))], [Rule(("get",), urls=("/healthz",))], False),
        ([Rule(("*",), ("*",), ("*",))], [Rule(("get",), urls=("/healthz",))], False),
        ([], [], True),
        ([], [POD_READER], False),
    ],
)
def test_what_covers_what(held: list[Rule], wanted: list[Rule], enough: bool) -> None:
    assert covers(held, wanted) is enough


some = st.lists(st.sampled_from(("a", "b")), min_size=1, max_size=2, unique=True).map(tuple)
rules = st.lists(st.builds(Rule, some, some, some, st.just(()) | some, st.just(())), max_size=3)


@given(rules, rules)
def test_covered_is_what_leaves_no_single_right_open(held: list[Rule], wanted: list[Rule]) -> None:
    def rights(given: list[Rule]) -> set[tuple[str, ...]]:
        # "" stands for any name at all, "a" and "b" for two of them
        return {
            one
            for rule in given
            for one in product(rule[0], rule[1], rule[2], rule.names or ("a", "b", ""))
        }

    assert covers(held, wanted) is (rights(wanted) <= rights(held))


def test_the_roles_of_a_user_his_groups_and_an_account() -> None:
    def binding(role: str, **subject: str) -> dict[str, Any]:
        return {"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]}

    bindings = [
        binding("mine", kind="User", name="ann"),
        binding("ours", kind="Group", name="staff"),
        binding("theirs", kind="Group", name="others"),
        binding("robot", kind="ServiceAccount", name="dev", namespace="shop"),
        {"roleRef": {"kind": "Role", "name": "nobody"}},
    ]
    ann = Requester(username="ann", groups=("staff",))
    assert bound_roles(bindings, ann) == {("ClusterRole", "mine"), ("ClusterRole", "ours")}
    dev = Requester(username="system:serviceaccount:shop:dev")
    assert bound_roles(bindings, dev) == {("ClusterRole", "robot")}
    assert bound_roles(bindings, Requester(username="dev")) == set()


def test_rules_are_read_with_what_is_left_out() -> None:
    raw = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, {}]}
    assert rules_of(raw) == (Rule(("get",), ("",), ("pods",)), Rule(()))
    assert rules_of({"rules": None}) == ()
