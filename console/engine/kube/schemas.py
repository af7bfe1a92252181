"""Whether a cluster's CRDs know every field that this engine writes.

An API server drops what a schema does not know, without a word: an engine that drove on would
lose parts of its record.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from console.engine.errors import EngineError
from console.engine.kube.manifests import wanted
from console.engine.model.kinds import CRDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.engine.kube.client import KubeClient
    from console.engine.model.kinds import RawObject


async def refuse_outdated(client: KubeClient) -> None:
    """Nothing where every field is known.

    Raises:
        EngineError: `cluster.outdated`.
    """
    shipped = [one for one in await asyncio.to_thread(wanted) if one.kind == CRDS]
    found = await asyncio.gather(*(client.find(CRDS, one.name) for one in shipped))
    lacks = [
        f"{one.obj['spec']['names']['kind']}{path}"
        for one, there in zip(shipped, found, strict=True)
        for path in unknown_fields(one.obj, there or {})
    ]
    if lacks:
        more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        raise EngineError(
            f"the cluster was prepared by an older Kubehaven: it does not know {lacks[0]}{more}",
            hint="see what changes with: kubehaven cluster prepare",
            code="cluster.outdated",
        )


def unknown_fields(crd: RawObject, there: RawObject) -> Iterator[str]:
    """The fields of a shipped CRD that the one in a cluster lacks, as `.spec.hooks`."""
    served = {one["name"]: one for one in there.get("spec", {}).get("versions", ())}
    for version in crd["spec"]["versions"]:
        if version["name"] not in served:
            yield f" {version['name']}"
            continue
        yield from _lacking(_schema(version), _schema(served[version["name"]]), "")


def _schema(version: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = version.get("schema", {}).get("openAPIV3Schema", {})
    return schema


def _lacking(want: dict[str, Any], have: dict[str, Any], path: str) -> Iterator[str]:
    if have.get("x-kubernetes-preserve-unknown-fields"):
        return
    known = have.get("properties", {})
    for name, field in want.get("properties", {}).items():
        if name in known:
            yield from _lacking(field, known[name], f"{path}.{name}")
        elif path or name not in {"apiVersion", "kind", "metadata"}:  # those every object has
            yield f"{path}.{name}"
    for part in ("items", "additionalProperties"):
        if isinstance(want.get(part), dict):
            inner = have.get(part)
            yield from _lacking(want[part], inner if isinstance(inner, dict) else {}, f"{path}[]")
