"""What a pod's containers see: volumes as real folders, rewritten paths, a clean environment."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from console.sandbox.choosing import value_at
from console.sandbox.kinds import CLAIMS, CONFIG_MAPS, NODE, SECRETS, VOLUMES, Key
from console.sandbox.matching import handle_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.sandbox.folders import Folders
    from console.sandbox.kinds import Raw
    from console.sandbox.store import Store

TERMINATION_LOG = "/dev/termination-log"


class NotMountableError(Exception):
    """A pod that has to wait for something."""


class Mounted(NamedTuple):
    """The volumes of a pod."""

    folders: dict[str, Path]  # by the volume's name
    handles: frozenset[str]  # of our driver


class Mounts:
    """Lays out the volumes of pods under `root`, a folder per pod."""

    def __init__(self, store: Store, folders: Folders, root: Path) -> None:
        self._store = store
        self._folders = folders
        self._root = root

    def home(self, pod: Raw) -> Path:
        """The folder of a pod's own files."""
        return self._root / str(pod["metadata"]["uid"])

    def prepare(self, pod: Raw) -> Mounted:
        """Lay everything out; NotMountableError when something is not there yet."""
        if pod["spec"].get("initContainers"):
            raise NotMountableError("the sandbox runs no init containers")
        found: dict[str, Path] = {}
        handles: set[str] = set()
        for volume in pod["spec"].get("volumes") or ():
            name = volume["name"]
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                found[name], handle = self._claim(pod["metadata"]["namespace"], claim)
                handles.add(handle)
            elif "hostPath" in volume:
                found[name] = _host_path(volume["hostPath"])
            else:
                found[name] = self.home(pod) / "volumes" / name
                found[name].mkdir(parents=True, exist_ok=True)
                self._fill(pod["metadata"]["namespace"], volume, found[name])
        return Mounted(found, frozenset(handles - {""}))

    def _claim(self, namespace: str, name: str) -> tuple[Path, str]:
        claim = self._store.peek(Key(CLAIMS, namespace, name))
        if claim is None or claim["status"]["phase"] != "Bound":
            raise NotMountableError(f'persistentvolumeclaim "{name}" is not bound')
        volume = self._store.peek(Key(VOLUMES, "", claim["spec"]["volumeName"]))
        if volume is None:
            raise NotMountableError(f'the volume of persistentvolumeclaim "{name}" is gone')
        handle = handle_of(volume)
        local = value_at(volume, "spec.hostPath.path") or value_at(volume, "spec.local.path")
        folder = Path(local) if local else self._folders.volume(handle)
        if folder is None:
            raise NotMountableError(f'rpc error: code = NotFound desc = no volume "{handle}"')
        return folder, handle

    def _fill(self, namespace: str, volume: Raw, folder: Path) -> None:
        if "emptyDir" in volume:
            return
        if "secret" in volume:
            source = {**volume["secret"], "name": volume["secret"]["secretName"]}
            self._write(self._data(SECRETS, namespace, source), source, folder)
        elif "configMap" in volume:
            source = volume["configMap"]
            self._write(self._data(CONFIG_MAPS, namespace, source), source, folder)
        elif "projected" in volume:
            for part in volume["projected"].get("sources") or ():
                self._project(namespace, part, volume["projected"].get("defaultMode"), folder)
        else:
            kinds = ", ".join(name for name in volume if name != "name")
            raise NotMountableError(f"the sandbox mounts no volume of the kind {kinds}")

    def _project(self, namespace: str, part: Raw, mode: int | None, folder: Path) -> None:
        for name, resource_id in (("secret", SECRETS), ("configMap", CONFIG_MAPS)):
            if name in part:
                source = {"defaultMode": mode, **part[name]}
                self._write(self._data(resource_id, namespace, source), source, folder)
                return
        raise NotMountableError(f"the sandbox projects no source of the kind {', '.join(part)}")

    def _data(self, resource_id: str, namespace: str, source: Raw) -> dict[str, bytes]:
        obj = self._store.peek(Key(resource_id, namespace, source["name"]))
        if obj is None:
            if source.get("optional"):
                return {}
            raise NotMountableError(f'{resource_id} "{source["name"]}" not found')
        binary = obj.get("data") if resource_id == SECRETS else obj.get("binaryData")
        plain = obj.get("data") if resource_id == CONFIG_MAPS else {}
        found = {name: base64.b64decode(value) for name, value in (binary or {}).items()}
        return found | {name: value.encode() for name, value in (plain or {}).items()}

    def _write(self, data: dict[str, bytes], source: Raw, folder: Path) -> None:
        items = source.get("items") or [{"key": name, "path": name} for name in data]
        for item in items:
            if item["key"] not in data:
                raise NotMountableError(f'{source["name"]} has no key "{item["key"]}"')
            target = folder / item["path"]
            if not target.resolve().is_relative_to(folder.resolve()):
                raise NotMountableError(f"{item['path']} leads out of its volume")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            mode = item.get("mode") or source.get("defaultMode") or 0o644
            with os.fdopen(
                os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb"
            ) as file:
                file.write(data[item["key"]])

    # environment

    def environment(self, pod: Raw, container: Raw) -> dict[str, str]:
        """The container's own variables, paths as they stand in the manifest."""
        namespace = pod["metadata"]["namespace"]
        found: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            for name, resource_id in (("secretRef", SECRETS), ("configMapRef", CONFIG_MAPS)):
                if name in source:
                    data = self._data(resource_id, namespace, source[name])
                    prefix = source.get("prefix", "")
                    found |= {f"{prefix}{key}": value.decode() for key, value in data.items()}
        for entry in container.get("env") or ():
            found[entry["name"]] = self._value(pod, entry)
        return found

    def _value(self, pod: Raw, entry: Raw) -> str:
        source = entry.get("valueFrom")
        if not source:
            return str(entry.get("value", ""))
        if "fieldRef" in source:
            return str(value_at(pod, source["fieldRef"]["fieldPath"]) or "")
        for name, resource_id in (("secretKeyRef", SECRETS), ("configMapKeyRef", CONFIG_MAPS)):
            if name in source:
                data = self._data(resource_id, pod["metadata"]["namespace"], source[name])
                return data.get(source[name]["key"], b"").decode()
        raise NotMountableError(f"the sandbox knows no value from {', '.join(source)}")


def _host_path(source: Raw) -> Path:
    path = Path(source["path"])
    if not path.exists():
        if source.get("type") in {"Directory", "File"}:
            raise NotMountableError(f"hostPath type check failed: {path} is not there")
        path.mkdir(parents=True)
    return path


def rewrites(container: Raw, mounted: Mounted, termination_log: Path) -> list[tuple[str, Path]]:
    """Paths of the container and what they really are, the longest first."""
    pairs = [(container.get("terminationMessagePath", TERMINATION_LOG), termination_log)]
    for mount in container.get("volumeMounts") or ():
        folder = mounted.folders.get(mount["name"])
        if folder is None:
            raise NotMountableError(f'no volume "{mount["name"]}"')
        if mount.get("subPath"):
            folder /= mount["subPath"]
            folder.mkdir(parents=True, exist_ok=True)
        pairs.append((mount["mountPath"].rstrip("/"), folder))
    return sorted(pairs, key=lambda pair: len(pair[0]), reverse=True)


def rewritten(text: str, pairs: list[tuple[str, Path]]) -> str:
    """An argument or value that begins with one of the paths, with the real one."""
    for path, real in pairs:
        if text == path or text.startswith(f"{path}/"):
            return f"{real}{text[len(path) :]}"
    return text


def clean_environment(home: Path) -> dict[str, str]:
    """What every process gets; nothing is inherited, so no credential can be."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": os.fspath(home),
        "TMPDIR": os.fspath(home),
        "PYTHONPATH": os.pathsep.join(_python_path()),
        "PYTHONUNBUFFERED": "1",
        "KUBERNETES_NODE_NAME": NODE,
    }


def _python_path() -> Iterator[str]:
    """Where this very installation is, first."""
    yield os.fspath(Path(__file__).resolve().parents[2])
    yield from (entry for entry in sys.path if entry)
