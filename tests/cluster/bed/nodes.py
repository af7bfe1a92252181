"""What runs on a node: kubelet, kube-proxy, the drivers; and a cluster's second node."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from tests.cluster.bed import building
from tests.cluster.bed.machine import (
    close_machine,
    inside,
    load_image,
    open_machine,
    spawn,
    start_containerd,
)
from tests.cluster.bed.pki import add_node
from tests.cluster.bed.places import DRIVERS, Cluster
from tests.cluster.bed.processes import BedFault, run, start, supervised, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.bed.places import Machine, Node

JOINED_S = 240


@contextlib.contextmanager
def second_node(cluster: Cluster) -> Iterator[Node]:
    """A second node, in zone-b, that takes pods and mounts volumes; it goes at the end.

    Its pods reach those of the first, and are reached, by routes on the bridge.
    """
    node, programs = cluster.second, building.binaries()
    close_machine(node)
    try:
        open_machine(node)
        for one, other in ((cluster, node), (node, cluster)):
            route = (f"{other.pods}.0/24", "via", other.address)
            run("ip", "-n", one.name, "route", "replace", *route)
        add_node(node)
        start_containerd(node)
        for archive in sorted(building.system_images().glob("*.tar")):
            load_image(node, archive)
        start_node(node, programs, cluster, "node-b")
        for driver in DRIVERS:
            start_driver(node, programs, cluster, driver)
        wait_until("the second node takes pods", lambda: _has_joined(node), limit_s=JOINED_S)
        yield node
    finally:
        close_machine(node)
        for kind in ("node", "csinode"):  # else new volumes would still be made in its zone
            _kubectl(cluster, "delete", kind, node.name, "--ignore-not-found")
        run("ip", "-n", cluster.name, "route", "flush", f"{node.pods}.0/24")


def start_node(machine: Machine, programs: Path, cluster: Cluster, user: str) -> None:
    """Its kubelet and its kube-proxy.

    Args:
        user: Of its certificate and kubeconfig in the cluster's `pki/`.
    """
    folder, pki = machine.folder, cluster.folder / "pki"
    facts = {
        "folder": folder,
        "pki": pki,
        "user": user,
        "name": machine.name,
        "pods": machine.pods,
        "dns": cluster.address,
        "socket": machine.containerd,
    }
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (folder / "kubelet.yaml").write_text(_KUBELET.format(**facts))
    (folder / "proxy.yaml").write_text(_PROXY.format(**facts))
    spawn(
        machine,
        "kubelet",
        *(programs / "kube", "kubelet", f"--config={folder}/kubelet.yaml", "--v=1"),
        *(f"--kubeconfig={pki}/{user}.kubeconfig", f"--root-dir={folder}/kubelet"),
        *(f"--cert-dir={folder}/kubelet-pki", f"--hostname-override={machine.name}"),
        f"--node-ip={machine.address}",
    )
    proxy = f"--config={folder}/proxy.yaml"
    spawn(machine, "kube-proxy", programs / "kube", "kube-proxy", proxy, "--v=1")


def start_driver(machine: Machine, programs: Path, cluster: Cluster, driver: str) -> None:
    """A driver's part on a node; the first node's also makes, grows and deletes the volumes."""
    first = machine is cluster
    short = driver.partition(".")[0]
    keep_running(
        machine,
        "csidriver",
        programs,
        *(f"--driver={driver}", f"--node={machine.name}", f"--snapshots={DRIVERS[driver]}"),
        *(f"--root={machine.storage}/{short}", f"--endpoint={driver_socket(machine, driver)}"),
        f"--registry={machine.folder}/kubelet/plugins_registry",
        f"--zone={'zone-a' if first else 'zone-b'}",
        *((f"--kubeconfig={cluster.kubeconfig}",) if first else ()),
        of=short,
    )


def driver_socket(machine: Machine, driver: str) -> Path:
    """Where a driver answers on a node."""
    return machine.folder / "csi" / f"{driver.partition('.')[0]}.sock"


def keep_running(machine: Machine, program: str, programs: Path, *words: str, of: str = "") -> None:
    """A program that is begun anew when it ends."""
    name = f"{program}-{of}" if of else program
    command = [*inside(machine), *supervised([programs / program, *words])]
    start(machine.folder / "run" / f"{name}.pid", machine.folder / "log" / f"{name}.log", *command)


def _has_joined(node: Node) -> bool:
    try:
        told = json.loads(_kubectl(node.cluster, "get", "node", node.name, "-o", "json"))
        drivers = json.loads(_kubectl(node.cluster, "get", "csinode", node.name, "-o", "json"))
    except BedFault:
        return False
    ready = any(
        one["type"] == "Ready" and one["status"] == "True" for one in told["status"]["conditions"]
    )
    there = {driver["name"] for driver in drivers["spec"].get("drivers") or ()}
    return ready and there >= set(DRIVERS)


def _kubectl(cluster: Cluster, *words: str) -> str:
    return run("kubectl", f"--kubeconfig={cluster.kubeconfig}", *words)


_KUBELET = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /{name}
containerRuntimeEndpoint: unix://{socket}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {pki}/ca.crt}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/{user}.crt
tlsPrivateKeyFile: {pki}/{user}.key
clusterDomain: cluster.local
clusterDNS: ["{dns}"]
resolvConf: {folder}/resolv.conf
failSwapOn: false
registerNode: true
maxPods: 200
maxOpenFiles: 20000
imageMinimumGCAge: 8760h
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
volumePluginDir: {folder}/flexvol
podLogsDir: {folder}/podlogs
staticPodPath: {folder}/manifests
"""

_PROXY = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {pki}/kube-proxy.kubeconfig}}
clusterCIDR: {pods}.0/24
hostnameOverride: {name}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
metricsBindAddress: 127.0.0.1:10249
"""
