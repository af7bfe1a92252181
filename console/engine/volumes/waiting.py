"""Waits for a Job's pods to get stuck, and what the cluster says of it.

A missing image is told in a minute, not after a day.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from console.engine.errors import EngineError
from console.engine.kube import Changed, Listed
from console.engine.model.kinds import EVENTS, PODS
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.plan.stuck import MAX_WORDS, hindrance

if TYPE_CHECKING:
    from collections.abc import Collection

    from console.engine.kube import KubeClient
    from console.engine.model.kinds import RawObject
    from console.engine.plan.stuck import Hindrance, Patience

LOOK_AGAIN_S = 5.0


async def until_stuck(client: KubeClient, job: str, patience: Patience) -> Hindrance:
    """What keeps one of a Job's pods from beginning, once it has done so for too long.

    Waits for as long as the Job lives: a pod that replaces a lost one may get stuck too.

    Cancel: nothing is left behind.
    """
    watch = _Watch(patience)
    reader = asyncio.get_running_loop().create_task(_read(client, job, watch), name=f"stuck:{job}")
    try:
        while True:
            name, code = await watch.ripe.get()
            try:  # what was seen may be old: the watch can be cut off just now
                pod = await client.find(PODS, name, WORKERS_NAMESPACE)
            except EngineError:
                watch.look_again(name, code)
                continue
            found = hindrance(pod, patience) if pod is not None else None
            if found is not None and found.code == code:
                return found
            watch.forget(name)
            if pod is not None:
                watch.see(pod)
    finally:
        reader.cancel()
        watch.close()
        await asyncio.gather(reader, return_exceptions=True)


async def last_words(client: KubeClient, namespace: str, names: Collection[str]) -> str:
    """What the cluster's Events said last of objects of these names; empty when nothing."""
    events = await client.list(EVENTS, namespace)
    told = [e for e in events if e.get("involvedObject", {}).get("name") in names]
    # the order of a list of events says nothing; a warning says more than "Created pod"
    told.sort(key=lambda e: (e.get("type") == "Warning", str(e.get("lastTimestamp") or "")))
    return str(told[-1].get("message", ""))[:MAX_WORDS] if told else ""


class _Watch:
    """One timer for each pod that is kept from beginning."""

    def __init__(self, patience: Patience) -> None:
        self.ripe: asyncio.Queue[tuple[str, str]] = asyncio.Queue()  # name, code
        self._patience = patience
        self._timers: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    def see(self, pod: RawObject) -> None:
        name, found = pod["metadata"]["name"], hindrance(pod, self._patience)
        if found is None:
            self.forget(name)
        elif name not in self._timers or self._timers[name][0] != found.code:
            self._set(name, found.code, found.patience_s)

    def look_again(self, name: str, code: str) -> None:
        self._set(name, code, LOOK_AGAIN_S)

    def _set(self, name: str, code: str, after_s: float) -> None:
        self.forget(name)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(after_s, self.ripe.put_nowait, (name, code))
        self._timers[name] = (code, timer)

    def forget(self, name: str) -> None:
        _, timer = self._timers.pop(name, ("", None))
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for name in tuple(self._timers):
            self.forget(name)


async def _read(client: KubeClient, job: str, watch: _Watch) -> None:
    pods = client.follow(PODS, WORKERS_NAMESPACE, labels=f"job-name={job}")
    async with contextlib.aclosing(pods) as changes:
        async for change in changes:
            if isinstance(change, Listed):
                for pod in change.items:
                    watch.see(pod)
            elif isinstance(change, Changed):
                watch.see(change.object)
