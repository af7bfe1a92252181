"""Objects of a restore point made fit for the target: one table of rules.

Every object goes through the general rule; kinds in the table through theirs
before it. Kinds that we do not know keep their whole spec. docs/restore-rules.md
is the same table for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console.engine.model.names import ANNOTATION_RESTORED_BY, ANNOTATION_SOURCE_UID
from console.engine.plan.draft import Draft, RestoreContext
from console.engine.plan.raw import group_kind, namespace_of, uid_of
from console.engine.plan.rules import identity, network, storage, workloads

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.engine.model.kinds import RawObject

__all__ = ["RULES", "RestoreContext", "Sanitised", "sanitise"]


class Sanitised(NamedTuple):
    """An object as it will be created, and what was changed, in words."""

    obj: RawObject
    changes: tuple[str, ...]


# by <group>/<Kind>, core without a group; each family's file names its source
RULES: dict[str, tuple[Callable[[Draft], None], ...]] = {
    "Namespace": (identity.namespace,),
    "ServiceAccount": (identity.service_account,),
    "Secret": (identity.secret,),
    "ConfigMap": (identity.lock_holder,),
    "Endpoints": (identity.lock_holder, network.endpoints),
    "discovery.k8s.io/EndpointSlice": (network.endpoints,),
    "PersistentVolumeClaim": (storage.claim,),
    "Service": (network.service,),
    "networking.k8s.io/Ingress": (network.ingress,),
    "extensions/Ingress": (network.ingress,),
    "route.openshift.io/Route": (network.route,),
    "rbac.authorization.k8s.io/RoleBinding": (identity.role_binding,),
    "Pod": (workloads.pod,),
    "apps/Deployment": (workloads.deployment,),
    "apps/ReplicaSet": (workloads.replica_set,),
    "apps/DaemonSet": (workloads.daemon_set,),
    "apps/StatefulSet": (workloads.stateful_set,),
    "batch/Job": (workloads.job,),
    "autoscaling/HorizontalPodAutoscaler": (workloads.autoscaler,),
    "apps.openshift.io/DeploymentConfig": (workloads.deployment_config,),
    "image.openshift.io/ImageStream": (workloads.image_stream,),
}

# Velero c.4; managedFields too: their owners did not write the new object
_SERVER_METADATA = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "generateName",
    "managedFields",
)
_PASSING_FINALIZERS = ("foregroundDeletion", "orphan")


def sanitise(obj: RawObject, *, context: RestoreContext) -> Sanitised:
    """The object as it will be created. What was sanitised once is not changed again."""
    draft = Draft(obj, context)
    kind = group_kind(obj)
    for rule in RULES.get(f"{kind.group}/{kind.kind}" if kind.group else kind.kind, ()):
        rule(draft)
    _general(draft)
    _stamp(draft, uid_of(obj))
    return Sanitised(draft.obj, tuple(draft.changes))


def _general(draft: Draft) -> None:
    """Velero c.4 for every object: what only the server may say."""
    metadata = draft.part("metadata")
    gone = [field for field in _SERVER_METADATA if field in metadata]
    for field in gone:
        del metadata[field]
    if "status" in draft.obj:
        del draft.obj["status"]
        gone.append("status")
    if gone:
        draft.say(f"filled in by the server, removed: {', '.join(gone)}")
    # owners are new objects with new uids; the collector deletes what names an absent owner
    draft.drop("metadata", "ownerReferences", because="the owners have new uids")
    draft.drop_finalizers(_PASSING_FINALIZERS, because="it belongs to a deletion")
    context = draft.context
    if context.moves and namespace_of(draft.obj) == context.source_namespace:
        metadata["namespace"] = context.target_namespace
        draft.say(f"namespace: {context.source_namespace} -> {context.target_namespace}")


def _stamp(draft: Draft, source_uid: str) -> None:
    """MA c.9 rule 14: what we restored can be told, and taken back exactly."""
    if source_uid:
        draft.annotate(ANNOTATION_SOURCE_UID, source_uid)
    if draft.context.action_uid:
        draft.annotate(ANNOTATION_RESTORED_BY, draft.context.action_uid)
    elif draft.from_server:
        # a mark of an earlier restore would claim this object for that one
        draft.part("metadata", "annotations").pop(ANNOTATION_RESTORED_BY, None)
