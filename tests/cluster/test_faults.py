"""The cluster breaks under an action: it ends as it should, nothing is left, and all thaws."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.cluster.bed.breaking import killed, paused, unplugged
from tests.cluster.box import HOOK, Box, desk_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from console.engine import ActionRef, ActionView
    from tests.cluster.bed.places import Cluster

    Fault = Callable[[Cluster], AbstractContextManager[None]]

FAULTS: dict[str, tuple[Fault, float, tuple[str, ...]]] = {
    "etcd hangs": (partial(paused, program="etcd"), 3.0, ("backup", "restore")),
    "the API server is killed": (partial(killed, program="kube-apiserver"), 1.0, ("export",)),
    "the kubelet is killed": (partial(killed, program="kubelet"), 1.0, ("export",)),
    "the network is cut": (unplugged, 4.0, ("backup", "export")),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_what_is_struck_in_its_midst_goes_on(box: Box, bed_one: Cluster, name: str) -> None:
    """While it cuts a frozen application, while its worker begins, while it fills."""
    fault, for_s, actions = FAULTS[name]
    target = f"{box.namespace}-{uuid.uuid4().hex[:4]}"
    box.data("kept")
    async with desk_at(box) as desk:

        async def ends_well(ref: ActionRef) -> ActionView:
            row = await desk.complete(ref)
            await desk.mended()
            await desk.nothing_is_left(ref)
            return row

        def strike(action: str, at: str) -> None:
            if action in actions:
                desk.strike(partial(fault, bed_one), at=at, for_s=for_s)

        strike("backup", "/volumesnapshots")
        backup = await ends_well(await desk.back_up(hooks=(HOOK,)))
        assert not await asyncio.to_thread(box.is_frozen)
        if "export" in actions:
            strike("export", "/jobs")
            await ends_well(await desk.export(backup))
        if "restore" in actions:
            strike("restore", "/persistentvolumeclaims")
            try:
                await ends_well(await desk.restore(backup.point, target=target))
                assert await asyncio.to_thread(box.data, "", target) == "kept"
            finally:
                box.cluster.kubectl("delete", "namespace", target, "--wait=false")
