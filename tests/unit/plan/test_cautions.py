"""What a restore says beforehand: addresses, hosts, finalizers and names of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from console.engine.model import kinds
from console.engine.model.kinds import Kind
from console.engine.plan.facts import UID_RANGE
from tests.builders.objects import deployment, made, service
from tests.unit.plan.test_restore_plan import LIVE, SERVED, codes, plan, point

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

FROM_VISITS = {
    "ingress": [
        {
            "from": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "visits"}}}
            ]
        }
    ]
}


def warned(objects: list[RawObject], **more: Any) -> list[str]:
    found = plan(objects, of=point(), **more)
    assert codes(found) == []
    return [warning.code for warning in found.warnings]


def test_finalizers_of_absent_controllers_are_told() -> None:
    absent = made("Secret", "s", meta={"finalizers": ["gone.example.test/clean"]})
    served = made("Secret", "t", meta={"finalizers": ["networking.k8s.io/x", "foregroundDeletion"]})
    protected = made("ConfigMap", "c", meta={"finalizers": ["kubernetes.io/x"]})
    assert warned([absent, served, protected]) == ["restore.finalizer"]


def test_addresses_of_the_sources_network_are_told() -> None:
    both = service(externalIPs=["192.0.2.1"], loadBalancerIP="192.0.2.2")
    assert warned([both]) == ["restore.address", "restore.address"]


def test_a_host_name_in_two_namespaces_is_told() -> None:
    rules = {"rules": [{"host": "visits.example.test"}, {}]}
    ingress = made("Ingress", "i", api="networking.k8s.io/v1", spec=rules)
    served = (*SERVED, Kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"))
    live = msgspec.structs.replace(LIVE, served=served)
    route = made("HTTPRoute", "r", api="gateway.networking.k8s.io/v1", spec={"hostnames": ["a.b"]})
    assert warned([ingress], target="copy") == ["restore.host"]
    assert warned([route], target="copy", live=live) == ["restore.host"]
    assert warned([ingress]) == []


def test_claim_templates_that_will_not_find_their_class_are_told() -> None:
    template = {"metadata": {"name": "data"}, "spec": {"storageClassName": "gone"}}
    db = made("StatefulSet", "db", api="apps/v1", spec={"volumeClaimTemplates": [template]})
    live = msgspec.structs.replace(LIVE, served=(*SERVED, kinds.STATEFUL_SETS))
    assert warned([db], live=live) == ["restore.template_class"]
    assert warned([db], live=live, classes={"gone": "standard"}) == []


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (made("ConfigMap", "c", data={"url": "http://db.visits.svc.cluster.local:1"}), True),
        (made("ConfigMap", "c", data={"url": "http://db.revisits.svc"}), False),
        (made("ConfigMap", "c", data={"url": "http://db"}), False),
        (deployment(containers=[{"env": [{"name": "H", "value": "db.visits.svc"}]}]), True),
        (deployment(containers=[{"args": ["--host", "visits.svc"]}]), True),
        (deployment(containers=[{"image": "visits.svc/x"}]), False),
        (made("NetworkPolicy", "n", api="networking.k8s.io/v1", spec=FROM_VISITS), True),
    ],
)
def test_texts_that_name_the_old_namespace_are_told_and_kept(obj: RawObject, told: bool) -> None:
    served = (*SERVED, Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"))
    live = msgspec.structs.replace(LIVE, served=served)
    assert warned([obj], live=live, target="copy") == ["restore.names_source"] * told
    assert warned([obj], live=live) == []


def test_images_in_openshifts_own_registry_are_told() -> None:
    inner = "image-registry.openshift-image-registry.svc:5000/visits/web@sha256:1"
    assert warned([deployment(containers=[{"image": inner}])]) == ["restore.internal_image"]
    assert warned([deployment(containers=[{"image": "example.test/web:1"}])]) == []


@pytest.mark.parametrize(
    ("there", "owners", "told"),
    [
        ("1000660000/10000", {}, True),
        ("1000650000/10000", {}, False),
        ("", {}, False),
        ("1000660000/10000", {"1000650000": 1000660000}, False),
    ],
)
def test_another_range_of_users_is_told_with_the_map_that_fits(
    there: str, owners: dict[str, int], told: bool
) -> None:
    source = made("Namespace", "visits", meta={"annotations": {UID_RANGE: "1000650000/10000"}})
    live = msgspec.structs.replace(LIVE, namespace_state="active", uid_range=there)
    found = plan([source], of=point(), live=live, owners=owners)
    assert [one.code for one in found.warnings] == ["restore.uid_range"] * told
    assert all("--map-owner 1000650000:1000660000" in one.hint for one in found.warnings)
