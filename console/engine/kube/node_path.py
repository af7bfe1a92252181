"""Opens the workers' namespace for reading volumes on their pods' nodes, where one asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.model.kinds import NAMESPACES, SETTINGS
from console.engine.model.names import WORKERS_NAMESPACE
from console.engine.plan.raw import part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.kube.manifests import Wanted
    from console.engine.model.kinds import RawObject

_LEVELS = ("pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn")


def with_node_path(
    objects: Iterable[Wanted], settings: RawObject | None, *, asked: bool
) -> tuple[Wanted, ...]:
    """What is wanted when node paths are allowed: by the Settings, or asked for now.

    Args:
        settings: As they are in the cluster; all that a user has set stays.
    """
    allowed = part(settings or {}, "spec", "nodePath").get("allowed") is True
    if not allowed and not asked:
        return tuple(objects)
    return tuple(
        _allowing(one, settings)
        if one.kind == SETTINGS and not allowed
        else _admitting(one)
        if (one.kind, one.name) == (NAMESPACES, WORKERS_NAMESPACE)
        else one
        for one in objects
    )


def _allowing(one: Wanted, settings: RawObject | None) -> Wanted:
    spec = part(settings or one.obj, "spec")
    merged = {**spec, "nodePath": {**part(spec, "nodePath"), "allowed": True}}
    # it is the user's, but this change was asked for
    return one._replace(obj={**one.obj, "spec": merged}, once=False)


def _admitting(one: Wanted) -> Wanted:
    """Pod Security admits hostPath volumes at *privileged* only."""
    metadata = part(one.obj, "metadata")
    labels = {**part(metadata, "labels"), **dict.fromkeys(_LEVELS, "privileged")}
    return one._replace(obj={**one.obj, "metadata": {**metadata, "labels": labels}})
