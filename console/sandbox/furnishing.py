"""What stands in a new sandbox: namespaces, the node, storage and snapshot classes, their CRDs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from console.sandbox.discovery import VERSION
from console.sandbox.kinds import CRDS, DRIVER, NAMESPACES, NODE, NODES, STORAGE_CLASSES

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw
    from console.sandbox.rules import Rules
    from console.sandbox.store import Store

_SNAPSHOT_GROUP = "snapshot.storage.k8s.io"
_TEXT: Raw = {"type": "string"}
_ANY: Raw = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def furnish(store: Store, rules: Rules) -> None:
    """Create everything that a cluster has from the start."""
    for name in ("default", "kube-system", "kube-public"):
        _create(store, rules, NAMESPACES, {"metadata": {"name": name}})
    for crd in (_snapshots(), _contents(), _classes()):
        _create(store, rules, CRDS, crd)
    _create(store, rules, NODES, _node())
    for name, mode in (("sandbox", "Immediate"), ("sandbox-wait", "WaitForFirstConsumer")):
        _create(store, rules, STORAGE_CLASSES, _storage_class(name, mode))
    driver = {"metadata": {"name": DRIVER}, "spec": {"attachRequired": False}}
    _create(store, rules, "csidrivers.storage.k8s.io", driver)


def furnish_snapshot_class(store: Store, rules: Rules) -> None:
    """The default snapshot class, once its CRD is served."""
    mark = "snapshot.storage.kubernetes.io/is-default-class"
    cls = {
        "metadata": {"name": "sandbox", "annotations": {mark: "true"}},
        "driver": DRIVER,
        "deletionPolicy": "Delete",
    }
    _create(store, rules, f"volumesnapshotclasses.{_SNAPSHOT_GROUP}", cls)


def _create(store: Store, rules: Rules, resource_id: str, obj: Raw) -> None:
    resource = store.registry[resource_id]
    store.add(resource, rules.for_create(resource, obj, "", strict=False))


def _node() -> Raw:
    labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64")
    size = {"cpu": str(os.cpu_count() or 1), "memory": "8Gi", "pods": "110"}
    return {
        "metadata": {"name": NODE, "labels": {**labels, "kubernetes.io/arch": machine}},
        "spec": {},
        "status": {
            "capacity": size,
            "allocatable": size,
            "conditions": [{"type": "Ready", "status": "True", "reason": "SandboxReady"}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "nodeInfo": {"kubeletVersion": VERSION, "architecture": machine},
        },
    }


def _storage_class(name: str, mode: str) -> Raw:
    annotations = {}
    if name == "sandbox":
        annotations["storageclass.kubernetes.io/is-default-class"] = "true"
    return {
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": DRIVER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": mode,
        "allowVolumeExpansion": False,
    }


def _column(name: str, path: str, kind: str = "string") -> Raw:
    return {"name": name, "type": kind, "jsonPath": path}


def _crd(kind: str, short: str, *, namespaced: bool, schema: Raw, columns: list[Raw]) -> Raw:
    plural = f"{kind.lower()}es" if kind.endswith("s") else f"{kind.lower()}s"
    age = _column("Age", ".metadata.creationTimestamp", "date")
    status = "status" in schema["properties"]
    return {
        "metadata": {"name": f"{plural}.{_SNAPSHOT_GROUP}"},
        "spec": {
            "group": _SNAPSHOT_GROUP,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "plural": plural,
                "singular": kind.lower(),
                "kind": kind,
                "listKind": f"{kind}List",
                "shortNames": [short, f"{short}s" if not short.endswith("s") else f"{short}es"],
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}} if status else {},
                    "additionalPrinterColumns": [*columns, age],
                }
            ],
        },
    }


def _snapshots() -> Raw:
    source = {
        "type": "object",
        "properties": {"persistentVolumeClaimName": _TEXT, "volumeSnapshotContentName": _TEXT},
    }
    spec = {
        "type": "object",
        "required": ["source"],
        "properties": {"source": source, "volumeSnapshotClassName": _TEXT},
    }
    columns = [
        _column("ReadyToUse", ".status.readyToUse", "boolean"),
        _column("SourcePVC", ".spec.source.persistentVolumeClaimName"),
        _column("SourceSnapshotContent", ".spec.source.volumeSnapshotContentName"),
        _column("RestoreSize", ".status.restoreSize"),
        _column("SnapshotClass", ".spec.volumeSnapshotClassName"),
        _column("SnapshotContent", ".status.boundVolumeSnapshotContentName"),
        _column("CreationTime", ".status.creationTime", "date"),
    ]
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": _ANY}}
    return _crd("VolumeSnapshot", "vs", namespaced=True, schema=schema, columns=columns)


def _policy() -> Raw:
    return {"type": "string", "enum": ["Delete", "Retain"]}


def _contents() -> Raw:
    source = {
        "type": "object",
        "properties": {"volumeHandle": _TEXT, "snapshotHandle": _TEXT},
    }
    spec = {
        "type": "object",
        "required": ["deletionPolicy", "driver", "source", "volumeSnapshotRef"],
        "properties": {
            "deletionPolicy": _policy(),
            "driver": _TEXT,
            "source": source,
            "sourceVolumeMode": _TEXT,
            "volumeSnapshotClassName": _TEXT,
            "volumeSnapshotRef": _ANY,
        },
    }
    columns = [
        _column("ReadyToUse", ".status.readyToUse", "boolean"),
        _column("RestoreSize", ".status.restoreSize", "integer"),
        _column("DeletionPolicy", ".spec.deletionPolicy"),
        _column("Driver", ".spec.driver"),
        _column("VolumeSnapshotClass", ".spec.volumeSnapshotClassName"),
        _column("VolumeSnapshot", ".spec.volumeSnapshotRef.name"),
        _column("VolumeSnapshotNamespace", ".spec.volumeSnapshotRef.namespace"),
    ]
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": spec, "status": _ANY}}
    return _crd("VolumeSnapshotContent", "vsc", namespaced=False, schema=schema, columns=columns)


def _classes() -> Raw:
    text_map = {"type": "object", "additionalProperties": _TEXT}
    schema = {
        "type": "object",
        "required": ["deletionPolicy", "driver"],
        "properties": {"deletionPolicy": _policy(), "driver": _TEXT, "parameters": text_map},
    }
    columns = [_column("Driver", ".driver"), _column("DeletionPolicy", ".deletionPolicy")]
    return _crd("VolumeSnapshotClass", "vsclass", namespaced=False, schema=schema, columns=columns)
