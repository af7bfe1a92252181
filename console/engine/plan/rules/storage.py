"""Claims: nothing of the old binding stays, the storage class is mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.engine.plan.raw import annotations_of

if TYPE_CHECKING:
    from console.engine.plan.draft import Draft

LEGACY_CLASS = "volume.beta.kubernetes.io/storage-class"

_BINDING = (
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-resizer",
    "velero.io/volume-snapshot-name",
    "velero.io/data-upload-name",
)
_PROTECTION = (
    "kubernetes.io/pvc-protection",
    "provisioner.storage.kubernetes.io/cloning-protection",
    "snapshot.storage.kubernetes.io/pvc-as-source-protection",
)


def claim(draft: Draft) -> None:
    """A claim as somebody asked for it (Velero c.4, MA c.9 rule 5)."""
    draft.drop_annotations(_BINDING, because="it tells of the old binding")
    draft.drop_finalizers(_PROTECTION, because="the cluster sets it again")
    draft.drop("spec", "volumeName", because="it gets a volume of its own")
    for field in ("dataSource", "dataSourceRef"):
        draft.drop("spec", field, because="its data comes from the restore point")
    spec = draft.part("spec")
    legacy = annotations_of(draft.obj).get(LEGACY_CLASS)
    if isinstance(legacy, str):
        spec.setdefault("storageClassName", legacy)
        draft.drop_annotations((LEGACY_CLASS,), because="said by storageClassName")
    map_class(draft, spec, "claim")
    if spec.get("storageClassName") != "":
        draft.drop("spec", "selector", because="a provisioned volume matches no selector")


def map_class(draft: Draft, spec: dict[str, Any], what: str) -> None:
    """Map the storage class of a claim's spec."""
    before = spec.get("storageClassName") or ""
    # what came from a draft already was mapped: a map may hold both a -> b and b -> c
    after = draft.context.storage_class_map.get(before) if draft.from_server else None
    if after is None or after == before:
        return
    spec["storageClassName"] = after
    draft.say(f"storage class of the {what}: {before or 'none named'} -> {after or 'none named'}")
