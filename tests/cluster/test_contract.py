"""What the sandbox claims holds on a real cluster: the contract suite, a run for each file."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cluster.bed.places import TREE

if TYPE_CHECKING:
    from tests.cluster.conftest import RealCluster

SUITES = {  # and the storage class that each needs
    "test_kubernetes_api.py": "kh-csi-immediate",
    "test_kubernetes_pods.py": "kh-csi-immediate",
    "test_kubernetes_volumes.py": "kh-csi-immediate",
    "test_kubernetes_exec.py": "kh-csi-immediate",
    "test_hand_over.py": "kh-csi",
}


@pytest.mark.parametrize(("suite", "storage_class"), SUITES.items())
def test_the_contract_holds(cluster_one: RealCluster, suite: str, storage_class: str) -> None:
    if cluster_one.bed is None:
        pytest.skip(f"KUBECONFIG_CONTRACT=FILE pytest tests/contract/{suite} runs it")
    words = ["-m", "pytest", "-n0", "-p", "no:cacheprovider", "-k", "real", "--timeout", "300"]
    done = subprocess.run(
        [sys.executable, *words, f"tests/contract/{suite}"],
        cwd=TREE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KUBECONFIG_CONTRACT": str(cluster_one.kubeconfig),
            "KUBECONFIG_CONTRACT_PAUSE_IMAGE": "kubehaven.test/pause:1",
            "KUBECONFIG_CONTRACT_BOX_IMAGE": "kubehaven.test/busybox:1",
            "KUBECONFIG_CONTRACT_STORAGE_CLASS": storage_class,
            "KUBECONFIG_CONTRACT_SNAPSHOT_CLASS": "kh-snap",
        },
    )
    assert done.returncode == 0, done.stdout[-6000:]
