"""The rights that a shipped role gives, as the sandbox knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.kube.manifests import wanted
from console.sandbox.access import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator


def rules_of(name: str, *, where: tuple[str, ...] = ("*",)) -> Iterator[Rule]:
    """What a ClusterRole (bound in the namespaces `where`) and the Roles of its name allow."""
    for one in wanted():
        if one.kind.plural in {"clusterroles", "roles"} and one.name == name:
            for rule in one.obj["rules"]:
                yield Rule(
                    tuple(rule["verbs"]),
                    tuple(rule["apiGroups"]),
                    tuple(rule["resources"]),
                    (one.namespace,) if one.namespace else where,
                    tuple(rule.get("resourceNames", ("*",))),
                )
