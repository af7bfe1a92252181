"""The only user of `kubernetes`: sign-in, list-watch on raw bytes, apply, errors."""

from console.engine.kube.access import ClusterAccess, programs, trust_digest
from console.engine.kube.client import KubeClient, Write
from console.engine.kube.clusters import ClusterBook, ClusterEntry, check_trust, trusted_access
from console.engine.kube.discovery import BrokenGroup, Discovered, ServedKind
from console.engine.kube.kubeconfig import context_names, read_kubeconfig
from console.engine.kube.lease import Lease, holder_id
from console.engine.kube.listing import Page
from console.engine.kube.watching import Changed, Listed, Lost, Seen

__all__ = [
    "BrokenGroup",
    "Changed",
    "ClusterAccess",
    "ClusterBook",
    "ClusterEntry",
    "Discovered",
    "KubeClient",
    "Lease",
    "Listed",
    "Lost",
    "Page",
    "Seen",
    "ServedKind",
    "Write",
    "check_trust",
    "context_names",
    "holder_id",
    "programs",
    "read_kubeconfig",
    "trust_digest",
    "trusted_access",
]
