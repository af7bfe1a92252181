"""What the sandbox says about itself: version, groups, resources, and just enough OpenAPI."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw, Registry, Resource

VERSION = "v1.34.0-sandbox"


def answer(path: str, registry: Registry, address: str) -> Raw | None:
    """The document at a discovery path; None when the path is not one."""
    match path.strip("/").split("/"):
        case ["version"]:
            return _version()
        case ["api"]:
            server = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
            return {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [server],
            }
        case ["api", "v1"]:
            return _resources("v1", [r for r in registry.all() if not r.group])
        case ["apis"]:
            groups = [_group(name, versions) for name, versions in _groups(registry).items()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group]:
            versions = _groups(registry).get(group)
            if versions is None:
                return None
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}
        case ["apis", group, version]:
            found = [r for r in registry.all() if (r.group, r.version) == (group, version)]
            return _resources(f"{group}/{version}", found) if found else None
        case ["openapi", "v3", *rest]:
            return _openapi("/".join(rest), registry)
        case _:
            return None


def _version() -> Raw:
    return {
        "major": "1",
        "minor": "34",
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2025-08-27T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "sandbox/python",
    }


def _groups(registry: Registry) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for resource in registry.all():
        if resource.group:
            groups[resource.group].add(resource.version)
    return groups


def _group(name: str, versions: set[str]) -> Raw:
    listed = [{"groupVersion": f"{name}/{v}", "version": v} for v in sorted(versions)]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(group_version: str, found: list[Resource]) -> Raw:
    rows = [row for resource in found for row in _rows(resource)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": rows,
    }


def _rows(resource: Resource) -> list[Raw]:
    row: Raw = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        row["shortNames"] = list(resource.short)
    if resource.categories:
        row["categories"] = list(resource.categories)
    under: list[tuple[str, str, Raw]] = []
    if resource.status:
        under.append(("status", resource.kind, {}))
    if resource.scale:
        under.append(("scale", "Scale", {"group": "autoscaling", "version": "v1"}))
    rows = [
        {
            "name": f"{resource.plural}/{name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": kind,
            "verbs": ["get", "patch", "update"],
            **more,
        }
        for name, kind, more in under
    ]
    if resource.id == "pods":
        log = {"name": "pods/log", "singularName": "", "namespaced": True, "kind": "Pod"}
        options = {"group": "", "version": "v1", "kind": "PodExecOptions"}
        rows.append({**log, "verbs": ["get"]})
        rows.append({**log, "name": "pods/exec", **options, "verbs": ["get"]})
    return [row, *rows]


def _openapi(path: str, registry: Registry) -> Raw | None:
    """No schemas: only that patches take `fieldValidation`, which kubectl apply looks for."""
    by_version: dict[str, list[Resource]] = defaultdict(list)
    for resource in registry.all():
        prefix = "apis" if resource.group else "api"
        by_version[f"{prefix}/{resource.api_version}"].append(resource)
    if not path:
        urls = {name: {"serverRelativeURL": f"/openapi/v3/{name}"} for name in by_version}
        return {"paths": urls}
    if path not in by_version:
        return None
    paths: dict[str, Any] = {}
    for resource in by_version[path]:
        home = "namespaces/{namespace}/" if resource.namespaced else ""
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        parameters = [{"name": name, "in": "query"} for name in ("dryRun", "fieldValidation")]
        paths[f"/{path}/{home}{resource.plural}/{{name}}"] = {
            "patch": {"parameters": parameters, "x-kubernetes-group-version-kind": kind}
        }
    info = {"title": "Kubehaven sandbox", "version": VERSION}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
