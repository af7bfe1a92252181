"""Services and what leads to them: no address, port or balancer of the source comes along."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from console.engine.plan.raw import annotations_of, items, part

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.plan.draft import Draft

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_NEW_ADDRESS = "the target gives a new one"
_BALANCER = "it names the source's load balancer"

# annotations that say WHICH balancer or address, not what kind of one (MA c.9 rule 4)
BALANCER_IDENTITY = (
    "service.kubernetes.io/loadbalance-id",
    "service.kubernetes.io/tke-existed-lbid",
    "service.kubernetes.io/qcloud-loadbalancer-clusterid",
    "kubernetes.io/ingress.existlbid",
    "kubernetes.io/ingress.qcloud-loadbalance-id",
    "kubernetes.io/elb.id",
    "kubernetes.io/elb.ip",
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-id",
    "service.beta.kubernetes.io/alicloud-loadbalancer-id",
    "service.beta.kubernetes.io/aws-load-balancer-eip-allocations",
    "kubernetes.digitalocean.com/load-balancer-id",
    "loadbalancer.openstack.org/load-balancer-id",
    "metallb.universe.tf/ip-allocated-from-pool",
    "metallb.io/ip-allocated-from-pool",
    "cloud.google.com/neg-status",
    "ingress.kubernetes.io/backends",
    "ingress.kubernetes.io/forwarding-rule",
    "ingress.kubernetes.io/https-forwarding-rule",
    "ingress.kubernetes.io/target-proxy",
    "ingress.kubernetes.io/https-target-proxy",
    "ingress.kubernetes.io/url-map",
)
_BALANCER_FINALIZERS = (
    "service.kubernetes.io/load-balancer-cleanup",
    "service.k8s.aws/resources",
    "gke.networking.io/*",
    "networking.gke.io/*",
    "ingress.k8s.aws/resources",
)


class _Asked(NamedTuple):
    """What somebody asked for in a Service, as opposed to what the cluster gave it."""

    applied: dict[str, Any] | None  # spec of the last kubectl apply; None = never applied
    owned: tuple[dict[str, Any], ...]  # f:spec of each field manager

    def has(self, field: str) -> bool:
        if self.applied is not None:
            return field in self.applied
        return any(f"f:{field}" in spec for spec in self.owned)

    def has_node_port(self, port: dict[str, Any]) -> bool:
        """MA c.5: by name, unnamed ports by number; the annotation wins."""
        if self.applied is not None:
            return any(
                _same_port(mine, port) and mine.get("nodePort")
                for mine in items(self.applied, "ports")
            )
        key = f'k:{{"port":{port.get("port")},"protocol":"{port.get("protocol") or "TCP"}"}}'
        return any("f:nodePort" in part(spec, "f:ports", key) for spec in self.owned)


def service(draft: Draft) -> None:
    """Drop addresses and ports that the cluster gave, keep those asked for (Velero c.4, c.5)."""
    draft.drop_annotations(BALANCER_IDENTITY, because=_BALANCER)
    draft.drop_finalizers(_BALANCER_FINALIZERS, because="its controller sets it again")
    spec = draft.part("spec")
    if not draft.from_server or spec.get("type") == "ExternalName":
        return
    asked = _asked(draft)
    _drop_addresses(draft, spec, asked)
    _drop_node_ports(draft, spec, asked)
    if spec.get("healthCheckNodePort") and not asked.has("healthCheckNodePort"):
        draft.drop("spec", "healthCheckNodePort", because=_NEW_ADDRESS)


def ingress(draft: Draft) -> None:
    """The identity of the source's balancer (MA c.9 rule 4)."""
    draft.drop_annotations(BALANCER_IDENTITY, because=_BALANCER)
    draft.drop_finalizers(_BALANCER_FINALIZERS, because="its controller sets it again")


def route(draft: Draft) -> None:
    """A host name that OpenShift made up from namespace and cluster (MA c.9 rule 9)."""
    mark = "openshift.io/host.generated"
    if annotations_of(draft.obj).get(mark) == "true":
        draft.drop("spec", "host", because="the target's router makes its own")
        draft.drop_annotations((mark,))


def endpoints(draft: Draft) -> None:
    """What controllers noted on Endpoints."""
    draft.drop_annotations(("endpoints.kubernetes.io/last-change-trigger-time",))


def without_node_ports(obj: RawObject) -> RawObject | None:
    """A Service that asks for no node port any more; None for what asks for none."""
    free = copy.deepcopy(obj)
    ports = [port for port in items(free, "spec", "ports") if port.pop("nodePort", None)]
    return free if ports else None


def _drop_addresses(draft: Draft, spec: dict[str, Any], asked: _Asked) -> None:
    if spec.get("clusterIP") != "None":
        draft.drop("spec", "clusterIP", because=_NEW_ADDRESS)
        draft.drop("spec", "clusterIPs", because=_NEW_ADDRESS)
    for field in ("ipFamilies", "ipFamilyPolicy"):
        if not asked.has(field):
            draft.drop("spec", field, because="the target's own families apply")


def _drop_node_ports(draft: Draft, spec: dict[str, Any], asked: _Asked) -> None:
    for port in items(spec, "ports"):
        number = port.get("nodePort")
        if number and not asked.has_node_port(port):
            del port["nodePort"]
            shown = port.get("name") or port.get("port")
            draft.say(f"node port {number} of {shown} removed: {_NEW_ADDRESS}")


def _asked(draft: Draft) -> _Asked:
    owned = tuple(
        part(entry, "fieldsV1", "f:spec") for entry in items(draft.obj, "metadata", "managedFields")
    )
    return _Asked(_last_applied(draft), owned)


def _last_applied(draft: Draft) -> dict[str, Any] | None:
    try:
        applied = json.loads(annotations_of(draft.obj).get(LAST_APPLIED, ""))
    except (ValueError, TypeError):
        return None
    return part(applied, "spec") if isinstance(applied, dict) else None


def _same_port(mine: dict[str, Any], port: dict[str, Any]) -> bool:
    if port.get("name"):
        return bool(mine.get("name") == port["name"])
    return not mine.get("name") and mine.get("port") == port.get("port")
