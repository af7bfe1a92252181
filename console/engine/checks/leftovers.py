"""Takes away what a check of a cluster has made: its own, and that of checks that were killed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from console.engine.errors import NotFound
from console.engine.model.kinds import CLAIMS, JOBS, SECRETS, SNAPSHOT_CONTENTS, SNAPSHOTS
from console.engine.model.names import (
    CHECK_UID,
    LABEL_ACTION_UID,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    WORKERS_NAMESPACE,
)
from console.engine.plan.raw import labels_of, name_of
from console.engine.plan.snapshots import Origin
from console.engine.volumes.cutting import discard_attempt
from console.engine.volumes.handover import drop_unfinished
from console.engine.volumes.jobs import clean_up

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.volumes.drive import Drive

GONE_S = 90.0


def origin_of(uid: str) -> Origin:
    """What a check's objects are named and labelled by."""
    return Origin(action_uid=uid, point=uid, application=WORKERS_NAMESPACE)


async def remove(drive: Drive, uid: str) -> None:
    """Take away all that a check has made, and wait until it is gone.

    Raises:
        EngineError: Something can't be removed; the sweeper tries again.
    """
    await drop_unfinished(drive, uid)
    await clean_up(drive, uid)
    await discard_attempt(drive, origin=origin_of(uid))
    labels = f"{LABEL_ACTION_UID}={uid}"
    for kind in (CLAIMS, SNAPSHOTS, SNAPSHOT_CONTENTS):
        with contextlib.suppress(NotFound):  # the kind, or the object by now
            for raw in await drive.client.list(kind, labels=labels):
                namespace = raw["metadata"].get("namespace", "")
                with contextlib.suppress(NotFound):
                    await drive.client.wait_for(
                        kind, name_of(raw), namespace, lambda _raw: False, timeout_s=GONE_S
                    )


async def interrupted(client: KubeClient, *, besides: str) -> list[str]:
    """The uids of checks that left something behind; one check runs at a time."""
    found: set[str] = set()
    for kind in (JOBS, SECRETS, CLAIMS, SNAPSHOTS):
        with contextlib.suppress(NotFound):
            for raw in await client.list(kind, WORKERS_NAMESPACE, labels=LABEL_ACTION_UID):
                found.add(str(labels_of(raw)[LABEL_ACTION_UID]))
    with contextlib.suppress(NotFound):
        ours = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_ACTION_UID}"
        for raw in await client.list(SNAPSHOT_CONTENTS, labels=ours):
            found.add(str(labels_of(raw)[LABEL_ACTION_UID]))
    return sorted(uid for uid in found if uid.startswith(CHECK_UID) and uid != besides)
