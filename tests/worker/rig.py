"""A worker as the cluster runs it: a process, a job file, a folder of secrets, a result."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.fakes.weed import S3Server

TREE = Path(__file__).resolve().parents[2]
PASSWORD = "only-the-files-know-0123456789"
SALT = bytes(range(32))
POINT = "shop-20260102-030405-abcde"
PVC = "data"

Result = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    """The environment of a child that runs this tree's `console`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "PYTHONPATH": str(TREE), **more}


class Running:
    """A worker under way; its counters are read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, int]] = []

    def wait_for(self, wanted: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Read counters until some are as wanted; fails when the worker ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if wanted(self.lines[-1]):
                return self.lines[-1]
        raise AssertionError(f"the worker ended before: {self.lines[-3:]}")

    def end(self, number: int = 0) -> int:
        """Send a signal, read to the end, return the exit code."""
        if number:
            os.kill(self.process.pid, number)
        self.process.communicate(timeout=50)
        return self.process.returncode


class Rig:
    """One volume, one repository, and workers on them."""

    def __init__(self, folder: Path, repository: str, server: S3Server | None = None) -> None:
        self.folder = folder
        self.repository = repository
        self.server = server
        self.volume = folder / "volume"
        self.packs = folder / "packs"
        self.secrets = folder / "secrets"
        self.termination_log = folder / "termination-log"
        for path in (self.packs, self.secrets):
            path.mkdir(parents=True)
        self.secret("password", PASSWORD.encode())
        if server is not None:
            self.secret("aws_access_key_id", server.access_key.encode())
            self.secret("aws_secret_access_key", server.secret_key.encode())
        self.said = ""  # stdout and stderr of the last worker

    def secret(self, name: str, content: bytes) -> None:
        (self.secrets / name).write_bytes(content)

    def job(self, command: str, **fields: Any) -> Path:
        """Write a job with what every one needs."""
        marker = {
            "format": "kubehaven-repository",
            "version": 1,
            "salt": base64.b64encode(SALT).decode(),
            "clusterUID": "uid",
            "application": "shop",
        }
        base: dict[str, Any] = {
            "version": 1,
            "repository": self.repository,
            "point": POINT,
            "pvc": PVC,
            "hostname": "cluster-1",
            "interval": 0.05,
        }
        own = {"init": {"marker": marker}}.get(command, {})
        path = self.folder / "job.json"
        path.write_text(json.dumps({**base, **own, **fields}))
        return path

    def command(
        self, command: str, *, volume: Path | None = None, before: Sequence[str] = (), **fields: Any
    ) -> list[str]:
        self.termination_log.unlink(missing_ok=True)
        return [
            *(*before, sys.executable, "-m", "console", "worker", command),
            *("--job", str(self.job(command, **fields))),
            *("--secrets", str(self.secrets), "--termination-log", str(self.termination_log)),
            *("--volume", str(volume or self.volume), "--packs", str(self.packs)),
        ]

    def run(self, command: str, *, code: int = 0, **how: Any) -> Result:
        """Run a worker to its end and hand its result back."""
        done = subprocess.run(
            self.command(command, **how),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=55,
            check=False,
        )
        self.said = done.stdout + done.stderr
        assert done.returncode == code, self.said
        assert "Traceback" not in self.said
        return self.result()

    def start(self, command: str, **how: Any) -> Running:
        """Start a worker."""
        return Running(
            subprocess.Popen(
                self.command(command, **how),
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def result(self) -> Result:
        """The result in the termination log."""
        raw = self.termination_log.read_bytes()
        assert len(raw) <= 4096
        found: Result = json.loads(raw)
        return found

    def restic(self, *words: str, code: int = 0) -> str:
        """Debian's restic on the same repository."""
        keys = {}
        if self.server is not None:
            keys["AWS_ACCESS_KEY_ID"] = self.server.access_key
            keys["AWS_SECRET_ACCESS_KEY"] = self.server.secret_key
        program = ["restic", "-r", self.repository, "--no-cache"]
        done = subprocess.run(
            [*program, "--password-file", str(self.secrets / "password"), *words],
            env=environment(**keys),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.restic("snapshots", "--json", "--no-lock"))
        return found
