"""What is shipped, fitted to a cluster: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.kube.fitting import LAST_PORT, Surroundings, fitted
from console.engine.kube.manifests import NETWORK_POLICIES, wanted
from console.engine.model import kinds

if TYPE_CHECKING:
    from console.engine.model.kinds import Kind, RawObject

ALL = wanted()
LEVELS = {f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "warn")}


def shipped(to: Surroundings, kind: Kind, name: str) -> RawObject:
    """One object as a cluster shall have it."""
    return next(one.obj for one in fitted(ALL, to) if (one.kind, one.name) == (kind, name))


def egress(to: Surroundings) -> list[dict[str, Any]]:
    """What workers may reach."""
    spec = shipped(to, NETWORK_POLICIES, "kubehaven-workers")["spec"]
    assert (spec["podSelector"], spec["policyTypes"]) == ({}, ["Ingress", "Egress"])
    assert "ingress" not in spec
    rules: list[dict[str, Any]] = spec["egress"]
    return rules


@pytest.mark.parametrize(("privileged", "level"), [(False, "baseline"), (True, "privileged")])
def test_workers_are_held_to_baseline_unless_they_need_more(privileged: bool, level: str) -> None:
    to = Surroundings(privileged=privileged)
    labels = shipped(to, kinds.NAMESPACES, "kubehaven-workers")["metadata"]["labels"]
    assert {labels[one] for one in LEVELS} == {level}
    labels = shipped(to, kinds.NAMESPACES, "kubehaven")["metadata"]["labels"]
    assert {labels[one] for one in LEVELS} == {"restricted"}


def test_workers_reach_everything_but_the_api_server() -> None:
    to = Surroundings(api=(("10.0.0.1", 6443), ("fd00::1", 6443)), service=("10.96.0.1",))
    dns, stores, *beside = egress(to)
    assert "to" not in dns
    assert {port["port"] for port in dns["ports"]} == {53, 5353}
    blocks = [one["ipBlock"] for one in stores["to"] if "ipBlock" in one]
    assert blocks == [
        {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "10.0.0.1/32", "10.96.0.1/32"]},
        {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128", "fd00::1/128"]},
    ]
    assert stores["ports"] == [{"protocol": "TCP"}]
    assert [one["to"][0]["ipBlock"]["cidr"] for one in beside] == ["10.0.0.1/32", "fd00::1/128"]
    for one in beside:
        assert one["ports"] == [
            {"protocol": "TCP", "port": 1, "endPort": 6442},
            {"protocol": "TCP", "port": 6444, "endPort": 65535},
        ]


def test_where_nobody_says_where_the_api_server_is_nothing_of_it_is_closed() -> None:
    assert len(egress(Surroundings())) == 2


@given(st.sets(st.integers(1, LAST_PORT) | st.sampled_from([1, 2, LAST_PORT]), min_size=1))
def test_exactly_the_api_servers_ports_are_closed(ports: set[int]) -> None:
    to = Surroundings(api=tuple(("10.0.0.1", port) for port in sorted(ports)))
    ranges = [(one["port"], one["endPort"]) for one in egress(to)[2]["ports"]]
    assert all(first <= last for first, last in ranges)
    opened = {port for first, last in ranges for port in range(first, last + 1)}
    assert opened == set(range(1, LAST_PORT + 1)) - ports


def test_the_scc_is_for_the_workers_account_alone_and_gives_nothing_of_the_host() -> None:
    scc = next(one.obj for one in ALL if one.kind.kind == "SecurityContextConstraints")
    assert scc["users"] == ["system:serviceaccount:kubehaven-workers:kubehaven-worker"]
    assert scc["groups"] == []
    given = {key for key, value in scc.items() if key.startswith("allow") and value}
    assert given == {"allowedCapabilities"}
    assert "hostPath" not in scc["volumes"]
