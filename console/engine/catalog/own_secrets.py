"""Secrets of ours in `kubehaven`: one shape for all of them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from console.engine.model.names import (
    ANNOTATION_FULL_NAME,
    LABEL_MANAGED_BY,
    LABEL_ROLE,
    MANAGED_BY,
    NAMESPACE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from console.engine.model.kinds import RawObject


def own_secret(
    name: str,
    *,
    role: str,
    full_name: str,
    data: Mapping[str, bytes],
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    owner: RawObject | None = None,
    immutable: bool = False,
) -> RawObject:
    """A Secret in `kubehaven`.

    Args:
        role: What it is for; the label by which its like are listed.
        full_name: What `kh-<12 hex>` stands for.
        owner: An owner reference; the garbage collector takes the Secret with its last owner.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_ROLE: role, **(labels or {})},
        "annotations": {ANNOTATION_FULL_NAME: full_name, **(annotations or {})},
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    secret: RawObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata,
        "data": {field: base64.b64encode(value).decode() for field, value in data.items()},
    }
    return {**secret, "immutable": True} if immutable else secret
