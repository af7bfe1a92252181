"""The images that pods may run: a fixed list of our own commands, never a free command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw

_OWN = {
    "sandbox.kubehaven.io/visits:1": "console.sandbox.visits",
    "sandbox.kubehaven.io/writer:1": "console.sandbox.writer",
    "sandbox.kubehaven.io/pause:1": "console.sandbox.pause",
}
_KUBEHAVEN = "kubehaven/kubehaven"


class NotRunnableError(Exception):
    """A container that the sandbox does not run; `reason` as in the container's state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def module_of(container: Raw) -> str:
    """The Python module that a container runs; NotRunnableError for everything else."""
    image = container["image"]
    name = image.partition("@")[0]
    if name.rpartition(":")[0] == _KUBEHAVEN or name == _KUBEHAVEN:
        if container.get("command") not in (None, [], ["kubehaven"]):
            raise _no_command(image)
        if (container.get("args") or [""])[0] != "worker":
            raise NotRunnableError("StartError", f"{image} runs `worker` commands only, here")
        return "console"
    if image not in _OWN:
        served = ", ".join([*_OWN, f"{_KUBEHAVEN}:<tag>"])
        raise NotRunnableError("ErrImagePull", f"no image {image}: the sandbox has only {served}")
    if container.get("command"):
        raise _no_command(image)
    return _OWN[image]


def _no_command(image: str) -> NotRunnableError:
    return NotRunnableError("StartError", f"{image}: the sandbox runs no command of its own choice")
