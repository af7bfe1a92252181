"""The API, our rights, snapshots, and whether worker pods are let in and get their image."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from console.engine.aiokit import SystemClock, side_by_side
from console.engine.checks.probes import admit, try_out, volume_probe
from console.engine.model.kinds import (
    CSI_DRIVERS,
    EVENTS,
    LIMIT_RANGES,
    PODS,
    QUOTAS,
    SNAPSHOT_CLASSES,
    STORAGE_CLASSES,
)
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.model.views import Blocker
from console.engine.plan.check_plan import (
    RIGHTS,
    Verdict,
    ahead_of,
    clock_verdict,
    crds_verdict,
    csi_classes,
    rights_verdict,
    room_verdict,
    snapshots_verdict,
    version_verdict,
)
from console.engine.plan.claims import choose_class
from console.engine.plan.jobs import image_of
from console.engine.plan.raw import name_of, text

if TYPE_CHECKING:
    from console.engine.checks.board import Board
    from console.engine.model.kinds import RawObject
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive
    from console.engine.volumes.jobs import WorkerResult

AT_ONCE = 8
VERSION, RIGHT, CRD, CLOCK = "api.version", "api.rights", "api.crds", "clock.here"
SNAPSHOTS, SNAPSHOT_CLASS = "snapshot.api", "snapshot.class"
ROOM, ADMISSION, IMAGE, NODE = "workers.room", "workers.admission", "workers.image", "clock.node"


class ApiCheck:
    """What is found out without any pod."""

    def __init__(self, drive: Drive, user: str) -> None:
        self._drive = drive
        self._client = drive.client
        self._user = user
        self.classes: list[RawObject] = []  # storage classes with a CSI driver
        self.others: list[str] = []  # names of those without

    async def run(self, board: Board) -> None:
        """Carry them out."""
        await board.run(VERSION, self._version)
        await board.run(CLOCK, self._clock)
        await board.run(RIGHT, self._rights)
        await board.run(CRD, self._crds)
        known = await board.run(SNAPSHOTS, self._snapshots)
        self.classes, self.others = csi_classes(
            await self._client.list(STORAGE_CLASSES), await self._client.list(CSI_DRIVERS)
        )
        for driver in sorted({text(raw, "provisioner") for raw in self.classes}):
            if known:
                await board.run(
                    SNAPSHOT_CLASS, partial(self._snapshot_class, driver), subject=driver
                )
            else:
                board.skip(SNAPSHOT_CLASS, f"needs {SNAPSHOTS}", subject=driver)
        await board.run(ROOM, self._room)

    async def _version(self) -> Verdict:
        return version_verdict(await self._client.version())

    async def _clock(self) -> Verdict:
        await self._client.version()  # its Date is as fresh as can be
        ahead_s = (SystemClock().now() - await self._client.server_time()).total_seconds()
        return clock_verdict(ahead_s, "this machine's clock")

    async def _rights(self) -> Verdict:
        client = self._client
        asked = [partial(client.may, None, r.verb, r.kind, r.namespace) for r in RIGHTS]
        answers = await side_by_side(asked, at_once=AT_ONCE)
        missing = [r for r, allowed in zip(RIGHTS, answers, strict=True) if not allowed]
        return rights_verdict(missing, self._user)

    async def _crds(self) -> Verdict:
        return crds_verdict({one.kind for one in await self._client.discover()})

    async def _snapshots(self) -> Verdict:
        return snapshots_verdict({one.kind for one in await self._client.discover()})

    async def _snapshot_class(self, driver: str) -> Verdict:
        chosen = choose_class(driver, await self._client.list(SNAPSHOT_CLASSES))
        if isinstance(chosen, Blocker):
            # without one its volumes can't be backed up; with several somebody has to choose
            none = chosen.code == "snapshot.no_class"
            words = (chosen.message, chosen.hint, chosen.code)
            return Verdict("warning", *words) if none else Verdict("failed", *words)
        return Verdict("ok", f"VolumeSnapshotClass {name_of(chosen)}")

    async def _room(self) -> Verdict:
        return room_verdict(
            await self._client.list(QUOTAS, WORKERS_NAMESPACE),
            await self._client.list(LIMIT_RANGES, WORKERS_NAMESPACE),
            self._drive.settings.workers,
        )


class PodCheck:
    """Whether worker pods are let in, get their image, and run where the time is right."""

    def __init__(self, drive: Drive, origin: Origin) -> None:
        self._drive = drive
        self._request = volume_probe(origin, "", step="image", subject="worker")
        self._pulled = ""
        self._node = ""
        self._ahead_s = 0.0
        self._began_s = 0.0

    async def run(self, board: Board) -> str:
        """Carry them out; the name of the check that failed, without which no pod can be tried."""
        if not await board.run(ADMISSION, self._admission):
            for check in (IMAGE, NODE):
                board.skip(check, f"needs {ADMISSION}")
            return ADMISSION
        if not await board.run(IMAGE, self._image):
            board.skip(NODE, f"needs {IMAGE}")
            return IMAGE
        await board.run(NODE, self._clock)
        return ""

    async def _admission(self) -> Verdict:
        if not await admit(self._drive, self._request):
            return Verdict("skipped", "we may not make pods ourselves; the Job controller may")
        return Verdict("ok", f"a worker's pod is let into {WORKERS_NAMESPACE}")

    async def _image(self) -> Verdict:
        image = image_of(self._drive.settings.workers)
        self._began_s = (await self._drive.client.server_time()).timestamp()
        began_s = time.monotonic()
        await try_out(self._drive, self._request, on_result=self._note)
        took_s = time.monotonic() - began_s
        how = self._pulled or "it was there"
        return Verdict("ok", f"{image} ran on {self._node}: {how}; {took_s:.1f} s in all")

    async def _note(self, result: WorkerResult) -> None:
        client = self._drive.client
        ended_s = (await client.server_time()).timestamp()
        self._ahead_s = ahead_of(result.clock, earliest_s=self._began_s, latest_s=ended_s)
        labels = f"job-name={self._request.name}"
        for pod in await client.list(PODS, WORKERS_NAMESPACE, labels=labels):
            self._node = text(pod, "spec", "nodeName")
            fields = f"involvedObject.uid={pod['metadata']['uid']}"
            for event in await client.list(EVENTS, WORKERS_NAMESPACE, fields=fields):
                if event.get("reason") == "Pulled":
                    self._pulled = str(event.get("message", ""))[:256]

    async def _clock(self) -> Verdict:
        return clock_verdict(self._ahead_s, f"the clock of node {self._node}")
