"""What a backup takes: which kinds are listed, and which of their objects are kept.

Left out is what the cluster makes anew by itself and what means nothing in
another moment. Every reason is told to people (MA c.2, c.8, c.9 rule 1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from console.engine.model.names import GROUP
from console.engine.plan.raw import (
    GroupKind,
    annotations_of,
    controller_of,
    group_kind,
    items,
    labels_of,
    name_of,
    part,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from console.engine.model.kinds import Kind, RawObject

LABEL_EXCLUDE = f"{GROUP}/exclude"
LABEL_VELERO_EXCLUDE = "velero.io/exclude-from-backup"
_NEEDED_VERBS = frozenset({"list", "get", "create"})

_VIRTUAL_GROUPS = frozenset(
    {
        "metrics.k8s.io",
        "custom.metrics.k8s.io",
        "external.metrics.k8s.io",
        "authorization.openshift.io",  # a second face of rbac.authorization.k8s.io
        "packages.operators.coreos.com",
        "apps.kio.kasten.io",
        "actions.kio.kasten.io",
        "repositories.kio.kasten.io",
    }
)
_SKIPPED_RESOURCES = frozenset({
    "events",
    "events.events.k8s.io",
    "bindings",
    "leases.coordination.k8s.io",
    "controllerrevisions.apps",
    "csistoragecapacities.storage.k8s.io",
    "builds.build.openshift.io",
    "imagestreamtags.image.openshift.io",
    "imagetags.image.openshift.io",
    "imagestreamimages.image.openshift.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "volumegroupsnapshots.groupsnapshot.storage.k8s.io",
    # made again, these would start work of another product
    "backups.velero.io",
    "restores.velero.io",
    "deletebackuprequests.velero.io",
    "downloadrequests.velero.io",
    "serverstatusrequests.velero.io",
    "podvolumebackups.velero.io",
    "podvolumerestores.velero.io",
    "datauploads.velero.io",
    "datadownloads.velero.io",
    "backuprepositories.velero.io",
    "resticrepositories.velero.io",
})  # fmt: skip
_OLD_GROUPS = frozenset({"extensions"})  # the same objects are served by a newer group too


class ServedLike(Protocol):
    """One resource that the API serves, as discovery found it."""

    @property
    def kind(self) -> Kind:
        """The resource."""

    @property
    def verbs(self) -> Collection[str]:
        """What may be done with it."""

    @property
    def preferred(self) -> bool:
        """Whether its version is the group's preferred one."""


class Decision(NamedTuple):
    """Whether a backup takes an object; the reason is empty when it simply does."""

    take: bool
    reason: str = ""


_TAKEN = Decision(True)


class Surroundings(NamedTuple):
    """What is said about an object by the others of its namespace."""

    selecting_services: frozenset[str] = frozenset()  # Services with a selector, by name


def kinds_to_collect(served: Iterable[ServedLike]) -> tuple[Kind, ...]:
    """The kinds that a backup of a namespace lists, each once, sorted by resource.

    A resource that its group's preferred version lacks is listed in the newest
    version that has it.
    """
    best: dict[tuple[str, str], ServedLike] = {}
    for candidate in served:
        if not _is_collected(candidate):
            continue
        key = (candidate.kind.group, candidate.kind.plural)
        if key not in best or _rank(candidate) > _rank(best[key]):
            best[key] = candidate
    newer = {plural for group, plural in best if group not in _OLD_GROUPS}
    kept = [
        entry.kind
        for (group, plural), entry in best.items()
        if not (group in _OLD_GROUPS and plural in newer)
    ]
    return tuple(sorted(kept, key=lambda kind: kind.resource))


NOTHING_AROUND = Surroundings()


def decide(obj: RawObject, surroundings: Surroundings = NOTHING_AROUND) -> Decision:
    """Whether a backup takes this object, and why not.

    Without `surroundings`, Endpoints count as made by hand.
    """
    own = _RULES_OF.get(text(obj, "kind"))
    for rule in _RULES if own is None else (*_RULES, own):
        reason = rule(obj, surroundings)
        if reason:
            return Decision(False, reason)
    return _TAKEN


def surroundings_of(objects: Iterable[RawObject]) -> Surroundings:
    """What a namespace's Services, among other objects or alone, say about its Endpoints."""
    return Surroundings(
        frozenset(
            name_of(obj)
            for obj in objects
            if group_kind(obj) == ("", "Service") and part(obj, "spec", "selector")
        )
    )


def _is_collected(candidate: ServedLike) -> bool:
    kind = candidate.kind
    return (
        kind.namespaced
        and "/" not in kind.plural
        and frozenset(candidate.verbs) >= _NEEDED_VERBS
        and kind.group not in _VIRTUAL_GROUPS
        and kind.resource not in _SKIPPED_RESOURCES
        and not _is_own_record(kind)
    )


def _is_own_record(kind: Kind) -> bool:
    return kind.group == GROUP and (kind.plural.endswith("actions") or "points" in kind.plural)


_VERSION = re.compile(r"^v([0-9]+)(?:(alpha|beta)([0-9]+))?$")


def _rank(candidate: ServedLike) -> tuple[bool, int, int, int, str]:
    match = _VERSION.match(candidate.kind.version)
    if not match:
        return (candidate.preferred, -1, 0, 0, candidate.kind.version)
    stage = {None: 2, "beta": 1, "alpha": 0}[match[2]]
    return (candidate.preferred, stage, int(match[1]), int(match[3] or 0), "")


_TRUE = "true"


def _opted_out(obj: RawObject, _: Surroundings) -> str:
    """MA c.2: the label opt-out, ours and Velero's."""
    for label in (LABEL_EXCLUDE, LABEL_VELERO_EXCLUDE):
        if labels_of(obj).get(label) == _TRUE:
            return f"the label {label} leaves it out"
    return ""


def _going_away(obj: RawObject, _: Surroundings) -> str:
    # a claim on its way out still holds data that somebody may want back
    if group_kind(obj) == ("", "PersistentVolumeClaim"):
        return ""
    return "it is being deleted" if text(obj, "metadata", "deletionTimestamp") else ""


_VMI = GroupKind("kubevirt.io", "VirtualMachineInstance")
_REMADE = {
    (GroupKind("apps", "Deployment"), GroupKind("apps", "ReplicaSet")),
    (GroupKind("apps", "ReplicaSet"), GroupKind("", "Pod")),
    (GroupKind("apps", "StatefulSet"), GroupKind("", "Pod")),
    (GroupKind("apps", "DaemonSet"), GroupKind("", "Pod")),
    (GroupKind("", "ReplicationController"), GroupKind("", "Pod")),
    (GroupKind("batch", "Job"), GroupKind("", "Pod")),
    (GroupKind("batch", "CronJob"), GroupKind("batch", "Job")),
    (GroupKind("", "Service"), GroupKind("discovery.k8s.io", "EndpointSlice")),
    (GroupKind("", "Endpoints"), GroupKind("discovery.k8s.io", "EndpointSlice")),
    (GroupKind("apps.openshift.io", "DeploymentConfig"), GroupKind("", "ReplicationController")),
    (GroupKind("argoproj.io", "Rollout"), GroupKind("apps", "ReplicaSet")),
    (GroupKind("kubevirt.io", "VirtualMachine"), _VMI),
    (_VMI, GroupKind("", "Pod")),
}  # fmt: skip


def _remade_by_owner(obj: RawObject, _: Surroundings) -> str:
    """MA c.9 rule 2: only what a controller known to us makes again; other children are kept."""
    owner = controller_of(obj)
    if owner is None:
        return ""
    kind, name = owner
    reason = f"{kind.kind} {name} makes it again"
    if (kind, group_kind(obj)) in _REMADE:
        return reason
    if kind == ("", "Pod") and not _is_claim_of_a_set(obj, name):
        return reason
    return ""


def _is_claim_of_a_set(obj: RawObject, pod: str) -> bool:
    # a StatefulSet may let its pod own the claim <template>-<pod>; an ephemeral volume's claim
    # is named <pod>-<volume> and dies with the pod
    is_claim = group_kind(obj) == ("", "PersistentVolumeClaim")
    return is_claim and name_of(obj).endswith(f"-{pod}")


def _pod(obj: RawObject, _: Surroundings) -> str:
    """MA c.2: finished and mirror pods."""
    if group_kind(obj) != ("", "Pod"):
        return ""
    if "kubernetes.io/config.mirror" in annotations_of(obj):
        return "a node's own static pod"
    phase = text(obj, "status", "phase")
    return f"a finished pod ({phase})" if phase in {"Succeeded", "Failed"} else ""


def _job(obj: RawObject, _: Surroundings) -> str:
    """MA c.2: a finished Job would run again."""
    if group_kind(obj) != ("batch", "Job"):
        return ""
    ended = {
        condition.get("type")
        for condition in items(obj, "status", "conditions")
        if condition.get("status") == "True"
    }
    finished = text(obj, "status", "completionTime") or ended & {"Complete", "Failed"}
    return "a finished Job; made again, it would run again" if finished else ""


def _service_account(obj: RawObject, _: Surroundings) -> str:
    """MA c.8: every namespace gets these by itself."""
    if group_kind(obj) != ("", "ServiceAccount"):
        return ""
    name = name_of(obj)
    if name == "default":
        pulls = [text(ref, "name") for ref in items(obj, "imagePullSecrets")]
        own = sorted(pull for pull in pulls if not is_generated(name, pull))
        lost = f"; its image pull secrets ({', '.join(own)}) are not set again" if own else ""
        return f"every namespace has its own{lost}"
    if name in {"builder", "deployer"} and (
        "openshift.io/internal-registry-pull-secret-ref" in annotations_of(obj)
        or any(is_generated(name, text(ref, "name")) for ref in items(obj, "secrets"))
    ):
        return "OpenShift makes it in every project"
    return ""


def is_generated(account: str, secret: str) -> bool:
    """Whether a Secret's name is one that a cluster generates for a ServiceAccount."""
    return bool(re.fullmatch(re.escape(account) + r"-(token|dockercfg)-[a-z0-9]{5,10}", secret))


def _secret(obj: RawObject, _: Surroundings) -> str:
    """MA c.2, c.9 rule 1; tokens that somebody asked for by hand are kept."""
    if group_kind(obj) != ("", "Secret"):
        return ""
    kind, notes = text(obj, "type"), annotations_of(obj)
    account = str(notes.get("kubernetes.io/service-account.name", ""))
    if kind == "kubernetes.io/service-account-token" and is_generated(account, name_of(obj)):
        return f"the token of ServiceAccount {account}; the cluster makes a new one"
    if kind == "bootstrap.kubernetes.io/token":
        return "a token to join nodes with"
    marks = {"openshift.io/token-secret.name", "openshift.io/internal-registry-auth-token.binding"}
    generated = bool(marks & notes.keys()) or is_generated(account, name_of(obj))
    if kind == "kubernetes.io/dockercfg" and generated:
        return "OpenShift's registry access of a ServiceAccount; the cluster makes a new one"
    return ""


_INJECTED_MAPS = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"})
_INJECTED_BINDINGS = frozenset({
    "system:image-pullers",
    "system:image-builders",
    "system:deployers",
})  # fmt: skip


def _injected(obj: RawObject, _: Surroundings) -> str:
    """MA c.8, c.9 rule 1: what the platform puts into every namespace."""
    kind, name = group_kind(obj), name_of(obj)
    if kind == ("", "ConfigMap") and name in _INJECTED_MAPS:
        return "the cluster puts its own into every namespace"
    if kind == ("rbac.authorization.k8s.io", "RoleBinding") and name in _INJECTED_BINDINGS:
        return "OpenShift makes it in every project"
    if kind.kind == "ClusterServiceVersion" and "olm.copiedFrom" in labels_of(obj):
        return "a copy that the operator's own namespace hands out"
    return ""


def _endpoints(obj: RawObject, surroundings: Surroundings) -> str:
    """MA c.9 rule 1: managed ones come from their Service; those made by hand are kept."""
    kind = group_kind(obj)
    if kind == ("discovery.k8s.io", "EndpointSlice"):
        manager = str(labels_of(obj).get("endpointslice.kubernetes.io/managed-by", ""))
        service = str(labels_of(obj).get("kubernetes.io/service-name", ""))
        if manager.endswith(".k8s.io") or service in surroundings.selecting_services:
            return f"Service {service} makes it again"
    if kind == ("", "Endpoints") and (
        name_of(obj) in surroundings.selecting_services
        or "endpoints.kubernetes.io/managed-by" in labels_of(obj)
    ):
        return f"Service {name_of(obj)} makes it again"
    return ""


def _moment(obj: RawObject, _: Surroundings) -> str:
    """Objects of kinds that `kinds_to_collect` leaves out, should one come along anyway."""
    kind = group_kind(obj)
    if kind.kind in {"Event", "Lease", "ControllerRevision", "PodMetrics"}:
        return "it describes a moment of the cluster"
    if kind == ("snapshot.storage.k8s.io", "VolumeSnapshot"):
        return "made again, it would be a snapshot of another moment"
    if kind.group == GROUP and (kind.kind.endswith("Action") or "Point" in kind.kind):
        return "a record of ours"
    return ""


_Rule: TypeAlias = "Callable[[RawObject, Surroundings], str]"
_RULES: tuple[_Rule, ...] = (_opted_out, _going_away, _remade_by_owner, _moment)
_RULES_OF: dict[str, _Rule] = {  # by the kind's name; each looks at the group itself
    "Pod": _pod,
    "Job": _job,
    "ServiceAccount": _service_account,
    "Secret": _secret,
    "ConfigMap": _injected,
    "RoleBinding": _injected,
    "ClusterServiceVersion": _injected,
    "EndpointSlice": _endpoints,
    "Endpoints": _endpoints,
}
