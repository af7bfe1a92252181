"""Each location tried from here and from a pod: what a worker can reach is what counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.catalog.locations import open_location, open_location_store, prove_writable
from console.engine.checks.probes import location_probe, try_out
from console.engine.errors import EngineError
from console.engine.model.kinds import LOCATIONS
from console.engine.model.names import NAMESPACE
from console.engine.plan.check_plan import Verdict, ahead_of, clock_verdict
from console.engine.plan.raw import name_of
from console.repository.location_keys import MARKER, LocationMarker
from console.storage import StoreError

if TYPE_CHECKING:
    from console.engine.catalog.locations import OpenLocation
    from console.engine.checks.board import Board
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive
    from console.engine.volumes.jobs import WorkerResult

PATIENCE_S = 10.0
HERE, POD, CLOCK = "location.here", "location.pod", "clock.location"
STEPS = (HERE, POD, CLOCK)


async def check_locations(board: Board, drive: Drive, origin: Origin, *, unfit: str) -> None:
    """Try all locations of the cluster.

    Args:
        unfit: The check that failed and without which no pod can be tried; or nothing.
    """
    found = sorted(await drive.client.list(LOCATIONS, NAMESPACE), key=name_of)
    if not found:
        board.skip(HERE, "no location was added yet")
    for raw in found:
        await _LocationCheck(drive, origin, name_of(raw)).run(board, unfit=unfit)


class _LocationCheck:
    """The check of one location."""

    def __init__(self, drive: Drive, origin: Origin, name: str) -> None:
        self._drive = drive
        self._origin = origin
        self._name = name
        self._result: WorkerResult | None = None
        self._began_s = self._ended_s = 0.0  # the API server's time around the pod's life

    async def run(self, board: Board, *, unfit: str) -> None:
        await board.run(HERE, self._here, subject=self._name)
        if unfit:
            for check in (POD, CLOCK):
                board.skip(check, f"needs {unfit}", subject=self._name)
        elif await board.run(POD, self._from_a_pod, subject=self._name):
            await board.run(CLOCK, self._clock, subject=self._name)
        else:
            board.skip(CLOCK, f"needs {POD}", subject=self._name)

    async def _here(self) -> Verdict:
        """What can't be reached from here is a warning: the bytes go from pods."""
        opened = await open_location(self._drive.client, self._name)
        try:
            await self._drive.in_thread(_prove, opened)
        except StoreError as error:
            return Verdict(
                "warning",
                f"{opened.url} can't be used from here: {error.message}",
                error.hint or "exports and restores don't need it; browsing and adding do",
                error.code,
            )
        return Verdict("ok", f"{opened.url} was written, read and has the location's key")

    async def _from_a_pod(self) -> Verdict:
        opened = await open_location(self._drive.client, self._name)
        self._began_s = (await self._drive.client.server_time()).timestamp()
        await try_out(self._drive, location_probe(self._origin, opened), on_result=self._note)
        how = "read" if opened.location.spec.readOnly else "written and read"
        return Verdict("ok", f"{opened.url} was {how} from a worker pod")

    async def _note(self, result: WorkerResult) -> None:
        self._result = result
        self._ended_s = (await self._drive.client.server_time()).timestamp()

    async def _clock(self) -> Verdict:
        if self._result is None or not self._result.store_clock:
            return Verdict("skipped", "the location does not tell its time")
        return clock_verdict(
            ahead_of(self._result.store_clock, earliest_s=self._began_s, latest_s=self._ended_s),
            "the location's clock",
        )


def _prove(opened: OpenLocation) -> None:
    store = open_location_store(opened.location.spec, opened.credentials, patience_s=PATIENCE_S)
    try:
        if not opened.location.spec.readOnly:
            prove_writable(store)
        marker = LocationMarker.decode(store.get(MARKER))
    finally:
        store.close()
    if not marker.matches(opened.key):
        raise EngineError(
            f"the location was set up with key {marker.key_id}, the cluster has {opened.key.id}",
            subject=f"Location {opened.name}",
            hint="add the location again with its own recovery kit",
            code="location.wrong_key",
        )
