"""Objects as an API server would send them: small, whole, and easy to vary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject


def made(
    kind: str,
    name: str,
    *,
    api: str = "v1",
    namespace: str = "visits",
    owner: tuple[str, str, str] | None = None,
    meta: dict[str, Any] | None = None,
    **body: Any,
) -> RawObject:
    """An object that a server stored.

    Args:
        owner: apiVersion, kind and name of the controlling owner.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "uid": f"uid-{kind}-{name}",
        "resourceVersion": "42",
        "creationTimestamp": "2026-11-24T10:00:00Z",
        "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {}}],
    }
    if namespace:
        metadata["namespace"] = namespace
    if owner:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner[0],
                "kind": owner[1],
                "name": owner[2],
                "uid": f"uid-{owner[1]}-{owner[2]}",
                "controller": True,
            }
        ]
    return {"apiVersion": api, "kind": kind, "metadata": metadata | (meta or {}), **body}


def namespace(name: str = "visits", **meta: Any) -> RawObject:
    """A Namespace with what the server and OpenShift write into it."""
    own: dict[str, Any] = {
        "labels": {"kubernetes.io/metadata.name": name, "team": "web"},
        "annotations": {"openshift.io/sa.scc.uid-range": "1000/10", "note": "keep"},
    }
    return made(
        "Namespace",
        name,
        namespace="",
        meta=own | meta,
        spec={"finalizers": ["kubernetes"]},
        status={"phase": "Active"},
    )


def claim(
    name: str = "data",
    *,
    storage_class: str | None = "standard",
    size: str = "1Gi",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    mode: str = "Filesystem",
    phase: str = "Bound",
    **spec: Any,
) -> RawObject:
    """A bound claim; `storage_class` None leaves the field out."""
    named = {} if storage_class is None else {"storageClassName": storage_class}
    return made(
        "PersistentVolumeClaim",
        name,
        meta={
            "annotations": {
                "pv.kubernetes.io/bind-completed": "yes",
                "pv.kubernetes.io/bound-by-controller": "yes",
                "volume.kubernetes.io/storage-provisioner": "csi.example.test",
                "volume.kubernetes.io/selected-node": "node-1",
                "note": "keep",
            },
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        spec={
            "accessModes": list(modes),
            "volumeMode": mode,
            "resources": {"requests": {"storage": size}},
            "volumeName": f"pv-{name}",
            **named,
            **spec,
        },
        status={"phase": phase, "capacity": {"storage": size}},
    )


def volume(name: str = "pv-data", *, driver: str = "csi.example.test") -> RawObject:
    """A PersistentVolume; without a driver it is a static NFS one."""
    source = {"csi": {"driver": driver, "volumeHandle": name}} if driver else {"nfs": {}}
    return made("PersistentVolume", name, namespace="", spec=source)


def snapshot_class(
    name: str,
    *,
    driver: str = "csi.example.test",
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    **body: Any,
) -> RawObject:
    """A VolumeSnapshotClass."""
    return made(
        "VolumeSnapshotClass",
        name,
        api="snapshot.storage.k8s.io/v1",
        namespace="",
        meta={"annotations": annotations or {}, "labels": labels or {}},
        driver=driver,
        deletionPolicy="Delete",
        **body,
    )


def service(
    name: str = "web",
    *,
    ports: list[dict[str, Any]] | None = None,
    annotations: dict[str, str] | None = None,
    owned: dict[str, Any] | None = None,
    **spec: Any,
) -> RawObject:
    """A Service that the cluster gave addresses.

    Args:
        owned: `f:spec` of its field manager.
    """
    return made(
        "Service",
        name,
        meta={
            "annotations": annotations or {},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": owned or {}}}],
        },
        spec={
            "type": "ClusterIP",
            "clusterIP": "10.0.0.7",
            "clusterIPs": ["10.0.0.7"],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "selector": {"app": name},
            "ports": ports or [{"name": "http", "port": 80, "protocol": "TCP"}],
            **spec,
        },
        status={"loadBalancer": {}},
    )


def deployment(name: str = "web", *, claim: str = "data", **pod: Any) -> RawObject:
    """A Deployment whose pods mount one claim."""
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]
    return made(
        "Deployment",
        name,
        api="apps/v1",
        meta={"annotations": {"deployment.kubernetes.io/revision": "3"}},
        spec={
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, **pod},
            },
        },
        status={"readyReplicas": 2},
    )
