"""No credential of ours is anywhere but in our own namespaces, at any moment of a run."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import TYPE_CHECKING

from console.engine.kube import Changed, Listed
from console.engine.model.kinds import EVENTS, PODS, SECRETS, Kind
from console.engine.model.names import GROUP, NAMESPACE, WORKERS_NAMESPACE
from tests.cluster.box import Box, Desk, desk_at

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

OURS = {NAMESPACE, WORKERS_NAMESPACE}
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap")
ACCOUNTS = Kind("", "v1", "serviceaccounts", "ServiceAccount")
# of a worker's Secret, what is no secret: what it is asked to do, and sealed packs
OPEN = {"job.json", "ca.crt"}
SHORTEST = 12  # bytes: shorter values are found by chance


class Watch:
    """Every version of every object that was there while it watched."""

    def __init__(self) -> None:
        self.seen: list[tuple[Kind, RawObject]] = []
        self.listed: set[Kind] = set()
        self.news = asyncio.Event()

    async def follow(self, desk: Desk, kind: Kind) -> None:
        """Remember what is there and what comes."""
        async for change in desk.client.follow(kind):
            if isinstance(change, Listed):
                self.seen += [(kind, raw) for raw in change.items]
                self.listed.add(kind)
                self.news.set()
            elif isinstance(change, Changed):
                self.seen.append((kind, change.object))

    async def until_listed(self, kinds: set[Kind]) -> None:
        """Until nothing can be missed any more."""
        while self.listed < kinds:
            self.news.clear()
            await self.news.wait()


def values_of(secret: RawObject) -> set[bytes]:
    """What a Secret keeps secret."""
    data = secret.get("data") or {}
    return {base64.b64decode(text) for name, text in data.items() if name not in OPEN}


def spellings(value: bytes) -> set[str]:
    """How a value may stand in an object."""
    found = {base64.b64encode(value).decode(), value.hex()}
    try:
        found.add(json.dumps(value.decode())[1:-1])
    except UnicodeDecodeError:
        found.add(base64.urlsafe_b64encode(value).decode())
    return found


async def test_what_was_there_during_a_backup_an_export_and_a_restore(box: Box) -> None:
    target = f"{box.namespace}-{uuid.uuid4().hex[:4]}"
    kinds = {SECRETS, CONFIG_MAPS, PODS, EVENTS, ACCOUNTS}
    async with desk_at(box) as desk:
        served = {one.kind for one in await desk.client.discover() if one.kind.group == GROUP}
        watch = Watch()
        followed = kinds | {kind for kind in served if "/" not in kind.plural}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(watch.follow(desk, kind)) for kind in followed]
            await watch.until_listed(followed)
            backup = await desk.complete(await desk.back_up())
            export = await desk.complete(await desk.export(backup))
            points = await desk.engine.restore_points.list("bed", application=box.namespace)
            exported = next(p for p in points if p.kind == "exported" and p.id == export.point)
            await desk.complete(await desk.restore(exported.name, target=target))
            for task in tasks:
                task.cancel()
    box.cluster.kubectl("delete", "namespace", target, "--wait=false")

    mine = [raw for kind, raw in watch.seen if kind == SECRETS and where(raw) in OURS]
    values = {value for raw in mine for value in values_of(raw) if len(value) >= SHORTEST}
    wanted = {box.s3.secret_key.encode(), password_of_a_worker(mine)}
    assert wanted <= values, "the test does not know what it looks for"
    secret = {text for value in values if len(value) <= 1024 for text in spellings(value)}
    for kind, raw in watch.seen:
        if kind == SECRETS and where(raw) in OURS:
            continue
        text = json.dumps(raw)
        found = [one for one in secret if one in text]
        assert not found, f"{kind.kind} {where(raw)}/{raw['metadata']['name']}"
        managed = (raw["metadata"].get("labels") or {}).get("app.kubernetes.io/managed-by")
        assert where(raw) in OURS or kind not in {SECRETS, CONFIG_MAPS} or managed != "kubehaven"
    pods = {where(raw) for kind, raw in watch.seen if kind == PODS}
    assert {box.namespace, target, WORKERS_NAMESPACE} <= pods


def password_of_a_worker(secrets: list[RawObject]) -> bytes:
    """The password of a repository, from the Secret of one of the workers."""
    for raw in secrets:
        text = (raw.get("data") or {}).get("password")
        if text and where(raw) == WORKERS_NAMESPACE:
            return base64.b64decode(text)
    raise AssertionError("no worker had a password")


def where(raw: RawObject) -> str:
    """The namespace of an object."""
    return str(raw["metadata"].get("namespace", ""))
