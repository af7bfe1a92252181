"""A cluster as kubectl sees it: the independent reader of the Kubernetes contract."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from console.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

Raw = dict[str, Any]
KUBECTL = Path(sys.executable).with_name("kubectl")


@dataclass(frozen=True)
class Cluster:
    """One cluster and what it has for the tests; '' = it has none."""

    kubeconfig: Path
    pause_image: str
    storage_class: str
    snapshot_class: str
    box: Raw | None = None  # a container in which commands can be run

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start kubectl."""
        return subprocess.Popen(
            [KUBECTL, "--kubeconfig", self.kubeconfig, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"HOME": os.fspath(self.kubeconfig.parent), "PATH": os.environ["PATH"]},
        )

    def attempt(self, *arguments: str, given: Raw | str = "") -> tuple[int, str, str]:
        """Run kubectl; exit code, output, errors."""
        text = given if isinstance(given, str) else json.dumps(given)
        with self.popen(*arguments) as process:
            out, err = process.communicate(text, timeout=120)
        return process.returncode, out, err

    def run(self, *arguments: str, given: Raw | str = "") -> str:
        """Run kubectl, which must succeed; its output."""
        code, out, err = self.attempt(*arguments, given=given)
        assert not code, f"kubectl {arguments}: {err}"
        return out

    def refused(self, *arguments: str, given: Raw | str = "") -> str:
        """Run kubectl, which must fail; what it says."""
        code, _, err = self.attempt(*arguments, given=given)
        assert code, f"kubectl {arguments} succeeded"
        return err

    def read(self, *arguments: str) -> Raw:
        """`kubectl get … -o json`."""
        found: Raw = json.loads(self.run("get", *arguments, "-o", "json"))
        return found

    def raw(self, path: str) -> Raw:
        """What the API answers to a GET."""
        found: Raw = json.loads(self.run("get", "--raw", path))
        return found

    def create(self, obj: Raw) -> Raw:
        """Create an object; as it was kept."""
        made: Raw = json.loads(self.run("create", "-f", "-", "-o", "json", given=obj))
        return made

    def wait(self, what: str, *arguments: str) -> None:
        """`kubectl wait --for=…`."""
        self.run("wait", f"--for={what}", *arguments, "--timeout=90s")

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace for one test."""
        name = f"contract-{uuid.uuid4().hex[:8]}"
        self.run("create", "namespace", name)
        yield name
        self.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")

    def need(self, what: str, value: str) -> str:
        """A value that the test cannot do without."""
        if not value:
            name = f"KUBECONFIG_CONTRACT_{what}"
            pytest.skip(f"{name}=… KUBECONFIG_CONTRACT=… pytest {__package__} runs it")
        return value


@contextmanager
def sandbox_in_a_thread(folder: Path) -> Iterator[Sandbox]:
    """A sandbox beside tests that block."""
    serving, ended = threading.Event(), asyncio.Event()
    found: list[tuple[Sandbox, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with Sandbox(folder, name="contract") as sandbox:
            found.append((sandbox, asyncio.get_running_loop()))
            serving.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sandbox")
    thread.start()
    try:
        assert serving.wait(10), "the sandbox did not start"
        yield found[0][0]
    finally:
        if found:
            found[0][1].call_soon_threadsafe(ended.set)
        thread.join(20)


def config_map(namespace: str, name: str, **more: Any) -> Raw:
    """A ConfigMap; `more` goes into its metadata, but for `data`."""
    data = more.pop("data", {"a": "1"})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, **more},
        "data": data,
    }


def pod(namespace: str, name: str, image: str, **more: Any) -> Raw:
    """A pod with one container; `more` goes into its spec."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": image}],
            **more,
        },
    }


def claim(namespace: str, name: str, storage_class: str, **more: Any) -> Raw:
    """A claim of 16 MiB; `more` goes into its spec."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "16Mi"}},
            **more,
        },
    }


def widgets(group: str) -> Raw:
    """A CRD with a schema that can be broken in many ways."""
    spec = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "blue"},
            "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
            "parts": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
            "port": {"x-kubernetes-int-or-string": True},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    status = {"type": "object", "properties": {"phase": {"type": "string"}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "plural": "widgets",
                "singular": "widget",
                "kind": "Widget",
                "listKind": "WidgetList",
                "shortNames": ["wd"],
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": spec, "status": status},
                        }
                    },
                    "additionalPrinterColumns": [
                        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
                    ],
                }
            ],
        },
    }
