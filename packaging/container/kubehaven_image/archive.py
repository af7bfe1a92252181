"""An OCI image archive of layers that lie there as tar files."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_OCI = "application/vnd.oci.image"
CONFIG: dict[str, Any] = {
    "User": "65532:65532",
    "WorkingDir": "/",
    "Env": [
        "PATH=/usr/bin:/bin",
        "PYTHONPATH=/opt/kubehaven",
        "PYTHONUNBUFFERED=1",
        "PYTHONDONTWRITEBYTECODE=1",
        "SSL_CERT_FILE=/opt/kubehaven/certifi/cacert.pem",
    ],
    "Entrypoint": ["/usr/bin/kubehaven"],
}


def write_archive(name: str, architecture: str, layers: tuple[Path, ...], out: Path) -> str:
    """Write the archive that `ctr images import`, `podman load` and skopeo read.

    Returns:
        The digest by which the image is pinned.
    """
    described: list[dict[str, Any]] = [
        {"mediaType": f"{_OCI}.layer.v1.tar", "digest": _digest(path), "size": path.stat().st_size}
        for path in layers
    ]
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": CONFIG,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in described]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _described(config, f"{_OCI}.config.v1+json"),
            "layers": described,
        }
    )
    pinned = _described(manifest, f"{_OCI}.manifest.v1+json")
    pinned["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json({"schemaVersion": 2, "manifests": [pinned]}))
        for blob in (config, manifest):
            _add(archive, _blob(_described(blob, "")["digest"]), blob)
        for path, layer in zip(layers, described, strict=True):
            info = tarfile.TarInfo(_blob(layer["digest"]))
            info.size = path.stat().st_size
            with path.open("rb") as stream:
                archive.addfile(info, stream)
    return str(pinned["digest"])


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _described(blob: bytes, media_type: str) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(blob)}


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
