"""Whether this machine can hold clusters, and who removes them when the tests die.

The guardian is a process of its own: it waits until the pipe from the tests closes, however
they end, and then takes everything down.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.bed.places import TREE
from tests.cluster.bed.processes import attempt

if TYPE_CHECKING:
    from typing import Self

_PROGRAMS = {
    "go": "golang-go",
    "kubectl": "kubernetes-client",
    "containerd": "containerd",
    "runc": "runc",
    "etcd": "etcd-server",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mkfs.btrfs": "btrfs-progs",
    "musl-gcc": "musl-tools",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
}


def missing() -> str:
    """Why this machine can't hold a cluster; empty when it can."""
    if not sys.platform.startswith("linux"):
        return "clusters run on Linux only"
    if os.geteuid() != 0:
        return "network namespaces, mounts and cgroups need root"
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    if lacking:
        packages = " ".join(sorted({_PROGRAMS[name] for name in lacking}))
        return f"{', '.join(lacking)} missing: apt-get install {packages}"
    if not os.path.exists("/usr/lib/cni/bridge"):
        return "the CNI plug-ins are missing: apt-get install containernetworking-plugins"
    if not os.path.isdir("/sys/fs/cgroup/memory") or not os.path.isdir("/sys/fs/cgroup/cpuset"):
        return "the clusters' kubelet is set up for cgroup v1, which this machine has not"
    if not _may_make_cgroups():
        return "the control groups of this machine can't be written to"
    if not attempt("unshare", "--net", "--mount", "true"):
        return "this machine allows no network namespaces or mounts"
    with open("/proc/filesystems", encoding="utf-8") as systems:
        if "btrfs" not in systems.read() and not attempt("modprobe", "btrfs"):
            return "the kernel has no btrfs"
    if not os.path.exists("/dev/loop-control"):
        return "the kernel has no loop devices"
    return ""


def _may_make_cgroups() -> bool:
    probe = Path("/sys/fs/cgroup/memory", f"khbed-probe-{os.getpid()}")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


class Guardian:
    """While it is held, clusters stand; when its holder ends, in any way, they go."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "tests.cluster.bed.guardian"]
        self._process = subprocess.Popen(
            words, cwd=TREE, stdin=subprocess.PIPE, start_new_session=True
        )

    def guard(self, number: int) -> None:
        """Take this cluster down at the end; said before it is begun."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % number)
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        """Of the guardian's process."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go, and wait until everything is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=180)
