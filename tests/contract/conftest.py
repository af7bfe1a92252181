"""The clusters that the Kubernetes contract runs against: the sandbox, and a real one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.kubernetes import Cluster, Raw, pod, sandbox_in_a_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

_REAL = "KUBECONFIG_CONTRACT"


@pytest.fixture(scope="session", params=["sandbox", "real"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster to try the contract on; what a test makes there has names of its own."""
    if request.param == "sandbox":
        with sandbox_in_a_thread(tmp_path_factory.mktemp("contract")) as sandbox:
            yield Cluster(
                sandbox.kubeconfig,
                pause_image="sandbox.kubehaven.io/pause:1",
                storage_class="sandbox",
                snapshot_class="sandbox",
                box={"name": "main", "image": "sandbox.kubehaven.io/pause:1"},
            )
        return
    if not os.environ.get(_REAL):
        pytest.skip(f"{_REAL}=FILE pytest tests/contract/test_kubernetes*.py runs it")
    yield Cluster(
        Path(os.environ[_REAL]),
        pause_image=os.environ.get(f"{_REAL}_PAUSE_IMAGE", ""),
        storage_class=os.environ.get(f"{_REAL}_STORAGE_CLASS", ""),
        snapshot_class=os.environ.get(f"{_REAL}_SNAPSHOT_CLASS", ""),
        box=_box(os.environ.get(f"{_REAL}_BOX_IMAGE", "")),
    )


@pytest.fixture
def box_home(cluster: Cluster) -> Iterator[str]:
    """A namespace with a pod `box`, in which commands run and which has a volume at /data."""
    if cluster.box is None:
        pytest.skip(f"{_REAL}_BOX_IMAGE=… {_REAL}=FILE pytest tests/contract runs it")
    with cluster.namespace() as name:
        box: Raw = {**cluster.box, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        volumes = [{"name": "data", "emptyDir": {}}]
        cluster.create(pod(name, "box", "", containers=[box], volumes=volumes))
        cluster.wait("condition=Ready", "pod/box", "-n", name)
        yield name


def _box(image: str) -> Raw | None:
    """A container of an image that has busybox or the like."""
    if not image:
        return None
    return {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "1000000"],
    }
