"""Which claim goes with which volume. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.sandbox import choosing
from console.sandbox.folders import bytes_of
from console.sandbox.kinds import DRIVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.sandbox.kinds import Raw

BOUND = "pv.kubernetes.io/bind-completed"
SELECTED_NODE = "volume.kubernetes.io/selected-node"


def claims_of(pod: Raw) -> Iterator[str]:
    """The names of the claims that a pod mounts."""
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]


def handle_of(volume: Raw) -> str:
    """The handle of a volume of our driver; '' for any other."""
    csi = volume["spec"].get("csi") or {}
    return str(csi["volumeHandle"]) if csi.get("driver") == DRIVER else ""


def phase_of(volume: Raw) -> str:
    """The phase of a volume."""
    return str((volume.get("status") or {}).get("phase", "Pending"))


def is_doomed(volume: Raw) -> bool:
    """Whether the provisioner destroys its data."""
    policy = volume["spec"].get("persistentVolumeReclaimPolicy")
    return phase_of(volume) == "Released" and policy == "Delete"


def may_hold(claim: Raw, volume: Raw) -> bool:
    """Whether the volume is free, or reserved for or bound to this very claim."""
    ref, meta = volume["spec"].get("claimRef"), claim["metadata"]
    if not ref:
        return True
    same = (ref["namespace"], ref["name"]) == (meta["namespace"], meta["name"])
    return same and ref.get("uid") in {None, "", meta["uid"]}


def fits(claim: Raw, volume: Raw) -> bool:
    """Whether the volume is what the claim asks for."""
    wanted, given = claim["spec"], volume["spec"]
    selector = wanted.get("selector")
    return (
        (wanted.get("storageClassName") or "") == (given.get("storageClassName") or "")
        and wanted.get("volumeMode", "Filesystem") == given.get("volumeMode", "Filesystem")
        and set(wanted["accessModes"]) <= set(given["accessModes"])
        and bytes_of(wanted["resources"]["requests"]["storage"])
        <= bytes_of(given["capacity"]["storage"])
        and (selector is None or choosing.matches(selector, volume["metadata"].get("labels")))
    )
