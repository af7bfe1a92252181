"""The kinds that the engine names itself; every other kind is found by discovery."""

from __future__ import annotations

from typing import Any, NamedTuple

RawObject = dict[str, Any]  # one object's JSON as the server sent it; never a typed round trip


class Kind(NamedTuple):
    """One resource of the API: enough to build its path."""

    group: str  # "" = core
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`<plural>.<group>`, as kubectl says it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Kind("", "v1", "secrets", "Secret")
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount")
SERVICES = Kind("", "v1", "services", "Service")
PODS = Kind("", "v1", "pods", "Pod")
EVENTS = Kind("", "v1", "events", "Event")
NODES = Kind("", "v1", "nodes", "Node", namespaced=False)
QUOTAS = Kind("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGES = Kind("", "v1", "limitranges", "LimitRange")
CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
VOLUMES = Kind("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
DEPLOYMENTS = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SETS = Kind("apps", "v1", "replicasets", "ReplicaSet")
STATEFUL_SETS = Kind("apps", "v1", "statefulsets", "StatefulSet")
JOBS = Kind("batch", "v1", "jobs", "Job")
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
STORAGE_CLASSES = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False)
CSI_DRIVERS = Kind("storage.k8s.io", "v1", "csidrivers", "CSIDriver", namespaced=False)
CRDS = Kind(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)

_SNAPSHOT = "snapshot.storage.k8s.io"
SNAPSHOT_CLASSES = Kind(
    _SNAPSHOT, "v1", "volumesnapshotclasses", "VolumeSnapshotClass", namespaced=False
)
SNAPSHOT_CONTENTS = Kind(
    _SNAPSHOT, "v1", "volumesnapshotcontents", "VolumeSnapshotContent", namespaced=False
)
SNAPSHOTS = Kind(_SNAPSHOT, "v1", "volumesnapshots", "VolumeSnapshot")

_OURS = ("kubehaven.io", "v1alpha1")
BACKUP_ACTIONS = Kind(*_OURS, "backupactions", "BackupAction")
EXPORT_ACTIONS = Kind(*_OURS, "exportactions", "ExportAction")
RESTORE_ACTIONS = Kind(*_OURS, "restoreactions", "RestoreAction")
RETIRE_ACTIONS = Kind(*_OURS, "retireactions", "RetireAction")
RESTORE_POINTS = Kind(*_OURS, "restorepoints", "RestorePoint")
RESTORE_POINT_CONTENTS = Kind(
    *_OURS, "restorepointcontents", "RestorePointContent", namespaced=False
)
LOCATIONS = Kind(*_OURS, "locations", "Location")
SETTINGS = Kind(*_OURS, "settings", "Settings")
