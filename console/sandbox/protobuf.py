"""The few objects that kubectl sends as protobuf: what `kubectl create` and `auth` make."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.sandbox.kinds import Raw

MAGIC = b"k8s\0"
_TEXT, _BYTES, _FLAG = "text", "bytes", "flag"
_TEXTS = ("map", _TEXT)  # a map of texts
_META: dict[int, Any] = {1: ("name", _TEXT), 2: ("generateName", _TEXT), 3: ("namespace", _TEXT)}
_META |= {11: ("labels", _TEXTS), 12: ("annotations", _TEXTS)}
_ASKED = {
    number: (name, _TEXT)
    for number, name in enumerate(
        ("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1
    )
}
_PATH = {1: ("path", _TEXT), 2: ("verb", _TEXT)}
_OBJECT = {1: ("metadata", _META)}
_KINDS: dict[str, dict[int, Any]] = {
    "Namespace": _OBJECT,
    "ServiceAccount": _OBJECT,
    "ConfigMap": {**_OBJECT, 2: ("data", _TEXTS), 4: ("immutable", _FLAG)},
    "Secret": {
        **_OBJECT,
        2: ("data", ("map", _BYTES)),
        3: ("type", _TEXT),
        5: ("immutable", _FLAG),
    },
    "SelfSubjectReview": _OBJECT,
    "SelfSubjectAccessReview": {
        **_OBJECT,
        2: ("spec", {1: ("resourceAttributes", _ASKED), 2: ("nonResourceAttributes", _PATH)}),
    },
    "SelfSubjectRulesReview": {**_OBJECT, 2: ("spec", {1: ("namespace", _TEXT)})},
}


def decode(data: bytes) -> Raw | None:
    """The object in a protobuf body; None for a kind that is read as JSON only.

    ValueError when it is cut or not protobuf.
    """
    try:
        parts = dict(_fields(data[len(MAGIC) :]))
        kind = _message(parts[1], {1: ("apiVersion", _TEXT), 2: ("kind", _TEXT)})
        schema = _KINDS.get(kind["kind"])
        return None if schema is None else {**kind, **_message(parts[2], schema)}
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("not an object in protobuf") from error


def _message(data: bytes, schema: dict[int, Any]) -> Raw:
    found: Raw = {}
    for number, value in _fields(data):
        if number not in schema:
            continue
        name, kind = schema[number]
        if isinstance(kind, tuple):
            entry = _message(value, {1: ("key", _TEXT), 2: ("value", kind[1])})
            found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        elif isinstance(kind, dict):
            found[name] = _message(value, kind)
        elif kind == _FLAG:
            found[name] = bool(value)
        elif value:
            found[name] = base64.b64encode(value).decode() if kind == _BYTES else value.decode()
    return found


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        match tag & 7:
            case 0:
                value, at = _number(data, at)
                yield tag >> 3, value
            case 2:
                size, at = _number(data, at)
                if at + size > len(data):
                    raise ValueError("cut")
                yield tag >> 3, data[at : at + size]
                at += size
            case 1 | 5 as width:
                at += 8 if width == 1 else 4
            case _:
                raise ValueError("not protobuf")


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
