"""The Lease that says which engine drives a cluster. It is a hint: safety is in the writes.

Taken, renewed and given back by a thread with an event loop and a connection of its own, so
that a busy loop elsewhere can't lose it. Whether it still holds is asked of a clock that
counts suspend; whether another's has expired, of the API server's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import math
import secrets
import socket
import sys
import threading
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from console.engine.aiokit import SystemClock
from console.engine.errors import (
    AlreadyExists,
    Conflict,
    DrivenElsewhere,
    EngineError,
    LostLease,
    NotFound,
    Unreachable,
)
from console.engine.kube.client import KubeClient
from console.engine.model.kinds import LEASES, RawObject
from console.engine.model.names import LABEL_MANAGED_BY, LEASE, MANAGED_BY, NAMESPACE

if TYPE_CHECKING:
    from console.engine.aiokit import Clock
    from console.engine.kube.access import ClusterAccess

HostKind = Literal["desktop", "cli", "cluster"]

DURATION_S = 30.0
RENEW_S = 10.0
TRIES = 3
RELEASE_S = 5.0

logger = logging.getLogger(__name__)


def holder_id(host_kind: HostKind) -> str:
    """`<host kind>:<user>@<host>/<random>`, another one in each call: call it once a process."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    return f"{host_kind}:{user}@{socket.gethostname()}/{secrets.token_hex(4)}"


def may_take(spec: dict[str, Any], *, holder: str, now: datetime, take_over: bool) -> bool:
    """Whether `holder` may take a Lease as it stands.

    A free one and its own always; an expired one, but that of an in-cluster engine only by
    another such or with `take_over`; a live one of a desktop only with `take_over`; a live one
    of an in-cluster engine never.
    """
    other = spec.get("holderIdentity") or ""
    if other in {"", holder}:
        return True
    in_cluster = other.startswith("cluster:")
    if is_expired(spec, now):
        return take_over or not in_cluster or holder.startswith("cluster:")
    return take_over and not in_cluster


def is_expired(spec: dict[str, Any], now: datetime) -> bool:
    """Whether the holder has not renewed for its Lease's duration."""
    try:
        renewed = datetime.fromisoformat(str(spec["renewTime"]))
    except (KeyError, ValueError):
        return True
    return now > renewed + timedelta(seconds=float(spec.get("leaseDurationSeconds") or 0))


class Lease:
    """One engine's hold on one cluster; for one `acquire` and one `release`.

    Attributes:
        holder: Who we are.
        epoch: Number of this hold, higher than any before it; 0 until acquired.
        lost: Set on the loop of `acquire` when another engine has it, or when it could not be
            renewed in time. Final.
    """

    def __init__(
        self,
        access: ClusterAccess,
        *,
        holder: str,
        duration_s: float = DURATION_S,
        renew_s: float = RENEW_S,
        clock: Clock | None = None,
        name: str = LEASE,
    ) -> None:
        self.holder = holder
        self.epoch = 0
        self.lost = asyncio.Event()
        self._renew_s = renew_s
        self._clock = clock or SystemClock()
        self._keeper = _Keeper(access, holder, duration_s, clock=self._clock, name=name)
        self._thread: threading.Thread | None = None

    @property
    def valid(self) -> bool:
        """Whether the Lease still holds now. Any thread."""
        return self._clock.elapsed_s() < self._keeper.valid_until_s

    def check(self) -> None:
        """Nothing while the Lease holds.

        Raises:
            LostLease: It does not.
        """
        if not self.valid:
            raise LostLease("this engine no longer holds the cluster's Lease", subject=LEASE)

    async def acquire(self, *, take_over: bool = False) -> int:
        """Take the Lease and keep it from now on.

        Returns:
            The epoch.

        Raises:
            DrivenElsewhere: Another engine holds it and may not be pushed aside.
            ClusterError: The Lease can't be read or written.

        Cancel: what was taken meanwhile is given back.
        """
        loop = asyncio.get_running_loop()

        def keep() -> None:
            work = self._keeper.run(take_over=take_over, renew_s=self._renew_s)
            given_back = False
            try:
                with asyncio.Runner(loop_factory=_new_loop) as runner:
                    given_back = runner.run(work)
            finally:
                self._keeper.end()
                if not given_back and not loop.is_closed():
                    loop.call_soon_threadsafe(self.lost.set)

        # A daemon: a process that ends must not hang on an API server that does not answer.
        self._thread = threading.Thread(target=keep, name="kubehaven-lease", daemon=True)
        self._thread.start()
        try:
            self.epoch = await asyncio.wrap_future(self._keeper.taken)
        except EngineError:
            await self.release()
            raise
        except asyncio.CancelledError:
            self._keeper.ask_to_stop()
            raise
        return self.epoch

    async def release(self) -> None:
        """Give the Lease back and end the thread; without effect where it is not held."""
        self._keeper.ask_to_stop()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)


class _Keeper:
    """The thread's part. Only `valid_until_s`, `taken` and `ask_to_stop` are for others."""

    def __init__(
        self, access: ClusterAccess, holder: str, duration_s: float, *, clock: Clock, name: str
    ) -> None:
        self._name = name
        self.taken: Future[int] = Future()
        self.valid_until_s = float("-inf")
        self._stop: Future[None] = Future()
        self._access = access
        self._holder = holder
        self._duration_s = duration_s
        self._clock = clock
        self._lease: RawObject = {}

    def ask_to_stop(self) -> None:
        if not self._stop.done():
            self._stop.set_result(None)

    def end(self) -> None:
        """The thread ends, for whatever reason."""
        self.valid_until_s = float("-inf")
        if not self.taken.done():
            self.taken.set_exception(LostLease("the Lease's thread ended", subject=LEASE))

    async def run(self, *, take_over: bool, renew_s: float) -> bool:
        """Take, renew until asked to stop, give back; false when it was lost."""
        async with KubeClient(self._access, clock=self._clock) as client:
            try:
                async with asyncio.timeout(self._duration_s):
                    await self._take(client, take_over=take_over)
            except (EngineError, TimeoutError) as error:
                self._refuse(error)
                return True
            if self.taken.set_running_or_notify_cancel():
                self.taken.set_result(self._epoch)
            if not await self._renew_until_stopped(client, renew_s):
                return False
            await self._give_back(client)
            return True

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            error = Unreachable("the Lease could not be read in time", subject=LEASE)
        if self.taken.set_running_or_notify_cancel():
            self.taken.set_exception(error)

    async def _take(self, client: KubeClient, *, take_over: bool) -> None:
        for _ in range(TRIES):
            found = await client.find(LEASES, self._name, NAMESPACE)
            now = await client.server_time()
            spec = found.get("spec", {}) if found else {}
            if not may_take(spec, holder=self._holder, now=now, take_over=take_over):
                other = str(spec["holderIdentity"])
                raise DrivenElsewhere("another engine drives this cluster", holder=other)
            with contextlib.suppress(AlreadyExists, Conflict):
                taken = {
                    "holderIdentity": self._holder,
                    "leaseDurationSeconds": max(1, math.ceil(self._duration_s)),
                    "acquireTime": _micro_time(now),
                    "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1,
                }
                await self._write(client, found or _new(self._name), now, **taken)
                return
        raise DrivenElsewhere("another engine was faster", holder="")

    async def _write(
        self, client: KubeClient, lease: RawObject, now: datetime, **spec: object
    ) -> None:
        """Write the Lease with its renewal; it counts from before the request."""
        began_s = self._clock.elapsed_s()
        changed = {
            **lease,
            "spec": {**lease.get("spec", {}), "renewTime": _micro_time(now), **spec},
        }
        write = client.replace if "resourceVersion" in lease["metadata"] else client.create
        self._lease = await write(LEASES, changed)
        self.valid_until_s = began_s + self._duration_s

    async def _renew_until_stopped(self, client: KubeClient, renew_s: float) -> bool:
        stop = asyncio.wrap_future(self._stop)
        pause_s = renew_s
        while not (await asyncio.wait({stop}, timeout=pause_s))[0]:
            pause_s = renew_s
            try:
                async with asyncio.timeout(self._duration_s / 2):
                    await self._renew(client)
            except (LostLease, NotFound):
                logger.warning("the Lease went to another engine")
                return False
            except (EngineError, TimeoutError) as error:
                if self._clock.elapsed_s() >= self.valid_until_s:
                    logger.warning("the Lease ran out: %s", error)
                    return False
                pause_s = renew_s / 5
        return True

    async def _renew(self, client: KubeClient) -> None:
        now = await client.server_time()
        try:
            await self._write(client, self._lease, now)
        except Conflict:
            found = await client.get(LEASES, self._name, NAMESPACE)
            spec = found.get("spec", {})
            mine = (self._holder, self._epoch)
            if (spec.get("holderIdentity"), spec.get("leaseTransitions")) != mine:
                raise LostLease("another engine took the Lease", subject=LEASE) from None
            await self._write(client, found, now)

    async def _give_back(self, client: KubeClient) -> None:
        self.valid_until_s = float("-inf")
        with contextlib.suppress(EngineError, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                lease = {**self._lease, "spec": {**self._lease["spec"], "holderIdentity": ""}}
                await client.replace(LEASES, lease)

    @property
    def _epoch(self) -> int:
        return int(self._lease["spec"]["leaseTransitions"])


def _new(name: str) -> RawObject:
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY},
        },
    }


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _new_loop() -> asyncio.AbstractEventLoop:
    """A plain loop, whatever the main thread's is."""
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop()
