"""Where things lie, and the addresses of cluster N."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent.parent
BRIDGE = "khbed0"
HOST = "10.211.0.1"  # of the host on the bridge: pods reach servers of the tests here
DRIVERS = {  # and whether it can snapshot
    "hostpath.csi.kubehaven.test": True,
    "plain.csi.kubehaven.test": False,
}


def cache_folder() -> Path:
    """What was built, each under a key of its sources; survives the runs."""
    given = os.environ.get("KUBEHAVEN_BED_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "kubehaven-bed"


def state_folder() -> Path:
    """What runs. Short: the path of a Unix socket has 107 bytes at most."""
    given = os.environ.get("KUBEHAVEN_BED")
    return Path(given) if given else Path(tempfile.gettempdir(), "kubehaven-bed")


class Cluster(NamedTuple):
    """The names and addresses of one cluster."""

    number: int

    @property
    def name(self) -> str:
        """Of the network namespace, the node, the cgroups and the state folder."""
        return f"khbed{self.number}"

    @property
    def veth(self) -> str:
        """The host's end of its cable."""
        return f"khbed{self.number}-h"

    @property
    def folder(self) -> Path:
        """Its state."""
        return state_folder() / self.name

    @property
    def address(self) -> str:
        """Of its machine."""
        return f"10.211.0.{10 + self.number}"

    @property
    def server(self) -> str:
        """Of its API."""
        return f"https://{self.address}:6443"

    @property
    def pods(self) -> str:
        """The pods' network, without its last part."""
        return f"10.{240 + self.number}.0"

    @property
    def services(self) -> str:
        """The services' network, without its last part."""
        return f"10.97.{self.number}"

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator."""
        return self.folder / "pki" / "admin.kubeconfig"

    @property
    def containerd(self) -> Path:
        """The socket of its containerd."""
        return self.folder / "run" / "containerd.sock"

    @property
    def audit_log(self) -> Path:
        """Who changed what: one JSON event a line."""
        return self.folder / "log" / "audit.log"

    @property
    def storage(self) -> Path:
        """Where the drivers keep volumes and snapshots."""
        return state_folder() / "store" / self.name

    @property
    def second(self) -> Node:
        """Its second node, which stands only where a test asked for it."""
        return Node(self)


class Node(NamedTuple):
    """The second node of a cluster: a machine of its own, on the same storage."""

    cluster: Cluster

    @property
    def name(self) -> str:
        """Of the network namespace, the node, the cgroups and the state folder."""
        return f"{self.cluster.name}b"

    @property
    def veth(self) -> str:
        """The host's end of its cable."""
        return f"{self.name}-h"

    @property
    def folder(self) -> Path:
        """Its state."""
        return state_folder() / self.name

    @property
    def address(self) -> str:
        """Of its machine."""
        return f"10.211.0.{110 + self.cluster.number}"

    @property
    def pods(self) -> str:
        """The network of its pods, without its last part."""
        return f"10.{240 + self.cluster.number}.1"

    @property
    def containerd(self) -> Path:
        """The socket of its containerd."""
        return self.folder / "run" / "containerd.sock"

    @property
    def storage(self) -> Path:
        """The cluster's: every node mounts every volume of it, where the zone allows that."""
        return self.cluster.storage


Machine = Cluster | Node
