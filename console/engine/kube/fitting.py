"""Fits what is shipped to one cluster: where its API server is, and what its workers need.

`read_surroundings` reads, `fitted` decides (pure).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from console.engine.errors import NotFound
from console.engine.kube.manifests import NETWORK_POLICIES
from console.engine.model import kinds
from console.engine.model.kinds import Kind
from console.engine.model.names import NAMESPACE, SETTINGS, WORKERS_NAMESPACE
from console.engine.plan.raw import items, part, text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from console.engine.kube.client import KubeClient
    from console.engine.kube.manifests import Wanted
    from console.engine.model.kinds import RawObject

ENDPOINT_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
LAST_PORT = 65535
# addresses of a node's own services, where clouds hand out credentials
_LINK_LOCAL = {4: ("169.254.0.0/16",), 6: ("fe80::/10", "fd00:ec2::254/128")}
_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


class Surroundings(NamedTuple):
    """What of a cluster decides how our objects look there."""

    api: tuple[tuple[str, int], ...] = ()  # addresses and ports of the API server, sorted
    service: tuple[str, ...] = ()  # addresses of the Service `kubernetes`, sorted
    privileged: bool = False  # workers mount folders of nodes, or have an SELinux type


async def read_surroundings(client: KubeClient, served: Collection[Kind]) -> Surroundings:
    """The cluster as it is now."""
    labels = "kubernetes.io/service-name=kubernetes"
    slices = await _list(client, ENDPOINT_SLICES, served, "default", labels)
    service = await client.find(kinds.SERVICES, "kubernetes", "default") or {}
    settings = None
    if kinds.SETTINGS in served:
        settings = await client.find(kinds.SETTINGS, SETTINGS, NAMESPACE)
    locations = await _list(client, kinds.LOCATIONS, served, NAMESPACE)
    return Surroundings(
        api=tuple(sorted(set(_endpoints(slices)))),
        service=tuple(
            sorted(ip for ip in part(service, "spec").get("clusterIPs") or () if ip != "None")
        ),
        privileged=bool(text(settings or {}, "spec", "workers", "seLinuxType"))
        or any(text(raw, "spec", "fileStore", "path") for raw in locations),
    )


def fitted(objects: Iterable[Wanted], to: Surroundings) -> tuple[Wanted, ...]:
    """The objects as this cluster shall have them."""
    return tuple(_fit(one, to) for one in objects)


def _fit(one: Wanted, to: Surroundings) -> Wanted:
    if one.kind == kinds.NAMESPACES and one.name == WORKERS_NAMESPACE and to.privileged:
        metadata = one.obj["metadata"]
        levels = {
            label: "privileged"
            for label in metadata["labels"]
            if label.startswith("pod-security.kubernetes.io/")
        }
        metadata = {**metadata, "labels": {**metadata["labels"], **levels}}
        return one._replace(obj={**one.obj, "metadata": metadata})
    if one.kind == NETWORK_POLICIES:
        spec = one.obj["spec"]
        egress = [*spec["egress"], *_egress(to)]
        return one._replace(obj={**one.obj, "spec": {**spec, "egress": egress}})
    return one


def _egress(to: Surroundings) -> Iterator[RawObject]:
    """TCP to everywhere but the API server and what is link-local.

    A store may listen on any port and share an address with the API server, so there all ports
    but the API server's stay open.
    """
    api: dict[str, list[int]] = {}
    for address, port in to.api:
        api.setdefault(address, []).append(port)
    closed = sorted({*api, *to.service})
    blocks: list[dict[str, Any]] = [{"namespaceSelector": {}}]  # in-cluster stores
    for version, everywhere in _EVERYWHERE.items():
        excluded = [*_LINK_LOCAL[version], *(_network(ip) for ip in closed if _is(ip, version))]
        blocks.append({"ipBlock": {"cidr": everywhere, "except": excluded}})
    yield {"to": blocks, "ports": [{"protocol": "TCP"}]}
    for address, ports in sorted(api.items()):
        beside = [{"protocol": "TCP", "port": a, "endPort": b} for a, b in _between(ports)]
        yield {"to": [{"ipBlock": {"cidr": _network(address)}}], "ports": beside}


def _between(ports: list[int]) -> Iterator[tuple[int, int]]:
    """The ranges of ports without these."""
    first = 1
    for port in sorted(set(ports)):
        if first < port:
            yield first, port - 1
        first = port + 1
    if first <= LAST_PORT:
        yield first, LAST_PORT


def _is(address: str, version: int) -> bool:
    return ipaddress.ip_address(address).version == version


def _network(address: str) -> str:
    return str(ipaddress.ip_network(address))


def _endpoints(slices: Iterable[RawObject]) -> Iterator[tuple[str, int]]:
    for raw in slices:
        if raw.get("addressType") not in {"IPv4", "IPv6"}:
            continue
        ports = [int(port["port"]) for port in items(raw, "ports") if port.get("port")]
        for endpoint in items(raw, "endpoints"):
            for address in endpoint.get("addresses") or ():
                yield from ((str(address), port) for port in ports)


async def _list(
    client: KubeClient, kind: Kind, served: Collection[Kind], namespace: str, labels: str = ""
) -> list[RawObject]:
    if kind not in served:
        return []
    try:
        return await client.list(kind, namespace, labels=labels)
    except NotFound:
        return []
