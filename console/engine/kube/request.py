"""One request to the API as a value, and the paths of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from console.engine.model.names import FIELD_MANAGER

if TYPE_CHECKING:
    from console.engine.model.kinds import Kind, RawObject

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send. `subject` is what errors are about: `<kind> <namespace>/<name>`."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    subject: str = ""
    timeout_s: float = 0.0  # 0 = the usual
    patient: bool = True  # try again where that is safe
    streams: bool = False  # the answer is not read to its end


def path_of(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of a kind's list, or of one object, or of a part of it.

    Raises:
        ValueError: One object of a namespaced kind is asked for without its namespace.
    """
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    if kind.namespaced and name and not namespace:
        raise ValueError(f"{kind.kind} {name} needs a namespace")
    scope = f"/namespaces/{_safe(namespace)}" if kind.namespaced and namespace else ""
    path = f"{root}{scope}/{kind.plural}"
    if name:
        path += f"/{_safe(name)}"
    return f"{path}/{subresource}" if subresource else path


def subject_of(kind: Kind, namespace: str = "", name: str = "") -> str:
    """How errors name an object."""
    where = "/".join(part for part in (namespace if kind.namespaced else "", name) if part)
    return f"{kind.kind} {where}".rstrip()


def names_of(obj: RawObject) -> tuple[str, str]:
    """An object's name and namespace, empty where it has none."""
    metadata = obj["metadata"]
    return metadata.get("name", ""), metadata.get("namespace", "")


def write_options(*, dry_run: bool = False, strict: bool = False) -> tuple[tuple[str, str], ...]:
    """The query of a write; a strict one is refused where the schema would drop a field."""
    return (
        ("fieldManager", FIELD_MANAGER),
        *((("dryRun", "All"),) if dry_run else ()),
        *((("fieldValidation", "Strict"),) if strict else ()),
    )


def _safe(part: str) -> str:
    if part in {".", ".."}:
        raise ValueError(f"{part!r} is no name")
    return quote(part, safe="")
