"""A node's "machine": network namespace, cable, cgroups, mounts, containerd; and its end."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.bed.places import BRIDGE, HOST, Cluster, state_folder
from tests.cluster.bed.processes import attempt, run, start, stop, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.bed.places import Machine

CGROUPS = Path("/sys/fs/cgroup")
STORE_BYTES = 20 << 30  # sparse
_LAST = ("containerd", "etcd")  # ended after the others, in this order


def open_store() -> None:
    """Mount the btrfs loop file in which a volume is a subvolume and a snapshot one moment."""
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "store"
    store.mkdir(exist_ok=True)
    if os.path.ismount(store):
        return
    image = folder / "store.img"
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(STORE_BYTES)
        run("mkfs.btrfs", "-q", image)
    run("mount", "-o", "loop", image, store)


def open_network() -> None:
    """The bridge on which the machines and this host meet."""
    if not Path("/sys/class/net", BRIDGE).exists():
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        run("ip", "addr", "add", f"{HOST}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
    settings = (
        "fs.inotify.max_user_instances=8192",
        "fs.inotify.max_user_watches=524288",
        "net.ipv4.ip_forward=1",
    )
    run("sysctl", "-qw", *settings)


def open_machine(machine: Machine) -> None:
    """Namespace, cable, mount and cgroups."""
    name, folder = machine.name, machine.folder
    for part in ("run", "log", "cni", "manifests", "csi"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    machine.storage.mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", folder, folder)
    run("mount", "--make-rshared", folder)  # the kubelet's mounts must reach the containers
    run("ip", "netns", "add", name)
    run("ip", "link", "add", machine.veth, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "link", "set", machine.veth, "master", BRIDGE, "up")
    run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", name, "addr", "add", f"{machine.address}/24", "dev", "eth0")
    run("ip", "-n", name, "link", "set", "eth0", "up")
    run("ip", "-n", name, "route", "add", "default", "via", HOST)
    run(*inside(machine), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    run(*inside(machine), "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    for controller in _controllers():
        group = controller / name
        group.mkdir(exist_ok=True)
        if controller.name == "cpuset":  # else no task may enter it
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((controller / setting).read_text())


def inside(machine: Machine) -> list[str]:
    """The words before a command that make it run on the machine.

    Not `ip netns exec`: that mounts another /sys, in which the cgroups are missing.
    """
    return ["nsenter", f"--net=/run/netns/{machine.name}"]


def spawn(machine: Machine, name: str, *words: str | Path) -> None:
    """A program on the machine, in the background."""
    log = machine.folder / "log" / f"{name}.log"
    start(machine.folder / "run" / f"{name}.pid", log, *inside(machine), *words)


def start_containerd(machine: Machine) -> None:
    """With roots and a socket of its own."""
    folder = machine.folder
    config = folder / "containerd.toml"
    config.write_text(
        _CONTAINERD.format(folder=folder, socket=machine.containerd),
    )
    network = folder / "cni" / "10-bed.conflist"
    network.write_text(_NETWORK % {"pods": machine.pods, "leases": folder / "cni-leases"})
    spawn(machine, "containerd", "containerd", "-c", config)
    wait_until("containerd", lambda: attempt("ctr", "-a", machine.containerd, "version"))


def load_image(machine: Machine, archive: Path) -> None:
    """Give an OCI archive to the cluster's containerd."""
    run("ctr", "-a", machine.containerd, "-n", "k8s.io", "images", "import", archive)


def close_machine(machine: Machine) -> None:
    """End everything of a machine and remove it; nothing is missed if it was never whole.

    With a cluster goes its second node, and its storage at the end.
    """
    if isinstance(machine, Cluster):
        close_machine(machine.second)
    folder = machine.folder
    pid_files = {path.stem: path for path in (folder / "run").glob("*.pid")}
    stop(path for name, path in pid_files.items() if name not in _LAST)
    namespaces = _end_containers(machine)
    for name in _LAST:
        if name in pid_files:
            stop([pid_files[name]])
    _end_strays(machine)
    own = [machine.storage, folder] if isinstance(machine, Cluster) else [folder]
    # before the mounts go: then the kubelet's no longer say what they stand on
    for device in _loops_below(*own):
        attempt("losetup", "-d", device)
    for mount in _mounts_below(folder):
        attempt("umount", "-l", mount)
    for namespace in [*namespaces, machine.name]:
        if Path("/run/netns", namespace).exists():
            attempt("ip", "netns", "del", namespace)
    attempt("ip", "link", "del", machine.veth)
    _remove_groups(machine)
    if isinstance(machine, Cluster):
        _remove_storage(machine)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_groups(machine: Machine) -> None:
    for controller in _controllers():
        for group, _, _ in os.walk(controller / machine.name, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(group)


def _remove_storage(cluster: Cluster) -> None:
    for kept in sorted(cluster.storage.glob("*/*/*")):
        attempt("btrfs", "subvolume", "delete", kept)
    shutil.rmtree(cluster.storage, ignore_errors=True)


def _loops_below(*folders: Path) -> list[str]:
    """Loop devices of block volumes, the kubelet's before the driver's that they stand on."""
    found = []
    for line in run("losetup", "--raw", "-n", "-O", "NAME,BACK-FILE").splitlines():
        device, _, file = line.partition(" ")
        if file.startswith(tuple(f"{folder}/" for folder in folders)):
            found.append(("/kubelet/" not in file, device))
    return [device for _, device in sorted(found)]


def close_host() -> None:
    """Remove the bridge and the store; the clusters are gone."""
    attempt("ip", "link", "del", BRIDGE)
    store = state_folder() / "store"
    if os.path.ismount(store):
        wait_until("the store is free", lambda: attempt("umount", store), limit_s=30)
    shutil.rmtree(state_folder(), ignore_errors=True)


def _end_containers(machine: Machine) -> list[str]:
    """Containers are nobody's children here; the names of their network namespaces."""
    if not machine.containerd.exists():
        return []
    control = ["ctr", "-a", str(machine.containerd), "-n", "k8s.io"]
    if not attempt(*control, "version"):
        return []
    found = set()
    for container in run(*control, "containers", "ls", "-q").split():
        with contextlib.suppress(Exception):
            told = run(*control, "containers", "info", container)
            found |= {
                part.split('"')[0] for part in told.split("/netns/")[1:] if part.startswith("cni-")
            }
        attempt(*control, "tasks", "delete", "-f", container)
        attempt(*control, "containers", "delete", container)
    return sorted(found)


def _end_strays(machine: Machine) -> None:
    """What still runs in the machine's cgroups: containers whose shim has died."""
    for controller in _controllers():
        for group, _, files in os.walk(controller / machine.name):
            if "cgroup.procs" in files:
                with contextlib.suppress(OSError):
                    for pid in Path(group, "cgroup.procs").read_text().split():
                        attempt("kill", "-9", pid)


def _mounts_below(folder: Path) -> Iterator[str]:
    """Mount points, the deepest first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    mine = [point for point in points if point == str(folder) or point.startswith(f"{folder}/")]
    yield from sorted(mine, reverse=True)


def _controllers() -> list[Path]:
    return [path for path in sorted(CGROUPS.iterdir()) if (path / "cgroup.procs").exists()]


_CONTAINERD = """\
version = 2
root = "{folder}/containerd/data"
state = "{folder}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.opt",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "kubehaven.test/pause:1"
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folder}/cni"
"""

_NETWORK = """\
{"cniVersion": "0.4.0", "name": "bed", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "%(leases)s",
            "ranges": [[{"subnet": "%(pods)s.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
"""
