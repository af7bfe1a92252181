"""What is shipped for a cluster: every object that *prepare* puts there, in order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from console import __version__, resources_path
from console.engine.errors import EngineError
from console.engine.model import kinds
from console.engine.model.kinds import Kind, RawObject
from console.engine.model.names import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANNOTATION_VERSION = f"{GROUP}/version"  # of the Kubehaven that wrote the object

_ADMISSION = ("admissionregistration.k8s.io", "v1")
_RBAC = ("rbac.authorization.k8s.io", "v1")
ADMISSION_POLICIES = Kind(
    *_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
ADMISSION_BINDINGS = Kind(
    *_ADMISSION,
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
NETWORK_POLICIES = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
_OPENSHIFT = ("security.openshift.io", "v1")
_KINDS = {
    (kind.api_version, kind.kind): kind
    for kind in (
        kinds.CRDS,
        kinds.NAMESPACES,
        kinds.SERVICE_ACCOUNTS,
        kinds.SETTINGS,
        Kind(*_RBAC, "clusterroles", "ClusterRole", namespaced=False),
        Kind(*_RBAC, "roles", "Role"),
        ADMISSION_POLICIES,
        ADMISSION_BINDINGS,
        NETWORK_POLICIES,
        Kind(
            *_OPENSHIFT,
            "securitycontextconstraints",
            "SecurityContextConstraints",
            namespaced=False,
        ),
    )
}
# groups that a cluster may lack, and what that means
_OPTIONAL = {
    _ADMISSION[0]: "needs Kubernetes 1.30 or newer; self-service stays off",
    _OPENSHIFT[0]: "is for OpenShift only",
}


class Wanted(NamedTuple):
    """One object as it shall be; `once` ones are the user's as soon as they are there."""

    kind: Kind
    obj: RawObject
    once: bool = False

    @property
    def name(self) -> str:
        """Of the object."""
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Of the object; empty where it has none."""
        return str(self.obj["metadata"].get("namespace", ""))

    @property
    def absent_because(self) -> str:
        """Why a cluster may not know the kind; empty: every cluster does, once prepared."""
        return _OPTIONAL.get(self.kind.group, "")


def wanted(folder: Path | None = None) -> tuple[Wanted, ...]:
    """What is shipped, in the order in which it must be applied: CRDs, then the rest."""
    root = folder or resources_path()
    found = [
        Wanted(_KINDS[obj["apiVersion"], obj["kind"]], _stamped(obj), once=part == "defaults")
        for part in ("crds", "rbac", "defaults")
        for path in sorted((root / part).glob("*.yaml"))
        for obj in _documents(path)
    ]
    if not found:
        raise EngineError(
            "the manifests that belong to this Kubehaven are missing",
            subject=str(root),
            hint="install it again",
            code="prepare.incomplete",
        )
    return tuple(found)


def prepared_kinds() -> tuple[Kind, ...]:
    """The kinds of everything that *prepare* ever writes, in the order in which they may go."""
    return tuple(reversed(_KINDS.values()))


def is_newer(version: str) -> bool:
    """Whether it is a newer Kubehaven than this one."""
    return _order(version) > _order(__version__)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:4])


def _documents(path: Path) -> Iterator[RawObject]:
    import yaml  # here: only who prepares pays for it

    with path.open("rb") as stream:
        yield from yaml.safe_load_all(stream)


def _stamped(obj: RawObject) -> RawObject:
    metadata = obj["metadata"]
    annotations = {**metadata.get("annotations", {}), ANNOTATION_VERSION: __version__}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}
