"""Worker Jobs as objects: one pod, one command, one volume, no right on the Kubernetes API.

The wire format between a job's files and the worker is the worker's contract;
all paths go as arguments, never inside job.json.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from console import __version__
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.plan.placement import ANYWHERE, Placement

if TYPE_CHECKING:
    from console.engine.model.intent import WorkerProxy, WorkerSettings
    from console.engine.model.kinds import RawObject
    from console.engine.plan.snapshots import Origin

Command = Literal[
    "init", "backup", "objects", "restore", "verify", "place", "own", "retire", "probe"
]

DEFAULT_IMAGE = f"kubehaven/kubehaven:{__version__}"
CONTAINER = "worker"
WORKER_ACCOUNT = "kubehaven-worker"  # made by *prepare*; holds no right
TERMINATION_LOG = "/dev/termination-log"
CA_BUNDLE = "ca.crt"
_REQUIRED_SCC = "openshift.io/required-scc"
_JOB_DIR = "/kubehaven/job"
_JOB_FILE = "job.json"
_SECRETS_DIR = "/kubehaven/secrets"
_PACKS_DIR = "/kubehaven/packs"
_VOLUME_DIR = "/kubehaven/volume"
_OWNER_ONLY = 0o400
_RETRIES = 2
_GRACE_S = 30

# reading every file needs one; making them as they were needs the rest
_READ = ("DAC_OVERRIDE",)
_WRITE = (*_READ, "CHOWN", "FOWNER", "FSETID", "SETFCAP", "MKNOD")
_CAPABILITIES: dict[Command, tuple[str, ...]] = {
    "backup": _READ,
    "restore": _WRITE,
    "own": _WRITE,
    "probe": _WRITE,
}

# exit codes that another try can't change: usage, partial, cancelled, no repository, locked,
# wrong password; anything else is tried again
_FINAL_EXIT_CODES = [2, 3, 4, 10, 11, 12]


class PackSource(NamedTuple):
    """A sealed pack of objects for the command `objects`."""

    secret: str  # in kubehaven-workers
    key: str
    file: str  # name below /kubehaven/packs


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRequest:
    """One worker Job.

    `step` and `subject` (a claim's name, or what else the step works on) give
    the Job its name, with the origin's action and attempt.
    """

    command: Command
    origin: Origin
    step: str
    subject: str
    job: dict[str, Any]  # content of job.json
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)  # none: place, own
    claim: str = ""  # in kubehaven-workers: the volume to read, to fill, or only to mount (place)
    block: bool = False  # the claim is a block volume: a device, which nothing mounts
    node_path: str = ""  # in place of a claim: a volume as the kubelet has mounted it, to read
    folder: str = ""  # a FileStore's path, the same on every node
    packs: tuple[PackSource, ...] = ()
    placement: Placement = ANYWHERE

    @property
    def name(self) -> str:
        """Name of the Job and of its Secret."""
        return self.origin.name(self.step, self.subject)


def job_secret(request: WorkerRequest) -> RawObject:
    """The Secret of one Job: job.json, and the files of the secrets folder."""
    files = {_JOB_FILE: msgspec.json.encode(request.job, order="sorted"), **request.secrets}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": request.origin.metadata(
            request.step, request.subject, role="job", namespace=WORKERS_NAMESPACE
        ),
        "data": {name: base64.b64encode(raw).decode() for name, raw in sorted(files.items())},
    }


def pack_copy(pack: RawObject, request: WorkerRequest) -> RawObject:
    """A copy in `kubehaven-workers` of a sealed pack's Secret, for one Job."""
    subject = f"{request.subject} pack {pack['metadata']['name']}"
    metadata = request.origin.metadata(
        request.step, subject, role="job", namespace=WORKERS_NAMESPACE
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": metadata,
        "data": dict(pack.get("data") or {}),
    }


def worker_job(request: WorkerRequest, settings: WorkerSettings) -> RawObject:
    """The Job; its Secret (`job_secret`) is created before it."""
    metadata = request.origin.metadata(
        request.step, request.subject, role="job", namespace=WORKERS_NAMESPACE
    )
    template = {
        "labels": dict(metadata["labels"]),
        "annotations": {
            **metadata["annotations"],
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            **({_REQUIRED_SCC: settings.requiredSCC} if settings.requiredSCC else {}),
        },
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            # a check says what it saw; somebody waits for it
            "backoffLimit": 0 if request.command == "probe" else _RETRIES,
            "podReplacementPolicy": "Failed",  # never two pods on one volume
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [_condition("DisruptionTarget")]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {"operator": "In", "values": _FINAL_EXIT_CODES},
                    },
                ]
            },
            "template": {"metadata": template, "spec": _pod_spec(request, settings)},
        },
    }


def image_of(settings: WorkerSettings) -> str:
    """The image that workers run; with a mirror, the same name and digest from there."""
    image = settings.image or DEFAULT_IMAGE
    if not settings.mirrorPrefix:
        return image
    first, slash, path = image.partition("/")
    # a registry has a dot or a port in its name, as the container engines tell it from a folder
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return f"{settings.mirrorPrefix.rstrip('/')}/{path if is_registry else image}"


def trusting(request: WorkerRequest, settings: WorkerSettings) -> WorkerRequest:
    """The request with the settings' authorities beside the location's, where it has secrets."""
    if not settings.caBundle or not request.secrets:
        return request
    given = request.secrets.get(CA_BUNDLE, b"")
    bundle = b"\n".join(
        part.strip() for part in (given, settings.caBundle.encode()) if part.strip()
    )
    return replace(request, secrets={**request.secrets, CA_BUNDLE: bundle + b"\n"})


def _environment(proxy: WorkerProxy) -> dict[str, Any]:
    named = (("HTTP_PROXY", proxy.http), ("HTTPS_PROXY", proxy.https), ("NO_PROXY", proxy.noProxy))
    # programs differ in which spelling they read
    spelled = [(one, value) for name, value in named if value for one in (name, name.lower())]
    return {"env": [{"name": name, "value": value} for name, value in spelled]} if spelled else {}


def _condition(kind: str) -> dict[str, str]:
    return {"type": kind, "status": "True"}


def _pod_spec(request: WorkerRequest, settings: WorkerSettings) -> dict[str, Any]:
    volumes, mounts = _volumes(request)
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": WORKER_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_S,
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(request, settings, mounts)],
        "volumes": volumes,
    }
    if settings.seLinuxType:
        spec["securityContext"]["seLinuxOptions"] = {"type": settings.seLinuxType}
    if settings.imagePullSecrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.imagePullSecrets]
    if settings.priorityClassName:
        spec["priorityClassName"] = settings.priorityClassName
    return spec | _placed(request, settings)


def _placed(request: WorkerRequest, settings: WorkerSettings) -> dict[str, Any]:
    placement = request.placement
    # a path on one node can't be read on those that workers are for
    chosen = {} if request.node_path else settings.nodeSelector
    selector = {**chosen, **placement.node_selector}
    tolerations = [*settings.tolerations, *placement.tolerations]
    placed: dict[str, Any] = {}
    if selector:
        placed["nodeSelector"] = selector
    if tolerations:
        placed["tolerations"] = tolerations
    if placement.node_affinity:
        placed["affinity"] = {"nodeAffinity": placement.node_affinity}
    return placed


def _container(
    request: WorkerRequest, settings: WorkerSettings, mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    capabilities: dict[str, list[str]] = {"drop": ["ALL"]}
    added = _CAPABILITIES.get(request.command, _READ if request.folder else ())
    if added:
        capabilities["add"] = list(added)
    return {
        "name": CONTAINER,
        "image": image_of(settings),
        "imagePullPolicy": "IfNotPresent",
        "args": _arguments(request),
        **_environment(settings.proxy),
        "resources": {
            "requests": {"cpu": settings.cpu, "memory": settings.memory},
            "limits": {"memory": settings.memory},
        },
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": capabilities,
        },
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
        **_devices(request),
    }


def _devices(request: WorkerRequest) -> dict[str, Any]:
    if not request.block:
        return {}
    return {"volumeDevices": [{"name": "volume", "devicePath": _VOLUME_DIR}]}


def _arguments(request: WorkerRequest) -> list[str]:
    arguments = ["worker", request.command, "--job", f"{_JOB_DIR}/{_JOB_FILE}"]
    arguments += ["--secrets", _SECRETS_DIR, "--termination-log", TERMINATION_LOG]
    if request.command in {"backup", "restore", "place", "own"} or (
        request.command == "probe" and request.claim
    ):
        arguments += ["--volume", _VOLUME_DIR]
    if request.command == "objects":
        arguments += ["--packs", _PACKS_DIR]
    return arguments


def _volumes(request: WorkerRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    job = {"secretName": request.name, "items": [_item(_JOB_FILE)], "defaultMode": _OWNER_ONLY}
    secrets: dict[str, Any] = {"emptyDir": {}}  # no items would mean: every key, job.json too
    if request.secrets:
        items = [_item(name) for name in sorted(request.secrets)]
        secrets = {"secret": {**job, "items": items}}
    found: list[tuple[str, dict[str, Any], str, bool]] = [
        ("job", {"secret": job}, _JOB_DIR, True),
        ("secrets", secrets, _SECRETS_DIR, True),
        ("tmp", {"emptyDir": {}}, "/tmp", False),  # noqa: S108  # the pod's own, an emptyDir
    ]
    if request.command == "objects":
        found.append(("packs", {"projected": _projected(request.packs)}, _PACKS_DIR, True))
    if request.claim:
        # placing mounts a new volume, which may have to be formatted: only the pod's view is fixed
        claim = {"claimName": request.claim, "readOnly": request.command == "backup"}
        fixed = request.command in {"backup", "place"}
        found.append(("volume", {"persistentVolumeClaim": claim}, _VOLUME_DIR, fixed))
    if request.node_path:
        mounted = {"path": request.node_path, "type": "Directory"}
        found.append(("volume", {"hostPath": mounted}, _VOLUME_DIR, True))
    if request.folder:
        folder = {"path": request.folder, "type": "Directory"}
        found.append(("location", {"hostPath": folder}, request.folder, False))
    volumes = [{"name": name, **source} for name, source, _, _ in found]
    mounts = [
        {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}
        for name, _, path, read_only in found
        if not (request.block and name == "volume")
    ]
    return volumes, mounts


def _item(name: str) -> dict[str, str]:
    return {"key": name, "path": name}


def _projected(packs: tuple[PackSource, ...]) -> dict[str, Any]:
    sources = [
        {"secret": {"name": pack.secret, "items": [{"key": pack.key, "path": pack.file}]}}
        for pack in packs
    ]
    return {"defaultMode": _OWNER_ONLY, "sources": sources}
