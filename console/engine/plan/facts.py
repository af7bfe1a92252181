"""What is known of the target when a restore is planned: frozen, read before, never asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from console.engine.model.kinds import Kind
from console.engine.model.names import ANNOTATION_RESTORED_BY
from console.engine.plan.raw import GroupKind, annotations_of, name_of, part, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.kinds import RawObject

NamespaceState = Literal["absent", "active", "terminating"]
UID_RANGE = "openshift.io/sa.scc.uid-range"  # on a Namespace
_DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


class LiveObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is in the target namespace already."""

    resource: str  # <plural>.<group>
    name: str
    restored_by: str = ""  # uid of the RestoreAction that made it


class LiveClass(msgspec.Struct, frozen=True, kw_only=True):
    """A storage class of the target."""

    name: str
    provisioner: str
    is_default: bool = False
    templated: bool = False  # its parameters are made from the claim's own name


class SwapFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a swap looks at: raw objects of one namespace, and the volumes of the cluster."""

    objects: tuple[dict[str, Any], ...] = ()
    volumes: tuple[dict[str, Any], ...] = ()  # that are kept for an undo
    served: tuple[Kind, ...] = ()


class LiveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The target as it is."""

    namespace_state: NamespaceState = "absent"
    namespace_restored_by: str = ""
    uid_range: str = ""  # that OpenShift gave the namespace, as `1000660000/10000`
    objects: tuple[LiveObject, ...] = ()
    served: tuple[Kind, ...] = ()  # every kind and version
    storage_classes: tuple[LiveClass, ...] = ()
    swap: SwapFacts | None = None  # read for a restore in place only


def live_class(obj: RawObject) -> LiveClass:
    """A StorageClass as a fact."""
    notes = annotations_of(obj)
    parameters = part(obj, "parameters").values()
    return LiveClass(
        name=name_of(obj),
        provisioner=text(obj, "provisioner"),
        is_default=any(notes.get(mark) == "true" for mark in _DEFAULT_CLASS),
        templated=any("${pvc." in str(value) for value in parameters),
    )


def live_object(kind: Kind, obj: RawObject) -> LiveObject:
    """An object of the target namespace as a fact."""
    return LiveObject(
        resource=kind.resource,
        name=name_of(obj),
        restored_by=str(annotations_of(obj).get(ANNOTATION_RESTORED_BY, "")),
    )


def namespace_state(obj: RawObject | None) -> NamespaceState:
    """The state of a Namespace; None = it is not there."""
    if obj is None:
        return "absent"
    ends = text(obj, "metadata", "deletionTimestamp") or text(obj, "status", "phase")
    return "active" if ends in {"", "Active"} else "terminating"


def served_by_kind(served: Iterable[Kind]) -> dict[tuple[GroupKind, str], Kind]:
    """The served kinds by what an object says it is: group and kind, version."""
    return {(GroupKind(kind.group, kind.kind), kind.version): kind for kind in served}
