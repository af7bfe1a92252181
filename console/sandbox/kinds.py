"""The resources that the sandbox serves, and the names of single objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Raw = dict[str, Any]  # one object's JSON

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Key(NamedTuple):
    """Where one object stands; `resource` is `<plural>[.<group>]`."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = False  # has the status subresource, and a generation
    scale: bool = False
    verbs: tuple[str, ...] = VERBS
    list_kind: str = ""
    singular: str = ""
    schema: Raw | None = field(default=None, compare=False)
    columns: tuple[Raw, ...] = field(default=(), compare=False)

    @property
    def id(self) -> str:
        """`<plural>[.<group>]`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """As in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def key(self, obj: Raw) -> Key:
        """Where `obj` stands."""
        meta = obj["metadata"]
        return Key(self.id, meta.get("namespace", "") if self.namespaced else "", meta["name"])


PODS = "pods"
NAMESPACES = "namespaces"
SERVICES = "services"
CONFIG_MAPS = "configmaps"
SECRETS = "secrets"
EVENTS = "events"
CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
NODES = "nodes"
SERVICE_ACCOUNTS = "serviceaccounts"
DEPLOYMENTS = "deployments.apps"
REPLICA_SETS = "replicasets.apps"
STATEFUL_SETS = "statefulsets.apps"
JOBS = "jobs.batch"
STORAGE_CLASSES = "storageclasses.storage.k8s.io"
CRDS = "customresourcedefinitions.apiextensions.k8s.io"
SNAPSHOTS = "volumesnapshots.snapshot.storage.k8s.io"
SNAPSHOT_CONTENTS = "volumesnapshotcontents.snapshot.storage.k8s.io"
SNAPSHOT_CLASSES = "volumesnapshotclasses.snapshot.storage.k8s.io"

DRIVER = "csi.sandbox.kubehaven.io"
NODE = "sandbox"

# path, kind, short names, marks: c = cluster-wide, s = status, a = category all, x = scale,
# r = a review: created, never kept
_ROWS = """
v1/namespaces                Namespace                ns      cs
v1/nodes                     Node                     no      cs
v1/pods                      Pod                      po      sa
v1/services                  Service                  svc     sa
v1/configmaps                ConfigMap                cm      -
v1/secrets                   Secret                   -       -
v1/serviceaccounts           ServiceAccount           sa      -
v1/events                    Event                    ev      -
v1/endpoints                 Endpoints                ep      -
v1/limitranges               LimitRange               limits  -
v1/resourcequotas            ResourceQuota            quota   s
v1/persistentvolumeclaims    PersistentVolumeClaim    pvc     s
v1/persistentvolumes         PersistentVolume         pv      cs
apps/v1/deployments          Deployment               deploy  sax
apps/v1/replicasets          ReplicaSet               rs      sax
apps/v1/statefulsets         StatefulSet              sts     sax
batch/v1/jobs                Job                      -       sa
batch/v1/cronjobs            CronJob                  cj      sa
autoscaling/v2/horizontalpodautoscalers HorizontalPodAutoscaler hpa sa
networking.k8s.io/v1/ingresses          Ingress       ing     s
networking.k8s.io/v1/networkpolicies    NetworkPolicy netpol  -
policy/v1/poddisruptionbudgets PodDisruptionBudget    pdb     s
rbac.authorization.k8s.io/v1/roles               Role               - -
rbac.authorization.k8s.io/v1/rolebindings        RoleBinding        - -
rbac.authorization.k8s.io/v1/clusterroles        ClusterRole        - c
rbac.authorization.k8s.io/v1/clusterrolebindings ClusterRoleBinding - c
storage.k8s.io/v1/storageclasses    StorageClass      sc      c
storage.k8s.io/v1/csidrivers        CSIDriver         -       c
storage.k8s.io/v1/volumeattachments VolumeAttachment  -       cs
coordination.k8s.io/v1/leases       Lease             -       -
scheduling.k8s.io/v1/priorityclasses PriorityClass    pc      c
apiextensions.k8s.io/v1/customresourcedefinitions CustomResourceDefinition crd,crds cs
authorization.k8s.io/v1/selfsubjectaccessreviews  SelfSubjectAccessReview  - cr
authorization.k8s.io/v1/subjectaccessreviews      SubjectAccessReview      - cr
authorization.k8s.io/v1/selfsubjectrulesreviews   SelfSubjectRulesReview   - cr
authentication.k8s.io/v1/selfsubjectreviews       SelfSubjectReview        - cr
"""


def _built_in(row: str) -> Resource:
    path, kind, short, marks = row.split()
    *group, version, plural = path.split("/")
    return Resource(
        group="".join(group),
        version=version,
        plural=plural,
        kind=kind,
        namespaced="c" not in marks,
        short=() if short == "-" else tuple(short.split(",")),
        categories=("all",) if "a" in marks else (),
        status="s" in marks,
        scale="x" in marks,
        verbs=("create",) if "r" in marks else VERBS,
        list_kind=f"{kind}List",
        singular=kind.lower(),
    )


class Registry:
    """The resources served now; those of CRDs come and go."""

    def __init__(self) -> None:
        self._by_id: dict[str, Resource] = {}
        for row in _ROWS.strip().splitlines():
            self.add(_built_in(row))

    def __getitem__(self, resource_id: str) -> Resource:
        return self._by_id[resource_id]

    def __contains__(self, resource_id: str) -> bool:
        return resource_id in self._by_id

    def add(self, resource: Resource) -> None:
        """Serve it from now on."""
        self._by_id[resource.id] = resource

    def remove(self, resource_id: str) -> None:
        """Serve it no longer."""
        self._by_id.pop(resource_id, None)

    def all(self) -> list[Resource]:
        """Every resource, in the order it was added."""
        return list(self._by_id.values())

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object's apiVersion and kind (the group decides, not the version)."""
        group = api_version.rpartition("/")[0]
        for resource in self._by_id.values():
            if resource.kind == kind and resource.group == group:
                return resource
        return None
