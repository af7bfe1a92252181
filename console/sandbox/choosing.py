"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from console.sandbox import faults
from console.sandbox.kinds import Raw

Chooses = Callable[[Raw], bool]

_TERM = re.compile(
    r"""\s*(?:
      (?P<absent>!)\s*(?P<key0>[\w./-]+)
    | (?P<key1>[\w./-]+)\s+(?P<set>in|notin)\s*\((?P<values>[^)]*)\)
    | (?P<key2>[\w./-]+)\s*(?P<op>==|=|!=|>|<)\s*(?P<value>[\w.:/-]*)
    | (?P<key3>[\w./-]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_FIELDS = {
    "pods": ("spec.nodeName", "status.phase", "spec.restartPolicy", "status.podIP"),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "events": (
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion")),
        "involvedObject.fieldPath",
        "involvedObject.resourceVersion",
        "reason",
        "type",
        "source",
    ),
    "jobs.batch": ("status.successful",),
}


def labels(selector: str) -> Chooses:
    """The predicate of a label selector in query form; '' chooses all."""
    terms: list[Callable[[dict[str, str]], bool]] = []
    at = 0
    while at < len(selector):
        term = _TERM.match(selector, at)
        if term is None:
            raise faults.bad_request(f"unable to parse requirement: {selector[at:]!r}")
        terms.append(_requirement(term))
        at = term.end()
    return lambda obj: all(term(obj["metadata"].get("labels") or {}) for term in terms)


def _requirement(term: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    found = {name: value for name, value in term.groupdict().items() if value is not None}
    key = next(value for name, value in found.items() if name.startswith("key"))
    if "absent" in found:
        return lambda have: key not in have
    if "set" in found:
        values = {value.strip() for value in found["values"].split(",")}
        if found["set"] == "in":
            return lambda have: have.get(key) in values
        return lambda have: have.get(key) not in values
    if "op" not in found:
        return lambda have: key in have
    return _compared(key, found["op"], found.get("value", ""))


def _compared(key: str, op: str, value: str) -> Callable[[dict[str, str]], bool]:
    if op == "!=":
        return lambda have: have.get(key) != value
    if op in {"=", "=="}:
        return lambda have: have.get(key) == value
    if not value.lstrip("-").isdigit():
        raise faults.bad_request("for 'Gt', 'Lt' operators, the value must be an integer")
    limit = int(value)

    def beyond(have: dict[str, str]) -> bool:
        number = have.get(key, "")
        if not number.lstrip("-").isdigit():
            return False
        return int(number) > limit if op == ">" else int(number) < limit

    return beyond


def matches(selector: Raw | None, have: dict[str, str] | None) -> bool:
    """Whether labels match a selector in object form; an empty one matches all, None nothing."""
    if selector is None:
        return False
    have = have or {}
    wanted: dict[str, str] = selector.get("matchLabels") or {}
    return all(have.get(key) == value for key, value in wanted.items()) and all(
        _expression(term, have) for term in selector.get("matchExpressions") or ()
    )


def _expression(term: Raw, have: dict[str, str]) -> bool:
    key, values = term["key"], term.get("values") or []
    match term["operator"]:
        case "In":
            return have.get(key) in values
        case "NotIn":
            return have.get(key) not in values
        case "Exists":
            return key in have
        case _:
            return key not in have


def fields(selector: str, resource_id: str) -> Chooses:
    """The predicate of a field selector; ApiError 400 for a field that is not served."""
    terms: list[tuple[str, str, bool]] = []
    for text in filter(None, selector.split(",")):
        field, op, value = re.split(r"(!=|==|=)", text, maxsplit=1) if "=" in text else ("",) * 3
        if not op:
            raise faults.bad_request(f"invalid field selector: {text!r}")
        served = ("metadata.name", "metadata.namespace", *_FIELDS.get(resource_id, ()))
        if field not in served:
            raise _unknown_field(field, resource_id)
        terms.append((field, value, op != "!="))
    return lambda obj: all(
        (str(value_at(obj, field) or "") == value) == equal for field, value, equal in terms
    )


def _unknown_field(field: str, resource_id: str) -> faults.ApiError:
    if resource_id in _FIELDS:
        return faults.bad_request(f"field label not supported: {field}")
    names = 'only "metadata.name", "metadata.namespace"'
    return faults.bad_request(f'"{field}" is not a known field selector: {names}')


def value_at(obj: Any, path: str) -> Any:
    """The value at a dotted path; None when something on the way is missing."""
    for name in path.split("."):
        if not isinstance(obj, dict):
            return None
        obj = obj.get(name)
    return obj
