"""The job: what a worker shall do, as the engine writes it into `job.json`.

Paths and secrets are not part of it: paths come as arguments, secrets as files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

from console.repository.markers import SALT_BYTES, RepositoryMarker
from console.worker.errors import BadJob

if TYPE_CHECKING:
    from pathlib import Path

Command = Literal[
    "init", "backup", "objects", "restore", "verify", "place", "own", "retire", "probe"
]
COMMANDS: tuple[Command, ...] = get_args(Command)
VERSION = 1

_LONGEST_JOB = 64 * 1024 * 1024
_NEEDED: dict[Command, tuple[str, ...]] = {
    "init": ("marker",),
    "backup": ("point", "pvc"),
    "objects": ("point", "manifest"),
    "restore": ("snapshot",),
    "verify": (),
    "place": (),
    "own": ("owner_map",),
    "retire": ("point", "owner"),
    "probe": (),
}
_BARE = {"place", "own", "probe"}  # commands without a repository
_WHERE = re.compile(r"(.*?) - at `\$\.?(.*)`", re.DOTALL)


class StoreOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How the object store is spoken to."""

    region: str = ""
    path_style: bool | None = None  # None: what the provider wants
    skip_tls_verify: bool = msgspec.field(default=False, name="skipTLSVerify")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of a point's `restore-point.json`, the part that can be compared with what is there."""

    class Volume(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
        """A volume of the point."""

        pvc: str = ""
        repository_snapshot: str = ""

    action_time: str = ""
    object_count: int = 0
    packs: tuple[str, ...] = ()  # digests
    volumes: tuple[Volume, ...] = ()


class Job(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One job. Which fields a command needs: `load_job` has looked."""

    version: int
    repository: str = ""  # as restic writes it; place and own have none; of probe: the location
    store: StoreOptions = StoreOptions()
    point: str = ""  # id of the restore point
    pvc: str = ""
    hostname: str = "kubehaven"  # the cluster's
    interval: Annotated[float, msgspec.Meta(ge=0.05, le=3600)] = 5.0  # seconds between counters
    marker: RepositoryMarker | None = None  # init
    copy: str = ""  # backup: of a volume in use; a try that did not count is not taken up again
    parent_tags: tuple[str, ...] = ()  # backup: of the parent; none: those of the claim
    manifest: msgspec.Raw = msgspec.Raw()  # objects
    snapshot: str = ""  # restore
    owner_map: tuple[tuple[str, str], ...] = ()  # restore, own: [old id, new id]
    read_data: bool = False  # verify
    owner: str = ""  # retire: uid of the cluster that asks; the repository must be its own
    objects_snapshot: str = ""  # retire
    volume_snapshots: tuple[str, ...] = ()  # retire
    probe: Literal["", "write", "compare", "copy", "store"] = ""  # probe: what to try
    seed: str = ""  # probe: what its files are made from
    read_only: bool = False  # probe: write nothing to the location


class _Head(msgspec.Struct):
    version: int = VERSION


def load_job(path: Path, command: Command) -> Job:
    """Read a job.

    Raises:
        BadJob: The message names file and field.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST_JOB)
    except OSError as fault:
        said = fault.strerror or type(fault).__name__
        raise BadJob(f"{path} can't be read: {said}", subject=str(path)) from fault
    return decode_job(raw, command, where=str(path))


def decode_job(raw: bytes, command: Command, *, where: str = "job.json") -> Job:
    """Decode a job and look whether the command's fields are there; raises `BadJob`."""
    try:
        head = msgspec.json.decode(raw, type=_Head)
        if head.version != VERSION:
            hint = "The worker's image and the engine are of different versions."
            message = f"{where}: field version is {head.version}; this worker reads {VERSION}"
            raise BadJob(message, subject=where, hint=hint)
        job = msgspec.json.decode(raw, type=Job)
    except msgspec.MsgspecError as fault:
        raise BadJob(f"{where}: {_said(fault)}", subject=where) from fault
    if not job.repository and (command not in _BARE or job.probe == "store"):
        raise BadJob(f"{where}: field repository is empty", subject=where)
    for name in _NEEDED[command]:
        value = getattr(job, name)
        if not (bytes(value) if isinstance(value, msgspec.Raw) else value):
            message = f"{where}: field {name} is missing, {command} needs it"
            raise BadJob(message, subject=where)
    if job.marker is not None and len(job.marker.salt) != SALT_BYTES:
        message = f"{where}: field marker.salt has {len(job.marker.salt)} bytes, not {SALT_BYTES}"
        raise BadJob(message, subject=where)
    return job


def decode_manifest(job: Job, *, where: str = "job.json") -> Manifest:
    """The manifest in a job of the command objects; raises `BadJob`."""
    try:
        return msgspec.json.decode(job.manifest, type=Manifest)
    except msgspec.MsgspecError as fault:
        raise BadJob(f"{where}: manifest: {_said(fault)}", subject=where) from fault


def _said(fault: msgspec.MsgspecError) -> str:
    match = _WHERE.fullmatch(str(fault))
    if match is None:
        return str(fault)
    return f"field {match[2]}: {match[1]}" if match[2] else match[1]
