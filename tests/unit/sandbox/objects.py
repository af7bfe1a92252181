"""Objects for the sandbox's tests, and ways to wait for what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.sandbox.choosing import value_at
from console.sandbox.kinds import CLAIMS, JOBS, PODS, VOLUMES, Key, Raw

if TYPE_CHECKING:
    from pathlib import Path

    from console.sandbox import Sandbox

HOME = "home"
WRITER = "sandbox.kubehaven.io/writer:1"
PAUSE = "sandbox.kubehaven.io/pause:1"
KUBEHAVEN = "kubehaven/kubehaven:1"


def home(sandbox: Sandbox) -> None:
    """Make the namespace `home`."""
    sandbox.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})


def pod(name: str, image: str, *arguments: str, **spec: Any) -> Raw:
    """A pod of one container that never restarts."""
    container: Raw = {"name": "main", "image": image, "args": list(arguments)}
    container |= spec.pop("container", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 2,
            "containers": [container],
            **spec,
        },
    }


def mounting(claims: dict[str, str]) -> Raw:
    """What a pod's spec needs to mount claims; `claims` is claim → path."""
    return {
        "volumes": [
            {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims
        ],
        "container": {
            "volumeMounts": [{"name": name, "mountPath": path} for name, path in claims.items()]
        },
    }


def claim(name: str, **spec: Any) -> Raw:
    """A claim of 1 MiB."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
            **spec,
        },
    }


def job(name: str, *arguments: str, **spec: Any) -> Raw:
    """A Job of a worker's command."""
    template = pod(name, KUBEHAVEN, *arguments)["spec"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": template}, **spec},
    }


def snapshot(name: str, source: Raw, **spec: Any) -> Raw:
    """A VolumeSnapshot."""
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {"source": source, **spec},
    }


def key(resource_id: str, name: str) -> Key:
    """A key in `home`, or of a volume."""
    return Key(resource_id, "" if resource_id == VOLUMES else HOME, name)


async def becomes(sandbox: Sandbox, at: Key, path: str, value: Any) -> Raw:
    """Wait until the object has the value at a dotted path; the object."""
    await sandbox.until(lambda: value_at(sandbox.store.peek(at), path) == value)
    return sandbox.store.get(at)


async def goes(sandbox: Sandbox, at: Key) -> None:
    """Wait until the object is gone."""
    await sandbox.until(lambda: sandbox.store.peek(at) is None)


async def bound(sandbox: Sandbox, name: str, **spec: Any) -> tuple[Key, Path]:
    """A claim that is bound: its volume's key and folder."""
    sandbox.create(claim(name, **spec), HOME)
    found = await becomes(sandbox, key(CLAIMS, name), "status.phase", "Bound")
    volume = key(VOLUMES, found["spec"]["volumeName"])
    handle = sandbox.store.get(volume)["spec"]["csi"]["volumeHandle"]
    return volume, sandbox.folder / "volumes" / handle


async def ended(sandbox: Sandbox, name: str, phase: str) -> Raw:
    """Wait for a pod's end; how its container ended."""
    found = await becomes(sandbox, key(PODS, name), "status.phase", phase)
    state: Raw = found["status"]["containerStatuses"][0]["state"]["terminated"]
    return state


async def finished(sandbox: Sandbox, name: str) -> Raw:
    """Wait until a Job is Complete or Failed; the conditions by type."""
    at = key(JOBS, name)

    def conditions() -> Raw:
        found = value_at(sandbox.store.peek(at), "status.conditions") or ()
        return {c["type"]: c for c in found if c["status"] == "True"}

    await sandbox.until(lambda: bool({"Complete", "Failed"} & set(conditions())))
    return conditions()
