"""Where the pods that mount a claim may run: a volume is filled where it can be mounted later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.plan.order import order_key
from console.engine.plan.raw import group_kind, items, name_of, part, pod_specs, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.kinds import RawObject


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod says about its node."""

    node_selector: dict[str, str] = {}
    node_affinity: dict[str, Any] = {}
    tolerations: tuple[dict[str, Any], ...] = ()


ANYWHERE = Placement()


def placement_of(claim: str, objects: Iterable[RawObject]) -> Placement:
    """The placement of the first workload, in restore order, that mounts a claim."""
    for obj in sorted(objects, key=order_key):
        for spec in pod_specs(obj):
            if _mounts(obj, spec, claim):
                return Placement(
                    node_selector=dict(part(spec, "nodeSelector")),
                    node_affinity=part(spec, "affinity", "nodeAffinity"),
                    tolerations=tuple(items(spec, "tolerations")),
                )
    return ANYWHERE


def _mounts(obj: RawObject, spec: dict[str, Any], claim: str) -> bool:
    for volume in items(spec, "volumes"):
        if text(volume, "persistentVolumeClaim", "claimName") == claim:
            return True
    if group_kind(obj) != ("apps", "StatefulSet"):
        return False
    for template in items(obj, "spec", "volumeClaimTemplates"):
        prefix = f"{text(template, 'metadata', 'name')}-{name_of(obj)}-"
        if claim.startswith(prefix) and claim.removeprefix(prefix).isdigit():
            return True
    return False
