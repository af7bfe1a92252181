"""What every step of an action works with: the cluster, the settings, the slots, the threads."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from console.engine.plan.stuck import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from console.engine.aiokit import BoundedExecutor
    from console.engine.kube import KubeClient
    from console.engine.model.intent import SettingsSpec
    from console.engine.model.record import VolumeProgress
    from console.engine.volumes.slots import SlotTable

NORMAL = Patience()
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Drive:
    """One engine driving one cluster."""

    client: KubeClient
    cluster_uid: str
    holder: str
    epoch: int
    settings: SettingsSpec
    slots: SlotTable
    threads: BoundedExecutor
    on_progress: Callable[[str, tuple[VolumeProgress, ...]], None] = field(
        default=lambda _uid, _volumes: None
    )
    patience: Patience = field(default_factory=lambda: NORMAL)

    @property
    def desktop(self) -> bool:
        """Whether this engine works with the rights of the user who runs it, not with its own."""
        return not self.holder.startswith("cluster:")

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking work in the repository threads; a cancelled thread ends by itself."""
        return await self.threads.run(function, *args, **kwargs)

    async def now(self) -> str:
        """The API server's time, RFC 3339 UTC."""
        return timestamp(await self.client.server_time())


def timestamp(moment: datetime.datetime) -> str:
    """RFC 3339 in UTC, to the second, as the API server writes it."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
