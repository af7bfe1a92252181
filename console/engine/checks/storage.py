"""One storage class tried out: a volume is written, cut, adopted, cloned, handed over and copied.

Everything is in `kubehaven-workers`, the hand-over too: from one claim of ours to another, which
is what a storage sees of it. No other namespace is touched.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from console.engine.checks.probes import try_out, volume_probe
from console.engine.errors import EngineError, WorkerFailed
from console.engine.model.kinds import CLAIMS, EVENTS, SNAPSHOTS
from console.engine.model.names import ANNOTATION_RESTORED_BY, WORKERS_NAMESPACE
from console.engine.plan.check_plan import Verdict
from console.engine.plan.snapshots import cut_snapshot
from console.engine.plan.stuck import MAX_WORDS
from console.engine.volumes.cutting import (
    adopt,
    cut_volumes,
    cuttable_claims,
    ensure,
)
from console.engine.volumes.handover import (
    hand_over,
    let_volume_go,
    make_work_claim,
    wait_bound,
)

if TYPE_CHECKING:
    from console.engine.checks.board import Board
    from console.engine.model.kinds import RawObject
    from console.engine.model.points import VolumeArtifact
    from console.engine.plan.snapshots import Origin
    from console.engine.volumes.drive import Drive

SIZE = "1Gi"  # the least that many storages make
READY_S = 300.0
WRITE, SNAPSHOT, ADOPT = "volume.write", "volume.snapshot", "volume.adopt"
CLONE, HANDOVER, FILES = "volume.clone", "volume.handover", "volume.files"
STEPS = (WRITE, SNAPSHOT, ADOPT, CLONE, HANDOVER, FILES)

# a class that can't snapshot is no fault of the cluster; its volumes can't be backed up, though
_NO_SNAPSHOT = {"claim.copied_by_export", "claim.no_snapshot", "snapshot.no_crds"}


@dataclass
class ClassCheck:
    """The check of one storage class."""

    drive: Drive
    origin: Origin
    storage_class: str
    templated: bool = False  # its parameters name the claim
    claim: RawObject = field(default_factory=dict)  # what a pod has written to
    cut: VolumeArtifact | None = None
    given: str = ""  # the claim that a clone was handed over to

    async def run(self, board: Board) -> None:
        """Carry all steps out; after one that fails only what does not need it."""
        tries = {
            WRITE: self._write,
            SNAPSHOT: self._snapshot,
            ADOPT: self._adopt,
            CLONE: self._clone,
            HANDOVER: self._hand_over,
            FILES: self._files,
        }
        failed = ""
        if self.templated:
            failed = WRITE
            await board.run(WRITE, _templated, subject=self.storage_class)
        for check in STEPS[self.templated :]:
            needs_nothing_new = check == FILES and bool(self.claim)
            if failed and not needs_nothing_new:
                board.skip(check, f"needs {failed}", subject=self.storage_class)
            elif not await board.run(check, tries[check], subject=self.storage_class):
                failed = failed or check
            if check == SNAPSHOT and not failed and self.cut is None:
                failed = check  # a warning: the class can't snapshot

    async def _write(self) -> Verdict:
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": self.origin.metadata(
                "source", self.storage_class, role="volume", namespace=WORKERS_NAMESPACE
            ),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": SIZE}},
                "storageClassName": self.storage_class,
            },
        }
        made = await ensure(self.drive, CLAIMS, body)
        name = made["metadata"]["name"]
        await self._probe("write", name)
        self.claim = await wait_bound(self.drive, WORKERS_NAMESPACE, name)
        await let_volume_go(self.drive, self.claim)
        return Verdict("ok", f"a claim of {SIZE} was bound, a pod wrote files to it")

    async def _snapshot(self) -> Verdict:
        found = await cuttable_claims(self.drive, [self.claim])
        for blocker in (*found.blockers, *found.told):
            words = (blocker.message, blocker.hint, blocker.code)
            none = blocker.code in _NO_SNAPSHOT
            return Verdict("warning", *words) if none else Verdict("failed", *words)
        (self.cut,) = await cut_volumes(self.drive, found.targets, origin=self.origin)
        return Verdict("ok", f"taken with the class {found.targets[0][1].snapshot_class}")

    async def _adopt(self) -> Verdict:
        cut = self._cut
        await adopt(self.drive, cut, origin=self.origin)
        name = cut.snapshot.name if cut.snapshot else ""
        await self.drive.client.wait_for(
            SNAPSHOTS,
            name,
            WORKERS_NAMESPACE,
            lambda raw: raw.get("status", {}).get("readyToUse") is True,
            timeout_s=READY_S,
        )
        own = cut_snapshot(cut.pvc, origin=self.origin, snapshot_class="")["metadata"]["name"]
        left = await self.drive.client.find(SNAPSHOTS, own, WORKERS_NAMESPACE)
        going = left is None or bool(left["metadata"].get("deletionTimestamp"))
        if not going:
            return Verdict("failed", f"VolumeSnapshot {own} is still there", code="adopt.stays")
        return Verdict("ok", "the snapshot outlives the VolumeSnapshot it was made by")

    async def _clone(self) -> Verdict:
        given = msgspec.structs.replace(self._cut, pvc=self._target)  # whom it will be handed to
        clone = await make_work_claim(self.drive, given, origin=self.origin, step="clone")
        await self._probe("compare", clone)
        await let_volume_go(self.drive, await wait_bound(self.drive, WORKERS_NAMESPACE, clone))
        return Verdict("ok", "a clone of the snapshot holds what was written")

    async def _hand_over(self) -> Verdict:
        metadata = self.origin.metadata(
            "given", self.storage_class, role="volume", namespace=WORKERS_NAMESPACE
        )
        metadata["annotations"][ANNOTATION_RESTORED_BY] = self.origin.action_uid
        target = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": metadata,
            "spec": self.claim["spec"],
        }
        await hand_over(self.drive, target, origin=self.origin, step="clone")
        self.given = self._target
        await self._probe("compare", self.given, step="given")
        return Verdict("ok", "another claim took the clone's volume over, with its data")

    async def _files(self) -> Verdict:
        claim = self.given or self.claim["metadata"]["name"]
        await self._probe("copy", claim)
        return Verdict("ok", "files were copied into a repository and back, owners and modes too")

    @property
    def _target(self) -> str:
        return self.origin.name("given", self.storage_class)

    @property
    def _cut(self) -> VolumeArtifact:
        if self.cut is None:
            raise AssertionError("there is a cut: later steps are skipped without one")
        return self.cut

    async def _probe(self, what: str, claim: str, *, step: str = "") -> None:
        request = volume_probe(
            self.origin, what, step=step or what, subject=self.storage_class, claim=claim
        )
        try:
            await try_out(self.drive, request)
        except WorkerFailed as error:
            words = await self._words(claim)
            if not words or error.code.startswith("probe."):
                raise
            raise EngineError(
                f"{error.message}; of the claim: {words}",
                subject=f"StorageClass {self.storage_class}",
                hint="see the CSI driver's log, and the class's parameters and Secrets",
                code="volume.not_made",
            ) from error

    async def _words(self, claim: str) -> str:
        """What the storage says of a claim that has no volume."""
        raw = await self.drive.client.find(CLAIMS, claim, WORKERS_NAMESPACE)
        if raw is None or raw.get("status", {}).get("phase") == "Bound":
            return ""
        fields = f"involvedObject.uid={raw['metadata']['uid']},type=Warning"
        events = await self.drive.client.list(EVENTS, WORKERS_NAMESPACE, fields=fields)
        events.sort(key=lambda event: str(event.get("lastTimestamp") or ""))
        return str(events[-1].get("message", ""))[:MAX_WORDS] if events else ""


async def _templated() -> Verdict:
    return Verdict(
        "warning",
        "the class's parameters name the claim (${pvc.…}): a volume can't be filled elsewhere and "
        "handed over, so nothing is restored with this class",
        "map it to another class when you restore",
        "class.templated",
    )
