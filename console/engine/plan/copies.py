"""Volumes that nothing can snapshot: whether and how a worker may copy them as they are. Pure.

A *twin* is a second PersistentVolume on the same data, read-only and Retain, bound to a claim
in `kubehaven-workers`. Where a second mount could keep the application from its volume, the
worker reads the one that the kubelet has mounted for the application's pod.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.model.points import VolumeArtifact
from console.engine.model.views import Blocker
from console.engine.plan.placement import Placement
from console.engine.plan.raw import describe, items, name_of, part, text, uid_of
from console.engine.plan.snapshots import claim_size
from console.engine.plan.swap_plan import mounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.intent import NodePathSettings
    from console.engine.model.kinds import RawObject
    from console.engine.plan.snapshots import Origin

TWIN = "twin"  # step and role
LATEST_COPY = timedelta(hours=24)  # after the point: what is in the volume later is not of it
_SHARED = frozenset({"ReadWriteMany", "ReadOnlyMany"})
_SOURCES = ("csi", "nfs", "local")
_CARRIED = ("capacity", "accessModes", "volumeMode", "mountOptions", "nodeAffinity")


class NodePath(msgspec.Struct, frozen=True, kw_only=True):
    """Where the kubelet has mounted a volume for a pod that runs."""

    pod: str
    pod_uid: str
    path: str
    placement: Placement


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """A volume that may be mounted a second time."""

    volume: dict[str, Any]


def check_copy(
    claim: RawObject,
    volume: RawObject,
    pods: Iterable[RawObject],
    *,
    node_path: NodePathSettings,
) -> Twin | NodePath | Blocker:
    """How the data of a claim can be copied without a snapshot, or why not.

    Args:
        claim: A bound one of files, that more than one pod may mount.
        pods: Of its namespace.
    """
    source = source_of(volume)
    if source not in _SOURCES:
        return _refused(
            claim,
            "copy.source",
            f"a volume of the kind {source or 'unknown'} can't be copied either",
            "use a storage class that can snapshot",
        )
    users = [pod for pod in pods if mounts(pod, {name_of(claim)}) and text(pod, "spec", "nodeName")]
    modes = set(part(volume, "spec").get("accessModes") or ())
    if not users or source != "csi" or modes & _SHARED:
        return Twin(volume=volume)
    if not node_path.allowed:
        return _refused(
            claim,
            "copy.node_path_off",
            f"the pod {name_of(users[0])} uses it, and a second mount could keep the application "
            "from its volume",
            "allow workers to read it on the pod's node: kubehaven cluster prepare NAME "
            "--allow-node-path; or stop its pods for the export, or use a storage class that can "
            "snapshot",
        )
    running = [pod for pod in users if text(pod, "status", "phase") == "Running"]
    if not running:
        return _refused(
            claim,
            "copy.pod_starts",
            f"its pod {name_of(users[0])} does not run yet",
            "try again when it runs",
        )
    return _node_path(running[0], volume, node_path.kubeletDirectory)


def source_of(volume: RawObject) -> str:
    """The kind of storage behind a volume, as its field is called: `csi`, `nfs`, or another."""
    spec = part(volume, "spec")
    known = next((name for name in _SOURCES if isinstance(spec.get(name), dict)), "")
    others = {"claimRef", "capacity", "nodeAffinity"}
    return known or next(
        (name for name, value in spec.items() if isinstance(value, dict) and name not in others), ""
    )


def without_snapshot(claim: RawObject) -> VolumeArtifact:
    """A claim in a local point, without its data: an export copies that."""
    spec = part(claim, "spec")
    return VolumeArtifact(
        pvc=name_of(claim),
        size=claim_size(claim),
        storageClass=text(claim, "spec", "storageClassName"),
        accessModes=tuple(spec.get("accessModes") or ()),
        volumeMode=text(claim, "spec", "volumeMode") or "Filesystem",
        crashConsistent=False,
        claimUID=uid_of(claim),
    )


def said_later(refusal: Blocker) -> Blocker:
    """What a backup says of a claim whose data only an export can copy.

    Args:
        refusal: Why no snapshot is possible.
    """
    return Blocker(
        code="claim.copied_by_export",
        message=f"{refusal.message}; a backup has the claim without its data, and the export of "
        "its point copies the data as it is then: not crash-consistent",
        object=refusal.object,
        hint="export the point into a location within a day, and restore the exported point",
    )


def check_recorded(
    volume: VolumeArtifact, claim: RawObject | None, *, taken_at: str, now: str
) -> Blocker | None:
    """Why what is in a claim today is not of the point; None when it still may be.

    Args:
        taken_at: When the point was made, RFC 3339.
    """
    subject = f"PersistentVolumeClaim {volume.pvc}"
    if claim is None or uid_of(claim) != volume.claimUID:
        return Blocker(
            code="copy.replaced",
            message="it is not the claim that the point was made of, and the point has no data "
            "of its own for it",
            object=subject,
            hint="make a new backup and export that",
        )
    if datetime.fromisoformat(now) - datetime.fromisoformat(taken_at) > LATEST_COPY:
        return Blocker(
            code="copy.too_late",
            message="the point is older than a day and has no data of its own for the claim: what "
            "is in it today is not of that time",
            object=subject,
            hint="make a new backup and export that",
        )
    return None


def twin_claim(volume: VolumeArtifact, twin: Twin, *, origin: Origin) -> RawObject:
    """Our claim for the twin; made before it."""
    spec = part(twin.volume, "spec")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": origin.metadata(TWIN, volume.pvc, role=TWIN, namespace=WORKERS_NAMESPACE),
        "spec": {
            "accessModes": list(spec.get("accessModes") or ()),
            "storageClassName": "",
            "volumeName": origin.name(TWIN, volume.pvc),
            "resources": {"requests": {"storage": text(spec, "capacity", "storage") or "1"}},
        },
    }


def twin_volume(volume: VolumeArtifact, twin: Twin, *, origin: Origin, claim_uid: str) -> RawObject:
    """The twin: the same storage, read-only, for our claim alone.

    Nothing can take its data along: it is Retain; it has no annotation of a provisioner, without
    which that does not feel responsible; and it goes with its claim gone and the policy unchanged.
    """
    spec = part(twin.volume, "spec")
    source = source_of(twin.volume)
    read_only = {} if source == "local" else {"readOnly": True}  # local: the mount is read-only
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": origin.metadata(TWIN, volume.pvc, role=TWIN),
        "spec": {
            **{name: spec[name] for name in _CARRIED if name in spec},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": WORKERS_NAMESPACE,
                "name": origin.name(TWIN, volume.pvc),
                "uid": claim_uid,
            },
            source: {**spec[source], **read_only},
        },
    }


def _node_path(pod: RawObject, volume: RawObject, kubelet: str) -> NodePath:
    uid, node = uid_of(pod), text(pod, "spec", "nodeName")
    here = {"key": "metadata.name", "operator": "In", "values": [node]}
    terms = {"nodeSelectorTerms": [{"matchFields": [here]}]}
    folder = f"{kubelet.rstrip('/')}/pods/{uid}/volumes/kubernetes.io~csi"
    return NodePath(
        pod=name_of(pod),
        pod_uid=uid,
        path=f"{folder}/{name_of(volume)}/mount",
        placement=Placement(
            node_affinity={"requiredDuringSchedulingIgnoredDuringExecution": terms},
            tolerations=tuple(items(pod, "spec", "tolerations")),
        ),
    )


def _refused(claim: RawObject, code: str, message: str, hint: str) -> Blocker:
    return Blocker(code=code, message=message, object=describe(claim), hint=hint)
