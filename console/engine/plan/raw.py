"""Reading raw objects as the server sent them; every absent or null part reads as empty."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject


class GroupKind(NamedTuple):
    """What an object is, whatever version it was read in."""

    group: str  # "" = core
    kind: str


def part(obj: RawObject, *keys: str) -> dict[str, Any]:
    """The mapping at a path of keys."""
    here: Any = obj
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def items(obj: RawObject, *keys: str) -> list[dict[str, Any]]:
    """The mappings in the list at a path of keys."""
    here = part(obj, *keys[:-1]).get(keys[-1])
    return [item for item in here if isinstance(item, dict)] if isinstance(here, list) else []


def text(obj: RawObject, *keys: str) -> str:
    """The string at a path of keys."""
    here = part(obj, *keys[:-1]).get(keys[-1])
    return here if isinstance(here, str) else ""


def group_kind(obj: RawObject) -> GroupKind:
    """What an object is."""
    return _group_kind(text(obj, "apiVersion"), text(obj, "kind"))


@lru_cache(maxsize=1024)  # asked many times of each of thousands of objects
def _group_kind(api_version: str, kind: str) -> GroupKind:
    group, slash, _ = api_version.rpartition("/")
    return GroupKind(group if slash else "", kind)


def name_of(obj: RawObject) -> str:
    """`metadata.name`."""
    return text(obj, "metadata", "name")


def namespace_of(obj: RawObject) -> str:
    """`metadata.namespace`; empty for what has none."""
    return text(obj, "metadata", "namespace")


def uid_of(obj: RawObject) -> str:
    """`metadata.uid`."""
    return text(obj, "metadata", "uid")


def labels_of(obj: RawObject) -> dict[str, Any]:
    """`metadata.labels`."""
    return part(obj, "metadata", "labels")


def annotations_of(obj: RawObject) -> dict[str, Any]:
    """`metadata.annotations`."""
    return part(obj, "metadata", "annotations")


def controller_of(obj: RawObject) -> tuple[GroupKind, str] | None:
    """What an object's controlling owner is, and its name."""
    for owner in items(obj, "metadata", "ownerReferences"):
        if owner.get("controller") is True:
            return group_kind(owner), text(owner, "name")
    return None


def describe(obj: RawObject) -> str:
    """`<kind> <namespace>/<name>`, as errors name their subject."""
    where = "/".join(part for part in (namespace_of(obj), name_of(obj)) if part)
    return f"{text(obj, 'kind')} {where}"


def pod_specs(obj: RawObject) -> list[dict[str, Any]]:
    """The pod specs inside a workload: a Pod's own, a template's, a CronJob's."""
    kind = group_kind(obj)
    if kind == ("", "Pod"):
        found = part(obj, "spec")
    elif kind == ("batch", "CronJob"):
        found = part(obj, "spec", "jobTemplate", "spec", "template", "spec")
    else:
        found = part(obj, "spec", "template", "spec")
    return [found] if isinstance(found.get("containers"), list) else []
