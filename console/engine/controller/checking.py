"""Checks a connected cluster; one check at a time, which holds a Lease of its own.

The Lease tells the sweeper of any engine whose objects are still needed. A check whose process
was killed loses it within half a minute; then its objects are swept, or the next check takes
them away.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from console.engine.checks.run import check_cluster
from console.engine.errors import DrivenElsewhere, EngineError, Forbidden, NotFound
from console.engine.events import CheckChanged
from console.engine.kube.lease import Lease
from console.engine.model.kinds import SETTINGS
from console.engine.model.names import ANNOTATION_CHECKED, CHECK_LEASE, CHECK_UID, NAMESPACE
from console.engine.model.names import SETTINGS as SETTINGS_NAME
from console.engine.volumes.drive import Drive
from console.engine.volumes.slots import SlotTable

if TYPE_CHECKING:
    from console.engine.controller.session import ClusterSession
    from console.engine.events import EventBus
    from console.engine.kube import ClusterAccess
    from console.engine.model.views import CheckResult, ClusterCheck

log = logging.getLogger(__name__)


async def check(
    session: ClusterSession,
    access: ClusterAccess,
    bus: EventBus,
    *,
    storage_classes: tuple[str, ...],
) -> ClusterCheck:
    """Carry a check out; each result is an event as it begins and ends.

    Raises:
        EngineError: `check.running`: somebody else checks the cluster now.
    """
    settings = await session.settings()
    uid = f"{CHECK_UID}{secrets.token_hex(6)}"
    lease = Lease(access, holder=uid, name=CHECK_LEASE)

    def tell(result: CheckResult) -> None:
        bus.notify(CheckChanged(cluster=session.name, result=result))

    try:
        epoch = await lease.acquire()
    except DrivenElsewhere as error:
        raise EngineError(
            "the cluster is being checked by somebody else",
            subject=session.name,
            hint="wait for its end; one that was killed gives way after half a minute",
            code="check.running",
        ) from error
    try:
        done = await check_cluster(
            Drive(
                client=session.client,
                cluster_uid=session.uid,
                holder=uid,
                epoch=epoch,
                settings=settings,
                slots=SlotTable(settings.slots),
                threads=session.threads,
            ),
            session.name,
            user=session.asker().username,
            storage_classes=storage_classes,
            on_change=tell,
        )
        if not storage_classes:
            await _note(session, done)
    finally:
        await lease.release()
    return done


async def _note(session: ClusterSession, done: ClusterCheck) -> None:
    """Write on the Settings when the whole cluster was checked, and how that went."""
    session.checked = f"{done.ended_at} {done.outcome}"
    merge = {"metadata": {"annotations": {ANNOTATION_CHECKED: session.checked}}}
    try:
        await session.client.patch(SETTINGS, SETTINGS_NAME, NAMESPACE, merge=merge)
    except (Forbidden, NotFound) as error:
        log.warning("the check is not noted in the cluster: %s", error)
