"""What keeps a worker pod from beginning, in the cluster's own words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from console.engine.plan.raw import part, text

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

MAX_WORDS = 512

_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "ImageInspectError",
}
_CONFIG = {"CreateContainerConfigError", "CreateContainerError"}


class Patience(NamedTuple):
    """How long a worker pod may be kept from beginning, in seconds.

    An image: the kubelet has then asked the registry four times (at about 0, 10, 30 and 70 s),
    so that a registry's short absence does not end an export. A place on a node: volumes attach,
    an autoscaler adds a node within minutes, and another worker may give its room back.
    """

    image_s: float = 90.0
    place_s: float = 600.0
    begin_s: float = 900.0  # whatever keeps it; K10's "worker pod ready"


class Hindrance(NamedTuple):
    """Why a pod does not begin."""

    code: str
    message: str
    hint: str
    patience_s: float


def hindrance(pod: RawObject, patience: Patience) -> Hindrance | None:
    """What keeps a pod from beginning and will not pass by itself; None while all is well."""
    if text(pod, "status", "phase") != "Pending" or text(pod, "metadata", "deletionTimestamp"):
        return None
    for status in part(pod, "status").get("containerStatuses") or ():
        waiting = part(status, "state", "waiting")
        reason = text(waiting, "reason")
        words = f"{reason}: {text(waiting, 'message') or text(status, 'image')}"[:MAX_WORDS]
        if reason in _IMAGE:
            return Hindrance(
                "worker.image",
                f"the worker image can't be had: {words}",
                "is the image's name right (Settings: workers.image, mirrorPrefix), can the nodes "
                "reach its registry, and does it want imagePullSecrets?",
                patience.image_s,
            )
        if reason in _CONFIG:
            return Hindrance(
                "worker.config",
                f"the worker's container can't be made: {words}",
                "see the pod's events in kubehaven-workers",
                patience.image_s,
            )
    for condition in part(pod, "status").get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            words = str(condition.get("message", ""))[:MAX_WORDS]
            return Hindrance(
                "worker.unschedulable",
                f"no node takes the worker: {words}",
                "is there room for 1 CPU and 400Mi, and do nodeSelector and tolerations of "
                "Settings' workers fit a node that the volume can be used on?",
                patience.place_s,
            )
    return None
