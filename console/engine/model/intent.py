"""What an administrator sets up in a cluster: locations and settings, as values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from console.engine.model.record import NamedRef, Resource
from console.engine.model.wire import Record


class ObjectStoreSpec(Record, frozen=True, kw_only=True):
    """An S3 bucket."""

    name: str  # bucket
    objectStoreType: Literal["S3"] = "S3"
    endpoint: str = ""
    region: str = ""
    path: str = ""  # prefix inside the bucket
    pathStyle: bool = True
    skipSSLVerify: bool = False


class FileStoreSpec(Record, frozen=True, kw_only=True):
    """A folder that every node and the desktop see under the same path (a shared mount)."""

    path: str


class CredentialRef(Record, frozen=True, kw_only=True):
    """The Secret in `kubehaven` that holds the location's access key."""

    secret: NamedRef
    secretType: Literal["AwsAccessKey"] = "AwsAccessKey"


class LocationSpec(Record, frozen=True, kw_only=True):
    """Where exported points are stored."""

    type: Literal["ObjectStore", "FileStore"]
    objectStore: ObjectStoreSpec | None = None
    fileStore: FileStoreSpec | None = None
    credential: CredentialRef | None = None
    caBundle: str = ""
    readOnly: bool = False
    allowedNamespaces: tuple[str, ...] = ()
    keyId: str = ""  # id of the location key, as in <prefix>/kubehaven.json


class LocationStatus(Record, frozen=True, kw_only=True):
    """Whether the location can be used."""

    validation: Literal["", "Success", "Failed"] = ""
    recoveryKit: bool = False  # the kit was saved and read back
    error: str = ""
    checkedAt: str = ""


class Slots(Record, frozen=True, kw_only=True):
    """How much may run at once."""

    jobs: int = 9
    snapshots: int = 10
    exports: int = 10
    exportsPerAction: int = 3
    restores: int = 10
    restoresPerAction: int = 3


class WorkerProxy(Record, frozen=True, kw_only=True):
    """The proxy through which workers reach a location; no password in it, pods show it."""

    http: str = ""
    https: str = ""
    noProxy: str = ""  # hosts, domains and networks to reach directly, with commas between


class WorkerSettings(Record, frozen=True, kw_only=True):
    """How worker pods are made.

    `caBundle` (PEM) is trusted beside a location's own bundle, and in place of the public
    authorities. `requiredSCC` and `seLinuxType` are for OpenShift: the SCC a pod has to be
    admitted by, and the type it runs as.
    """

    image: str = ""  # with a digest to pin it: name@sha256:…
    imagePullSecrets: tuple[str, ...] = ()  # Secrets in kubehaven-workers
    mirrorPrefix: str = ""  # stands in place of the image's registry: registry.example.com/mirror
    proxy: WorkerProxy = WorkerProxy()
    caBundle: str = ""
    requiredSCC: str = ""
    seLinuxType: str = ""
    nodeSelector: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[dict[str, Any], ...] = ()
    priorityClassName: str = ""
    cpu: str = "1"
    memory: str = "400Mi"


class NodePathSettings(Record, frozen=True, kw_only=True):
    """Whether a worker may read a volume in use on its pod's node, from the kubelet's folder.

    Only where nothing else is possible; `kubehaven-workers` has to admit hostPath volumes then.
    """

    allowed: bool = False
    kubeletDirectory: str = "/var/lib/kubelet"


class SettingsSpec(Record, frozen=True, kw_only=True):
    """Settings of a cluster; one object, `default`."""

    slots: Slots = Slots()
    workers: WorkerSettings = WorkerSettings()
    nodePath: NodePathSettings = NodePathSettings()
    snapshotDeadlineSeconds: int = 600  # until a snapshot is taken
    readBackExports: Literal["first", "always"] = "first"  # of an application, per location
    snapshotReadySeconds: int = 3600  # until a snapshot that was taken can be read
    objectsBudgetMiB: int = 64


class Location(Resource, frozen=True, kw_only=True):
    """A Location in the cluster."""

    spec: LocationSpec
    status: LocationStatus = LocationStatus()


class Settings(Resource, frozen=True, kw_only=True):
    """The Settings of a cluster."""

    spec: SettingsSpec = SettingsSpec()
