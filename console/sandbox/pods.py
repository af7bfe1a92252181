"""The node: pods as local processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from console.sandbox import executing, faults, images, mounts, scheduling, status
from console.sandbox.kinds import CLAIMS, CONFIG_MAPS, NODE, PODS, SECRETS, Key
from console.sandbox.logs import Log
from console.sandbox.processes import send_signal, stand_still
from console.sandbox.telling import is_going, tell
from console.sandbox.workloads import is_over

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from console.sandbox.folders import Folders
    from console.sandbox.kinds import Raw
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control, Tasks

PORTS = "sandbox.kubehaven.io/ports"
_BACKOFF_S, _LONGEST_BACKOFF_S = 0.2, 10.0
_PROBE_S = 0.03
_MESSAGE_LIMIT = 4096


@dataclass(slots=True)
class Run:
    """One pod on the node."""

    key: Key
    pod: Raw
    home: Path
    mounted: mounts.Mounted
    ports: dict[str, int] = field(default_factory=dict)  # container port → real port
    states: dict[str, status.State] = field(default_factory=dict)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    commands: set[asyncio.subprocess.Process] = field(default_factory=set)  # by exec
    logs: dict[str, Log] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return str(self.pod["metadata"]["uid"])


class Pods:
    """Starts, follows, stops and freezes the processes of pods."""

    def __init__(
        self, store: Store, *, control: Control, tasks: Tasks, folders: Folders, root: Path
    ) -> None:
        self._store = store
        self._control = control
        self._tasks = tasks
        self._mounts = mounts.Mounts(store, folders, root)
        self._runs: dict[Key, Run] = {}
        self._gate = asyncio.Lock()  # a process starts, or a volume freezes
        self._frozen: Counter[str] = Counter()
        self._stopped: Counter[int] = Counter()
        self._thawed = asyncio.Event()
        self._ending = False
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.resource == PODS:
            self._control.ask(self.decide, change.key)
        elif change.key.resource in {CLAIMS, SECRETS, CONFIG_MAPS}:
            for pod in self._store.each(PODS, change.key.namespace):
                key = Key(PODS, change.key.namespace, pod["metadata"]["name"])
                if key not in self._runs and not is_over(pod):
                    self._control.ask(self.decide, key)

    def decide(self, key: Key) -> None:
        """One step of one pod."""
        pod, run = self._store.peek(key), self._runs.get(key)
        if run is not None and (pod is None or pod["metadata"]["uid"] != run.uid):
            self._stop(run, 0)
        elif pod is None:
            return
        elif is_going(pod):
            if run is not None:
                self._stop(run, pod["metadata"].get("deletionGracePeriodSeconds", 0))
            else:
                self._store.edit(key, status.let_go)
        elif is_over(pod) or run is not None or self._ending:
            return
        elif not pod["spec"].get("nodeName"):
            scheduling.schedule(self._store, key, pod)
        else:
            self._start(key, pod)

    def _start(self, key: Key, pod: Raw) -> None:
        try:
            mounted = self._mounts.prepare(pod)
            for container in pod["spec"]["containers"]:
                self._mounts.environment(pod, container)
        except mounts.NotMountableError as error:
            text = str(error)
            tell(self._store, pod, "FailedMount", text, warning=True)
            self._store.edit(key, lambda obj: status.wait(obj, "ContainerCreating", text))
            return
        run = Run(key, self._store.get(key), self._mounts.home(pod), mounted)
        run.home.mkdir(parents=True, exist_ok=True)
        self._runs[key] = run
        self._tasks.start(("pod", run.uid), self._live(run))

    # one pod

    async def _live(self, run: Run) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for container in run.pod["spec"]["containers"]:
                    name = container["name"]
                    run.states[name] = status.State(container["image"])
                    run.logs[name] = Log(run.home / f"{name}.log")
                    group.create_task(self._keep_running(run, container))
        finally:
            for command in run.commands:
                send_signal(command.pid, signal.SIGKILL)
            for log in run.logs.values():
                log.close()
        self._report(run)
        if run.stopping.is_set():
            self._store.edit(run.key, status.let_go, uid=run.uid)
        await self._forgotten(run)

    async def _forgotten(self, run: Run) -> None:
        """Keep a finished pod's files until its object is gone."""
        gone = asyncio.Event()

        def hear(change: Change) -> None:
            if change.key == run.key and change.type == "DELETED":
                gone.set()

        end = self._store.listen(hear)
        pod = self._store.peek(run.key)
        if pod is not None and pod["metadata"]["uid"] == run.uid:
            if is_going(pod):
                self._store.edit(run.key, status.let_go)
            await gone.wait()
        end()
        self._clear(run)
        del self._runs[run.key]
        self._control.ask(self.decide, run.key)

    def _clear(self, run: Run) -> None:
        for log in run.logs.values():
            log.free()
        shutil.rmtree(run.home, ignore_errors=True)

    async def _keep_running(self, run: Run, container: Raw) -> None:
        state, policy = run.states[container["name"]], run.pod["spec"]["restartPolicy"]
        while not run.stopping.is_set():
            code = await self._run_once(run, container)
            if code is None or policy == "Never" or (policy == "OnFailure" and not code):
                return
            if run.stopping.is_set():
                return
            state.restart()
            self._report(run)
            pause = min(_BACKOFF_S * 2 ** (state.restarts - 1), _LONGEST_BACKOFF_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(run.stopping.wait(), pause)

    async def _run_once(self, run: Run, container: Raw) -> int | None:
        """Run a container to its end; None when it cannot be run at all."""
        name = container["name"]
        state, message = run.states[name], run.home / f"{name}.termination"
        message.write_bytes(b"")
        try:
            process = await self._spawn(run, container, message)
        except images.NotRunnableError as error:
            state.refuse(error.reason, str(error))
            tell(self._store, run.pod, "Failed", str(error), warning=True)
            self._report(run)
            if error.reason == "ErrImagePull":
                await run.stopping.wait()
            return None
        state.run()
        if "httpGet" in container.get("readinessProbe", {}):
            self._tasks.start(("probe", run.uid, name), self._probe(run, container, process))
        else:
            state.ready = True
        self._report(run)
        assert process.stdout is not None  # noqa: S101 - it was asked for
        self._tasks.start(("log", run.uid, name, process.pid), run.logs[name].pump(process.stdout))
        code = await process.wait()
        send_signal(process.pid, signal.SIGKILL)  # whatever it left behind
        del run.processes[name]
        code = 128 - code if code < 0 else code
        state.end(code, message.read_bytes()[:_MESSAGE_LIMIT].decode(errors="replace"))
        return code

    async def _spawn(self, run: Run, container: Raw, message: Path) -> asyncio.subprocess.Process:
        module = images.module_of(container)
        try:
            pairs = mounts.rewrites(container, run.mounted, message)
            own = self._mounts.environment(run.pod, container)
        except mounts.NotMountableError as error:
            raise images.NotRunnableError("CreateContainerConfigError", str(error)) from error
        own = {name: mounts.rewritten(value, pairs) for name, value in own.items()}
        self._publish(run, container, own)
        arguments = [mounts.rewritten(text, pairs) for text in container.get("args") or ()]
        while True:
            async with self._gate:
                if not any(self._frozen[handle] for handle in run.mounted.handles):
                    process = await asyncio.create_subprocess_exec(
                        sys.executable, "-m", "console.sandbox.container",
                        str(os.getpid()), module, *arguments,
                        cwd=run.home, env=mounts.clean_environment(run.home) | own,
                        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                        stderr=asyncio.subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
                    run.processes[container["name"]] = process
                    if run.stopping.is_set():
                        send_signal(process.pid, signal.SIGKILL)
                    return process
                thawed = self._thawed
            await thawed.wait()

    def _publish(self, run: Run, container: Raw, own: dict[str, str]) -> None:
        """Give the container's ports free real ones; PORT follows."""
        for port in container.get("ports") or ():
            number = str(port["containerPort"])
            run.ports.setdefault(number, _free_port())
            if port.get("name"):
                run.ports.setdefault(port["name"], run.ports[number])
            if own.get("PORT") == number:
                own["PORT"] = str(run.ports[number])

    async def _probe(self, run: Run, container: Raw, process: asyncio.subprocess.Process) -> None:
        """Ready once the page answered; from then on as long as the process lives."""
        probe = container["readinessProbe"]["httpGet"]
        port = run.ports.get(str(probe["port"]), 0)
        while process.returncode is None:
            if await _answers(port, probe.get("path", "/")):
                run.states[container["name"]].ready = True
                self._report(run)
                return
            await asyncio.sleep(_PROBE_S)

    def _report(self, run: Run) -> None:
        def write(obj: Raw) -> None:
            status.write(obj, run.states)
            if run.ports:
                annotations = obj["metadata"].setdefault("annotations", {})
                annotations[PORTS] = msgspec.json.encode(run.ports).decode()

        self._store.edit(run.key, write, uid=run.uid)

    # stopping and freezing

    def _stop(self, run: Run, grace_s: float) -> None:
        if grace_s and run.stopping.is_set():
            return
        run.stopping.set()
        for process in list(run.processes.values()):
            send_signal(process.pid, signal.SIGTERM if grace_s else signal.SIGKILL)
        for command in run.commands if not grace_s else ():
            send_signal(command.pid, signal.SIGKILL)
        if grace_s:
            self._tasks.later(("kill", run.uid), grace_s, lambda: self._stop(run, 0))

    async def end(self) -> None:
        """End every process at once, start none any more, and wait until all are reaped."""
        self._ending = True
        for run in tuple(self._runs.values()):
            self._stop(run, 0)
        async with self._gate:  # one that was just starting sees `stopping` and is killed
            runs = self._runs.values()
            processes = [p for run in runs for p in (*run.processes.values(), *run.commands)]
        for process in processes:
            send_signal(process.pid, signal.SIGKILL)
            await process.wait()

    @contextlib.asynccontextmanager
    async def frozen(self, handle: str) -> AsyncIterator[None]:
        """Stop every process of every pod that mounts the volume, and let none start."""
        async with self._gate:
            self._frozen[handle] += 1
            held = [
                process.pid
                for run in self._runs.values()
                if handle in run.mounted.handles
                for process in run.processes.values()
            ]
            for pid in held:
                self._stopped[pid] += 1
                send_signal(pid, signal.SIGSTOP)
        try:
            for pid in held:
                await stand_still(pid)
            yield
        finally:
            self._frozen[handle] -= 1
            for pid in held:
                self._stopped[pid] -= 1
                if not self._stopped[pid]:
                    del self._stopped[pid]
                    send_signal(pid, signal.SIGCONT)
            self._thawed.set()
            self._thawed = asyncio.Event()

    # commands and logs

    async def exec(self, request: web.BaseRequest, key: Key) -> web.StreamResponse:
        """Answer `pods/<name>/exec`."""
        self._store.get(key)
        run, name = self._runs.get(key), request.query.get("container", "")
        containers = [] if run is None else run.pod["spec"]["containers"]
        found = [c for c in containers if c["name"] == (name or containers[0]["name"])]
        if containers and not found:
            raise faults.bad_request(f"container {name} is not valid for pod {key.name}")
        if run is None or found[0]["name"] not in run.processes:
            raise faults.bad_request(f"pod {key.name} does not have a running container")
        pairs = mounts.rewrites(found[0], run.mounted, run.home / "termination")
        words = executing.argv(request.query.getall("command", []), pairs)
        environment = mounts.clean_environment(run.home)
        command = await executing.begin(request, words, home=run.home, environment=environment)
        run.commands.add(command.process)
        self._tasks.start(
            ("exec", command.process.pid),
            command.live(),
            then=lambda: run.commands.discard(command.process),
        )
        await command.feed()
        return command.socket

    async def log(self, request: web.BaseRequest, key: Key) -> web.StreamResponse:
        """Answer `pods/<name>/log`."""
        self._store.get(key)
        name, tail = request.query.get("container", ""), request.query.get("tailLines")
        run = self._runs.get(key)
        containers = [] if run is None else list(run.logs)
        name = name or (containers[0] if containers else "")
        if run is None or name not in run.logs:
            text = f'container "{name}" in pod "{key.name}" is waiting to start'
            raise faults.bad_request(text)
        lines = None if tail is None else int(tail)
        if request.query.get("follow") not in {"1", "true"}:
            return web.Response(body=run.logs[name].so_far(lines), content_type="text/plain")
        response = web.StreamResponse()
        response.content_type = "text/plain"
        response.enable_chunked_encoding()
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):
            async for data in run.logs[name].follow(lines):
                await response.write(data)
        return response


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {NODE}\r\n\r\n".encode())
        line = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return line.split(b" ")[1:2] in ([b"200"], [b"204"])
