"""Builds what the clusters need, once per version of its sources, into the cache.

Go binaries: one module holds Kubernetes, the CSI sidecars and our driver; DNS has its own.
Images: OCI archives of folders made from Debian packages and Python wheels.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.bed import images
from tests.cluster.bed.places import HERE, TREE, cache_folder
from tests.cluster.bed.processes import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = "v1.34.4"
CRDS = "github.com/kubernetes-csi/external-snapshotter/client/v8"
BUILD_LIMIT_S = 1800
_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def binaries() -> Path:
    """The folder of kube, driver, dns, the sidecars, and the snapshot CRDs in `crds`."""
    return _cached("bin", (HERE / "go", HERE / "building.py"), _build_binaries)


def system_images() -> Path:
    """pause.tar and busybox.tar."""
    return _cached("system-images", (HERE / "images.py",), images.build_system)


def worker_image() -> Path:
    """worker.tar: the product's own image, under the name that the engine asks for."""
    parts = ("console", "resources", "packaging/container", "requirements-dev.lock")
    sources = tuple(TREE / part for part in (*parts, "pyproject.toml"))

    def build(folder: Path) -> None:
        tools = Path(sys.executable).parent
        run(
            *(sys.executable, "-m", "kubehaven_image", "--archive", folder / "worker.tar"),
            env={
                "PATH": f"{tools}:{os.environ['PATH']}",
                "PYTHONPATH": str(TREE / "packaging" / "container"),
            },
            cwd=TREE,
            timeout_s=BUILD_LIMIT_S,
        )

    return _cached("worker-image", sources, build)


def postgres_image() -> Path:
    """postgres.tar."""
    return _cached("postgres-image", (HERE / "images.py",), images.build_postgres)


def python_image() -> Path:
    """python.tar: what the Django image stands on."""
    return _cached("python-image", (HERE / "images.py",), images.build_python)


def django_image() -> Path:
    """django.tar: the sample application."""

    def build(folder: Path) -> None:
        images.build_django(folder, python_image() / "python.tar", HERE / "shop")

    return _cached("django-image", (HERE / "images.py", HERE / "shop"), build)


def _cached(name: str, sources: tuple[Path, ...], build: Callable[[Path], None]) -> Path:
    folder = cache_folder() / f"{name}-{_key(sources)}"
    if folder.exists():
        return folder
    with _locked(cache_folder() / f"{name}.lock"):
        if folder.exists():
            return folder
        started = time.monotonic()
        print(f"test bed: building {name}", file=sys.stderr, flush=True)
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        build(new)
        new.rename(folder)
        took = time.monotonic() - started
        print(f"test bed: built {name} in {took:.0f} s", file=sys.stderr, flush=True)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(sources: tuple[Path, ...]) -> str:
    digest = sha256()
    for source in sources:
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(TREE)}\0".encode())
                digest.update(sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _build_binaries(folder: Path) -> None:
    flags = ["-s", "-w"]
    for package in _STAMPED:  # without them the server calls itself v0.0.0-master
        for field, value in (
            ("gitVersion", VERSION),
            ("gitMajor", "1"),
            ("gitMinor", "34"),
            ("gitTreeState", "clean"),
            ("gitCommit", "0" * 40),
            ("buildDate", "1970-01-01T00:00:00Z"),
        ):
            flags.append(f"-X {package}.{field}={value}")
    env = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    build = ["go", "build", "-trimpath", "-ldflags", " ".join(flags), "-o", f"{folder}/"]
    module = HERE / "go" / "kube"
    run(*build, "./kube", "./csidriver", "tool", env=env, cwd=module, timeout_s=BUILD_LIMIT_S)
    run(
        *("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{folder}/dns", "."),
        env=env,
        cwd=HERE / "go" / "dns",
        timeout_s=BUILD_LIMIT_S,
    )
    where = run("go", "list", "-m", "-f", "{{.Dir}}", CRDS, env=env, cwd=module).strip()
    crds = folder / "crds"
    crds.mkdir()
    for name in sorted(os.listdir(f"{where}/config/crd")):
        if name != "kustomization.yaml":
            shutil.copyfile(f"{where}/config/crd/{name}", crds / name)
