"""What one object owned it owns again after a restore: beside, and in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from console.engine import RestoreRequest
from console.engine.model.kinds import CONFIG_MAPS, SECRETS
from tests.engine.story import CLUSTER, Stage

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.model.kinds import RawObject

pytestmark = pytest.mark.timeout(120)


async def owned(client: KubeClient, namespace: str) -> tuple[RawObject, list[Any]]:
    """The owner, and the references of what it owns."""
    owner = await client.get(CONFIG_MAPS, "owner", namespace)
    child = await client.get(SECRETS, "child", namespace)
    return owner, child["metadata"].get("ownerReferences", [])


def reference(owner: RawObject, **more: bool) -> dict[str, Any]:
    """A reference to an object."""
    same = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    meta = owner["metadata"]
    return {**same, "name": meta["name"], "uid": meta["uid"], **more}


async def make_owned(client: KubeClient) -> RawObject:
    """A ConfigMap of the sample that owns a Secret; the ConfigMap."""
    meta = {"namespace": "visits"}
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    owner = await client.create(CONFIG_MAPS, {**kind, "metadata": {"name": "owner", **meta}})
    own = [reference(owner, controller=True, blockOwnerDeletion=True)]
    made = {"name": "child", "ownerReferences": own, **meta}
    await client.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": made})
    return owner


async def test_owners_come_back_with_their_new_uids(stage: Stage) -> None:
    async with stage.client() as client:
        owner = await make_owned(client)
        own = (await owned(client, "visits"))[1]
        point = (await stage.back_up()).point

        request = RestoreRequest(point=point, target="copy")
        preview = await stage.engine.restore_points.preview(CLUSTER, request)
        child = next(one for one in preview.objects if one.name == "child")
        assert any("set again" in change for change in child.changes)
        assert (await stage.restore(point, target="copy")).outcome == "Complete"
        new, references = await owned(client, "copy")
        assert new["metadata"]["uid"] != owner["metadata"]["uid"]
        assert references == [reference(new, controller=True, blockOwnerDeletion=True)]

        # in place the owner stays, and what it lost comes back to it
        await client.delete(SECRETS, "child", "visits")
        request = RestoreRequest(point=point, in_place=True)
        row = await stage.finished(await stage.engine.actions.restore(CLUSTER, request))
        assert row.outcome == "Complete", row
        assert (await owned(client, "visits"))[1] == own
