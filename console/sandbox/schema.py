"""Structural schemas of custom resources: prune, fill defaults in, find faults. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from console.sandbox.faults import Cause
from console.sandbox.store import copy_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.sandbox.kinds import Raw

_KEEP = "x-kubernetes-preserve-unknown-fields"
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def complete(schema: Raw, obj: Raw) -> list[str]:
    """Prune unknown fields and fill defaults in, in place; returns the paths pruned."""
    pruned: list[str] = []
    properties = schema.get("properties", {})
    for name in list(obj):
        if name in {"apiVersion", "kind", "metadata"}:
            continue
        if name in properties:
            _complete(properties[name], obj[name], name, pruned)
        elif not schema.get(_KEEP):
            del obj[name]
            pruned.append(name)
    _defaults(properties, obj, "", pruned)
    return pruned


def _defaults(properties: Raw, obj: Raw, path: str, pruned: list[str]) -> None:
    for name, schema in properties.items():
        if "default" in schema and (
            name not in obj or (obj[name] is None and not schema.get("nullable"))
        ):
            obj[name] = copy_of({"_": schema["default"]})["_"]
            _complete(schema, obj[name], f"{path}{name}", pruned)


def _complete(schema: Raw, value: Any, path: str, pruned: list[str]) -> None:
    if isinstance(value, list):
        for at, item in enumerate(value):
            _complete(schema.get("items", {}), item, f"{path}[{at}]", pruned)
    elif isinstance(value, dict):
        _complete_object(schema, value, path, pruned)


def _complete_object(schema: Raw, value: Raw, path: str, pruned: list[str]) -> None:
    properties = schema.get("properties", {})
    every = schema.get("additionalProperties")
    embedded = ("apiVersion", "kind", "metadata") if _is_embedded(schema) else ()
    for name in list(value):
        if name in properties:
            _complete(properties[name], value[name], f"{path}.{name}", pruned)
        elif isinstance(every, dict):
            _complete(every, value[name], f"{path}.{name}", pruned)
        elif not schema.get(_KEEP) and not every and name not in embedded:
            del value[name]
            pruned.append(f"{path}.{name}")
    _defaults(properties, value, f"{path}.", pruned)


def _is_embedded(schema: Raw) -> bool:
    return bool(schema.get("x-kubernetes-embedded-resource"))


def find_faults(schema: Raw, value: Any, path: str = "") -> Iterator[Cause]:
    """Every field of `value` that its schema refuses."""
    if value is None and schema.get("nullable"):
        return
    wrong = _wrong_type(schema, value)
    if wrong:
        text = f"Invalid value: {_shown(value)}: {path} in body must be of type {wrong}"
        yield Cause(path, "FieldValueTypeInvalid", text)
        return
    if "enum" in schema and value not in schema["enum"]:
        offered = ", ".join(_shown(item) for item in schema["enum"])
        text = f"Unsupported value: {_shown(value)}: supported values: {offered}"
        yield Cause(path, "FieldValueNotSupported", text)
    if isinstance(value, str):
        yield from _string_faults(schema, value, path)
    elif isinstance(value, list):
        yield from _list_faults(schema, value, path)
    elif isinstance(value, dict):
        yield from _object_faults(schema, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _number_faults(schema, value, path)


def _wrong_type(schema: Raw, value: Any) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "" if isinstance(value, (int, str)) else "integer or string"
    wanted = schema.get("type", "")
    if not wanted:
        return ""
    fits = isinstance(value, _TYPES[wanted])
    if isinstance(value, bool) and wanted != "boolean":
        fits = False
    return "" if fits else wanted


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bad(path: str, value: Any, why: str) -> Cause:
    text = f"Invalid value: {_shown(value)}: {path} in body {why}"
    return Cause(path, "FieldValueInvalid", text)


def _string_faults(schema: Raw, value: str, path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxLength", len(value)):
        text = f"Too long: may not be more than {schema['maxLength']} bytes"
        yield Cause(path, "FieldValueTooLong", text)
    if len(value) < schema.get("minLength", 0):
        yield _bad(path, value, f"should be at least {schema['minLength']} chars long")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield _bad(path, value, f"should match '{schema['pattern']}'")
    if schema.get("format") == "date-time" and not _DATE_TIME.fullmatch(value):
        yield _bad(path, value, f'must be of type date-time: "{value}"')


def _number_faults(schema: Raw, value: float, path: str) -> Iterator[Cause]:
    if value < schema.get("minimum", value):
        yield _bad(path, value, f"should be greater than or equal to {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield _bad(path, value, f"should be less than or equal to {schema['maximum']}")


def _list_faults(schema: Raw, value: list[Any], path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxItems", len(value)):
        text = f"Too many: {len(value)}: must have at most {schema['maxItems']} items"
        yield Cause(path, "FieldValueTooMany", text)
    if len(value) < schema.get("minItems", 0):
        yield _bad(path, len(value), f"should have at least {schema['minItems']} items")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    if schema.get("x-kubernetes-list-type") in {"map", "set"}:
        seen = [[item.get(key) for key in keys] if keys else item for item in value]
        for at, item in enumerate(seen):
            if item in seen[:at]:
                text = f"Duplicate value: {_shown(item)}"
                yield Cause(f"{path}[{at}]", "FieldValueDuplicate", text)
    for at, item in enumerate(value):
        yield from find_faults(schema.get("items", {}), item, f"{path}[{at}]")


def _object_faults(schema: Raw, value: Raw, path: str) -> Iterator[Cause]:
    prefix = f"{path}." if path else ""
    for name in schema.get("required", ()):
        if name not in value:
            yield Cause(f"{prefix}{name}", "FieldValueRequired", "Required value")
    if len(value) > schema.get("maxProperties", len(value)):
        text = f"Too many: {len(value)}: must have at most {schema['maxProperties']} items"
        yield Cause(path, "FieldValueTooMany", text)
    properties = schema.get("properties", {})
    every = schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            if not path and name in {"apiVersion", "kind", "metadata"}:
                continue
            yield from find_faults(properties[name], item, f"{prefix}{name}")
        elif isinstance(every, dict):
            yield from find_faults(every, item, f"{prefix}{name}")
