"""Container images without a registry or a builder: folders written as OCI archives.

The layers are not compressed: importing is faster, and the same folder gives the same bytes.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.cluster.bed.processes import run

PREFIX = "kubehaven.test"
BUILD_LIMIT_S = 900
_MEDIA = "application/vnd.oci.image"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PAUSE = """\
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int s) { exit(0); }
static void reap(int s) { while (waitpid(-1, NULL, WNOHANG) > 0); }
int main(void) {
  signal(SIGINT, end); signal(SIGTERM, end); signal(SIGCHLD, reap);
  for (;;) pause();
}
"""
_SLIM = [
    "--dpkgopt=force-unsafe-io",  # its fsyncs double the time
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info")),
    '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*',
]


def build_system(folder: Path) -> None:
    """What every cluster needs: pause, and busybox for small pods."""
    with tempfile.TemporaryDirectory() as scratch:
        pause = Path(scratch, "pause")
        pause.mkdir()
        run("musl-gcc", "-Os", "-s", "-static", "-o", pause / "pause", "-xc", "-", stdin=_PAUSE)
        write_image(folder / "pause.tar", f"{PREFIX}/pause:1", [_tar(pause)], entrypoint=["/pause"])
        box = Path(scratch, "busybox")
        for name in ("bin", "tmp", "etc", "data"):
            (box / name).mkdir(parents=True)
        (box / "tmp").chmod(0o1777)
        (box / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
        shutil.copy("/bin/busybox", box / "bin" / "busybox")
        for applet in run("/bin/busybox", "--list").split():
            if applet != "busybox":
                (box / "bin" / applet).symlink_to("busybox")
        write_image(folder / "busybox.tar", f"{PREFIX}/busybox:1", [_tar(box)], cmd=["/bin/sh"])


def build_postgres(folder: Path) -> None:
    """PostgreSQL 15 of Debian 12; it can be run by a user that no passwd file knows."""
    layer = _debian("postgresql-15,libnss-wrapper")
    path = f"/usr/lib/postgresql/15/bin:{_PATH}"
    name = f"{PREFIX}/postgres:15"
    write_image(folder / "postgres.tar", name, [layer], user="postgres", env={"PATH": path})


def build_python(folder: Path) -> None:
    """Python 3.11 of Debian 12, with what Django's database driver loads."""
    layer = _debian("python3-minimal,libpython3-stdlib,libpq5,ca-certificates")
    write_image(folder / "python.tar", f"{PREFIX}/python:3.11", [layer])


def build_django(folder: Path, base: Path, shop: Path) -> None:
    """The sample application on the Python image."""
    with tempfile.TemporaryDirectory() as scratch:
        app = Path(scratch, "app")
        uv = Path(sys.executable).with_name("uv")
        packages = ("django==5.2.8", "psycopg[binary]==3.2.12", "gunicorn==23.0.0")
        run(
            *(uv, "pip", "install", "-q", "--python", "/usr/bin/python3", "--target", app),
            *packages,
            timeout_s=BUILD_LIMIT_S,
        )
        for made in app.rglob("__pycache__"):
            shutil.rmtree(made)
        for source in shop.rglob("*.txt"):  # .txt: it is no code of this tree's own Python
            target = app / source.relative_to(shop).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        command = ["python3", "-m", "gunicorn", "-b", "0.0.0.0:8080", "-w", "2", "shop.wsgi"]
        write_image(
            folder / "django.tar",
            f"{PREFIX}/django:1",
            [*read_layers(base), _tar(Path(scratch))],
            cmd=command,
            env={"PYTHONPATH": "/app", "DJANGO_SETTINGS_MODULE": "shop.settings"},
            workdir="/app",
        )


def write_image(
    target: Path,
    name: str,
    layers: list[bytes],
    *,
    entrypoint: list[str] | None = None,
    cmd: list[str] | None = None,
    env: dict[str, str] | None = None,
    user: str = "",
    workdir: str = "/",
) -> None:
    """An OCI archive of tar layers, lowest first, that containerd imports under that name."""
    blobs: dict[str, bytes] = {}

    def put(kind: str, data: bytes) -> dict[str, Any]:
        digest = sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"{_MEDIA}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    descriptors = [put("layer.v1.tar", layer) for layer in layers]
    settings: dict[str, Any] = {
        "Env": [f"{key}={value}" for key, value in {"PATH": _PATH, **(env or {})}.items()],
        "WorkingDir": workdir,
    }
    more = {"Entrypoint": entrypoint, "Cmd": cmd, "User": user}
    settings |= {key: value for key, value in more.items() if value}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [one["digest"] for one in descriptors]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": put("config.v1+json", json.dumps(config).encode()),
        "layers": descriptors,
    }
    entry = put("manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"io.containerd.image.name": name}
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
        **{f"blobs/sha256/{digest}": data for digest, data in sorted(blobs.items())},
    }
    with tarfile.open(target, "w") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def read_layers(archive: Path) -> list[bytes]:
    """The layers of an image that `write_image` wrote."""
    with tarfile.open(archive) as files:

        def read(path: str) -> bytes:
            file = files.extractfile(path)
            assert file is not None
            return file.read()

        def blob(descriptor: dict[str, Any]) -> bytes:
            return read(f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}")

        manifest = json.loads(blob(json.loads(read("index.json"))["manifests"][0]))
        return [blob(layer) for layer in manifest["layers"]]


def _debian(packages: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        layer = Path(scratch, "layer.tar")
        command = ["mmdebstrap", "-q", "--variant=minbase", *_SLIM, f"--include={packages}"]
        run(*command, "bookworm", layer, timeout_s=BUILD_LIMIT_S)
        return layer.read_bytes()


def _tar(folder: Path) -> bytes:
    """A folder as a layer: sorted, without times, owned by root."""
    layer = folder.parent / f"{folder.name}.layer"
    run(
        *("tar", "-C", folder, "--sort=name", "--numeric-owner", "--owner=0", "--group=0"),
        *("--mtime=@0", "-cf", layer, "."),
    )
    data = layer.read_bytes()
    layer.unlink()
    return data
