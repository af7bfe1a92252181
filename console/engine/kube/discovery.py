"""Which kinds a cluster serves.

One request where the server lists everything at once (1.26 and newer), else one per group
and version. A group whose server is down is reported, and hides no other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from console.engine.errors import ClusterError, NotFound
from console.engine.kube.listing import read_json
from console.engine.kube.request import Request
from console.engine.model.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from console.engine.kube.connection import Connection

AT_ONCE = 8
_AGGREGATED = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
)


class ServedKind(NamedTuple):
    """One kind in one version; `preferred` in exactly one version of each."""

    kind: Kind
    verbs: tuple[str, ...]
    preferred: bool
    subresources: tuple[str, ...] = ()


class BrokenGroup(NamedTuple):
    """A group and version that could not be asked: its own server is down."""

    api_version: str
    message: str


class Discovered(tuple[ServedKind, ...]):
    """All served kinds, sorted; `broken` names what could not be asked."""

    broken: tuple[BrokenGroup, ...] = ()


class _Version(NamedTuple):
    group: str
    version: str
    kinds: tuple[ServedKind, ...]
    problem: str = ""


async def discover(connection: Connection) -> Discovered:
    """Every kind of every group, and the groups that could not be asked.

    Raises:
        ClusterError: The list of groups itself could not be read.
    """
    core, groups = await asyncio.gather(_root(connection, "/api"), _root(connection, "/apis"))
    versions = [version for part in (core, groups) for version in part]
    found = Discovered(sorted(_with_preference(versions)))
    found.broken = tuple(
        BrokenGroup(Kind(one.group, one.version, "", "").api_version, one.problem)
        for one in versions
        if one.problem
    )
    return found


def _with_preference(versions: Iterable[_Version]) -> Iterator[ServedKind]:
    """The first version that serves a kind is the preferred one."""
    seen: set[tuple[str, str]] = set()
    for version in versions:
        for served in version.kinds:
            key = (served.kind.group, served.kind.plural)
            yield served._replace(preferred=key not in seen)
            seen.add(key)


class _Body(msgspec.Struct):
    kind: str = ""
    items: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    versions: list[str] = []


async def _root(connection: Connection, path: str) -> list[_Version]:
    request = Request(
        method="GET", path=path, accept=f"{_AGGREGATED},application/json", subject="discovery"
    )
    body = read_json(await connection.send(request), _Body, request.subject)
    if body.kind == "APIGroupDiscoveryList":
        return [one for item in body.items for one in _aggregated(item)]
    wanted = [("", version) for version in body.versions]
    for group in body.groups:
        wanted += [(group["name"], version) for version in _ordered(group)]
    limit = asyncio.Semaphore(AT_ONCE)
    return list(await asyncio.gather(*(_one(connection, *pair, limit) for pair in wanted)))


def _ordered(group: dict[str, Any]) -> list[str]:
    preferred = group.get("preferredVersion", {}).get("version")
    versions = [one["version"] for one in group.get("versions") or ()]
    return sorted(versions, key=lambda version: version != preferred)


async def _one(
    connection: Connection, group: str, version: str, limit: asyncio.Semaphore
) -> _Version:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    request = Request(method="GET", path=path, subject="discovery", patient=False)
    async with limit:
        try:
            body = read_json(await connection.send(request), dict[str, Any], request.subject)
        except NotFound:
            return _Version(group, version, ())  # went since the groups were listed
        except ClusterError as error:
            return _Version(group, version, (), error.message)
    resources = body.get("resources") or ()
    parts: dict[str, list[str]] = {}
    for one in resources:
        plural, slash, part = one["name"].partition("/")
        if slash:
            parts.setdefault(plural, []).append(part)
    kinds = tuple(
        ServedKind(
            Kind(group, version, one["name"], one["kind"], bool(one["namespaced"])),
            tuple(one.get("verbs") or ()),
            preferred=False,
            subresources=tuple(parts.get(one["name"], ())),
        )
        for one in resources
        if "/" not in one["name"]
    )
    return _Version(group, version, kinds)


def _aggregated(item: dict[str, Any]) -> Iterator[_Version]:
    group = item.get("metadata", {}).get("name", "")
    for one in item.get("versions") or ():
        version = one["version"]
        kinds = tuple(
            ServedKind(
                Kind(
                    group,
                    version,
                    resource["resource"],
                    resource["responseKind"]["kind"],
                    resource.get("scope") == "Namespaced",
                ),
                tuple(resource.get("verbs") or ()),
                preferred=False,
                subresources=tuple(
                    part["subresource"] for part in resource.get("subresources") or ()
                ),
            )
            for resource in one.get("resources") or ()
            if resource.get("responseKind", {}).get("kind")
        )
        stale = one.get("freshness") == "Stale"
        yield _Version(group, version, kinds, "its own server does not answer" if stale else "")
