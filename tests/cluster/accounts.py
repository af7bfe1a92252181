"""Who asks on a real cluster: ServiceAccounts with tokens, an administrator, an engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from console.engine import open_engine
from console.engine.model.names import API_VERSION, NAMESPACE, WORKERS_NAMESPACE
from console.engine.plan.rights import RBAC
from tests.cluster.bed.processes import wait_until
from tests.contract.kubernetes import Cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from console.engine import Engine
    from console.engine.kube import Write
    from tests.cluster.conftest import RealCluster

CLUSTER = "real"
SELF_SERVICE = "kubehaven-self-service"
FORGED = "spec.requestedBy.username is not the user of this request"
PATIENCE_S = 60.0
SIGNS = {  # one right by which one sees that a role holds
    SELF_SERVICE: ("create", "backupactions.kubehaven.io"),
    "view": ("get", "configmaps"),
    "edit": ("create", "deployments.apps"),
    "admin": ("create", "rolebindings.rbac.authorization.k8s.io"),
    "kubehaven-engine": ("delete", "secrets"),
}


class Account(NamedTuple):
    """Somebody who asks."""

    cluster: Cluster
    username: str

    def action(self, kind: str, namespace: str, **spec: Any) -> dict[str, Any]:
        """An action of this account."""
        name = f"{kind.lower()}-"
        return {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"generateName": name, "namespace": namespace},
            "spec": {"requestedBy": {"username": self.username}, **spec},
        }

    async def ask(self, kind: str, namespace: str, **spec: Any) -> tuple[str, str, str]:
        """Make an action; how kubectl names it."""
        body = self.action(kind, namespace, **spec)
        made = await asyncio.to_thread(self.cluster.create, body)
        return f"{kind.lower()}s.kubehaven.io", namespace, made["metadata"]["name"]


class Bench:
    """A cluster, its administrator, and who else there is."""

    def __init__(self, real: RealCluster, namespace: str, folder: Path) -> None:
        self.admin = Cluster(real.kubeconfig, "", "", "")
        self.bed = real.bed is not None
        self.home = namespace
        self.folder = folder
        self.writes: list[Write] = []
        self._others = contextlib.ExitStack()

    def close(self) -> None:
        """Take away what is not in the namespaces of the tests."""
        self._others.close()

    def account(self, name: str, namespace: str = "") -> Account:
        """A ServiceAccount without any right."""
        namespace = namespace or self.home
        self.admin.run("create", "serviceaccount", name, "-n", namespace)
        token = self.admin.run("create", "token", name, "-n", namespace, "--duration=1h").strip()
        config = json.loads(self.admin.run("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"][0]["user"] = {"token": token}
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return Account(Cluster(path, "", "", ""), f"system:serviceaccount:{namespace}:{name}")

    def bind(self, account: Account, role: str, namespace: str = "") -> None:
        """Give a role in a namespace, `kind/name`, and wait until it holds."""
        kind, _, name = role.rpartition("/")
        where = namespace or self.home
        binding = f"{self.home}-{account.cluster.kubeconfig.stem}-{name}"[-60:].strip("-.")
        given = f"--{kind or 'clusterrole'}={name}"
        self.admin.run(
            *("create", "rolebinding", binding, "-n", where, given, f"--user={account.username}")
        )
        if where in {NAMESPACE, WORKERS_NAMESPACE}:
            gone = ("delete", "rolebinding", binding, "-n", where)
            self._others.callback(self.admin.run, *gone)
        if name in SIGNS:
            self._until_may(account, *SIGNS[name], where)

    def _until_may(self, account: Account, verb: str, what: str, namespace: str) -> None:
        """The authorizer hears of a binding a moment later."""
        asked = ("auth", "can-i", verb, what, "-n", namespace)

        def may() -> bool:
            return not account.cluster.attempt(*asked)[0]

        wait_until(" ".join(asked), may, limit_s=PATIENCE_S)

    def allow(self, account: Account, name: str, namespace: str, verb: str, *what: str) -> None:
        """Give a right of its own."""
        resources = [f"--resource={one}" for one in what]
        self.admin.run("create", "role", name, "-n", namespace, f"--verb={verb}", *resources)
        self.bind(account, f"role/{name}", namespace)
        for one in what:
            self._until_may(account, verb, one, namespace)

    def another(self, what: str) -> str:
        """Another namespace."""
        name = f"{self.home[-50:].strip('-')}-{what}"
        self.admin.run("create", "namespace", name)
        self._others.callback(
            self.admin.attempt, "delete", "namespace", name, "--wait=false", "--ignore-not-found"
        )
        return name

    async def prepare(self, engine: Engine) -> None:
        """*Prepare*, and wait until the API server checks who asks."""
        await engine.clusters.add(CLUSTER, str(self.admin.kubeconfig))
        plan = await engine.clusters.plan_prepare(CLUSTER)
        await engine.clusters.prepare(CLUSTER, plan_hash=plan.hash)
        forged = Account(self.admin, "somebody-else")
        subject = {"kind": "Namespace", "name": self.home}
        body = forged.action("BackupAction", self.home, subject=subject)
        async with asyncio.timeout(90):
            while True:
                tried = ("create", "--dry-run=server", "-f", "-")
                _, _, told = await asyncio.to_thread(self.admin.attempt, *tried, given=body)
                if FORGED in told:
                    return
                await asyncio.sleep(0.5)

    @contextlib.asynccontextmanager
    async def engine_in_the_cluster(self) -> AsyncIterator[None]:
        """An engine with the rights of the shipped role; its writes are kept."""
        ours = await asyncio.to_thread(self.account, "engine")
        binding = f"{self.home}-engine"[-60:].strip("-.")
        self.admin.run(
            *("create", "clusterrolebinding", binding, "--clusterrole=kubehaven-engine"),
            f"--user={ours.username}",
        )
        self._others.callback(self.admin.run, "delete", "clusterrolebinding", binding)
        for where in (NAMESPACE, WORKERS_NAMESPACE):
            await asyncio.to_thread(self.bind, ours, "role/kubehaven-engine", where)
        await asyncio.to_thread(self._until_may, ours, "bind", f"roles.{RBAC}", self.home)

        async def note(write: Write) -> None:
            self.writes.append(write)

        home = self.folder / "in-cluster"
        async with open_engine(home, host_kind="cluster", on_write=note) as engine:
            await engine.clusters.add(CLUSTER, str(ours.cluster.kubeconfig))
            await engine.clusters.watch(CLUSTER, take_over=True)
            yield

    async def ended(self, action: tuple[str, str, str]) -> dict[str, Any]:
        """The status of an action when it has ended."""
        return await self._status(action, "{.status.phase}=Finished")

    async def waits(self, action: tuple[str, str, str], reason: str) -> dict[str, Any]:
        """The status of an action when it waits for this reason."""
        return await self._status(action, f"{{.status.reason}}={reason}")

    async def _status(self, action: tuple[str, str, str], until: str) -> dict[str, Any]:
        kind, namespace, name = action
        what = (f"{kind}/{name}", "-n", namespace)
        wanted = ("wait", f"--for=jsonpath={until}", *what, "--timeout=100s")
        await asyncio.to_thread(self.admin.run, *wanted)
        raw = await asyncio.to_thread(self.admin.read, *what)
        status: dict[str, Any] = raw["status"]
        return status

    async def back_up(self, account: Account, namespace: str = "") -> str:
        """The name of a new point, asked for by its application's own account."""
        namespace = namespace or self.home
        subject = {"kind": "Namespace", "name": namespace}
        status = await self.ended(await account.ask("BackupAction", namespace, subject=subject))
        assert status["outcome"] == "Complete", status
        return str(status["restorePoint"]["name"])
