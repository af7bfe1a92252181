"""Brings a cluster up, with storage, snapshots and the OpenShift kinds, and takes all down."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.cluster.bed import building
from tests.cluster.bed.machine import (
    close_host,
    close_machine,
    load_image,
    open_machine,
    open_network,
    open_store,
    spawn,
    start_containerd,
)
from tests.cluster.bed.nodes import driver_socket, keep_running, start_driver, start_node
from tests.cluster.bed.pki import make_pki
from tests.cluster.bed.places import BRIDGE, DRIVERS, HERE, Cluster, state_folder
from tests.cluster.bed.processes import BedFault, attempt, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READY_S = 240
_FAST = ("--kube-api-qps=300", "--kube-api-burst=600")
_RETRY = ("--retry-interval-start=200ms", "--retry-interval-max=5s", "--v=2")


def up(cluster: Cluster) -> float:
    """Start a cluster; the seconds it took. What an earlier run left of it is removed first."""
    programs = building.binaries()
    system = building.system_images()
    started = time.monotonic()
    close_machine(cluster)
    open_store()
    open_network()
    open_machine(cluster)
    make_pki(cluster)
    _start_control_plane(cluster, programs)
    start_containerd(cluster)
    for archive in sorted(system.glob("*.tar")):
        load_image(cluster, archive)
    wait_until(
        "the API server", lambda: _kubectl_says(cluster, "get", "--raw=/readyz"), limit_s=READY_S
    )
    _start_controllers(cluster, programs)
    start_node(cluster, programs, cluster, "node")
    _start_dns(cluster, programs)
    _start_storage(cluster, programs)
    wait_until("the node is Ready", lambda: _is_node_ready(cluster), limit_s=READY_S)
    wait_until("the drivers are registered", lambda: _has_drivers(cluster), limit_s=READY_S)
    return time.monotonic() - started


def down(*only: int) -> list[str]:
    """Remove every cluster that stands or once stood here, or some of them; their names."""
    names = {path.name for path in state_folder().glob("khbed*")}
    names |= {name for name in run("ip", "netns", "list").split() if name.startswith("khbed")}
    numbers = sorted(int(name[5:]) for name in names if name[5:].isdigit())
    for number in only or numbers:
        close_machine(Cluster(number))
    if not only or set(numbers) <= set(only):
        close_host()
    return [Cluster(number).name for number in numbers if not only or number in only]


def leftovers() -> list[str]:
    """What of the bed is still on this host: processes, mounts, networks, cgroups, loops."""
    state = str(state_folder())
    processes = run("ps", "-eo", "pid=,args=", "-ww").splitlines()
    found = [f"process {line.strip()}" for line in processes if f"{state}/khbed" in line]
    with open("/proc/mounts", encoding="utf-8") as mounts:
        found += [
            f"mount {line.split()[1]}" for line in mounts if line.split()[1].startswith(state)
        ]
    found += [f"netns {name}" for name in run("ip", "netns", "list").split() if "khbed" in name]
    found += [
        f"link {line.split()[1]}"
        for line in run("ip", "-o", "link").splitlines()
        if "khbed" in line
    ]
    found += [
        f"cgroup {line}"
        for line in run("find", "/sys/fs/cgroup", "-maxdepth", "2", "-name", "khbed*").split()
    ]
    found += [f"loop {line}" for line in run("losetup", "-a").splitlines() if state in line]
    found += [f"iptables {line}" for line in run("iptables-save").splitlines() if BRIDGE in line]
    return found


def kubectl(cluster: Cluster, *words: str, stdin: str = "") -> str:
    """What kubectl prints, as the administrator."""
    return run("kubectl", f"--kubeconfig={cluster.kubeconfig}", *words, stdin=stdin)


def _kubectl_says(cluster: Cluster, *words: str) -> bool:
    return attempt("kubectl", f"--kubeconfig={cluster.kubeconfig}", *words)


def _is_node_ready(cluster: Cluster) -> bool:
    path = "{.items[*].status.conditions[?(@.type=='Ready')].status}"
    return "True" in kubectl(cluster, "get", "nodes", "-o", f"jsonpath={path}")


def _has_drivers(cluster: Cluster) -> bool:
    try:
        told = kubectl(cluster, "get", "csinode", cluster.name, "-o", "json")
    except BedFault:
        return False
    drivers: Sequence[Any] = json.loads(told)["spec"].get("drivers") or ()
    return {driver["name"] for driver in drivers} >= set(DRIVERS)


def _start_control_plane(cluster: Cluster, programs: Path) -> None:
    folder, pki = cluster.folder, cluster.folder / "pki"
    policy = folder / "audit.yaml"
    policy.write_text(_AUDIT)
    spawn(
        cluster,
        "etcd",
        *("etcd", "--name", cluster.name, "--data-dir", folder / "etcd", "--unsafe-no-fsync"),
        *("--listen-client-urls", "http://127.0.0.1:2379"),
        *("--advertise-client-urls", "http://127.0.0.1:2379"),
        *("--listen-peer-urls", "http://127.0.0.1:2380"),
        *("--initial-advertise-peer-urls", "http://127.0.0.1:2380"),
        *("--initial-cluster", f"{cluster.name}=http://127.0.0.1:2380", "--log-level", "warn"),
    )
    spawn(
        cluster,
        "kube-apiserver",
        *(programs / "kube", "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379"),
        *(f"--advertise-address={cluster.address}", "--bind-address=0.0.0.0"),
        *("--secure-port=6443", f"--service-cluster-ip-range={cluster.services}.0/24"),
        *(f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key"),
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        *("--kubelet-preferred-address-types=InternalIP", "--authorization-mode=Node,RBAC"),
        *("--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        *("--endpoint-reconciler-type=lease", "--v=1"),
        *(f"--audit-policy-file={policy}", f"--audit-log-path={cluster.audit_log}"),
    )


def _start_controllers(cluster: Cluster, programs: Path) -> None:
    pki = cluster.folder / "pki"
    for name, more in (
        (
            "kube-controller-manager",
            (
                f"--service-account-private-key-file={pki}/sa.key",
                f"--root-ca-file={pki}/ca.crt",
                f"--cluster-signing-cert-file={pki}/ca.crt",
                f"--cluster-signing-key-file={pki}/ca.key",
                "--use-service-account-credentials=true",
                "--pvclaimbinder-sync-period=2s",
                f"--cluster-cidr={cluster.pods}.0/24",
                "--allocate-node-cidrs=false",
            ),
        ),
        ("kube-scheduler", ()),
    ):
        config = pki / f"{name}.kubeconfig"
        spawn(
            cluster,
            name,
            *(programs / "kube", name, f"--kubeconfig={config}", "--v=1"),
            *(f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}"),
            *("--bind-address=127.0.0.1", "--leader-elect=false", *_FAST, *more),
        )


def _start_storage(cluster: Cluster, programs: Path) -> None:
    kubectl(cluster, "apply", "-f", str(programs / "crds"))
    kubectl(cluster, "apply", "-f", str(HERE / "openshift-crds.yaml"))
    kubectl(cluster, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    kubectl(cluster, "apply", "-f", str(HERE / "storage.yaml"))
    kubeconfig = f"--kubeconfig={cluster.kubeconfig}"
    for driver, snapshots in DRIVERS.items():
        start_driver(cluster, programs, cluster, driver)
        _start_sidecars(cluster, programs, driver, snapshots=snapshots)
    keep_running(cluster, "snapshot-controller", programs, kubeconfig, *_RETRY)


def _start_sidecars(cluster: Cluster, programs: Path, driver: str, *, snapshots: bool) -> None:
    kubeconfig = f"--kubeconfig={cluster.kubeconfig}"
    address = f"--csi-address={driver_socket(cluster, driver)}"
    sidecar = (address, kubeconfig, "--extra-create-metadata", *_RETRY)
    topology = "--feature-gates=Topology=true"
    short = driver.partition(".")[0]
    keep_running(cluster, "csi-provisioner", programs, *sidecar, topology, of=short)
    if snapshots:
        # on real storage a driver that takes longer than this (60 s) is asked again
        patience = "--timeout=5s"
        keep_running(cluster, "csi-snapshotter", programs, *sidecar, patience, of=short)


def _start_dns(cluster: Cluster, programs: Path) -> None:
    config = cluster.folder / "Corefile"
    config.write_text(_DNS.format(kubeconfig=cluster.kubeconfig))
    spawn(cluster, "dns", programs / "dns", "-conf", config)


_AUDIT = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts:counted"]}
- {level: None, users: ["system:kube-controller-manager", "system:kube-scheduler"]}
- {level: None, userGroups: ["system:nodes"]}
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
"""

_DNS = """\
.:53 {{
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig}
    pods insecure
    ttl 5
  }}
  cache 5
}}
"""
