"""The four ways of patching an object: merge, JSON, strategic merge, apply. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from console.sandbox import faults
from console.sandbox.store import copy_of

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "ownerReferences": "uid",
    "conditions": "type",
    "addresses": "type",
    "taints": "key",
    "topologySpreadConstraints": "topologyKey",
}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


# JSON patch


def json_patch(target: Raw, operations: list[Raw]) -> Raw:
    """RFC 6902; ApiError 422 where an operation cannot be done or a test fails."""
    document: Any = copy_of(target)
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise faults.unprocessable(
                "the server rejected our request due to an error in our request"
            ) from error
    return cast("Raw", document)


def _operate(document: Any, operation: Raw) -> Any:
    kind, path = operation["op"], _pointer(operation["path"])
    match kind:
        case "add":
            return _put(document, path, operation["value"], insert=True)
        case "replace":
            _value(document, path)
            return _put(document, path, operation["value"], insert=False)
        case "remove":
            return _take(document, path)
        case "test":
            if _value(document, path) != operation.get("value"):
                raise ValueError("testing value failed")
            return document
        case "move" | "copy":
            source = _pointer(operation["from"])
            value = _value(document, source)
            if kind == "move":
                document = _take(document, source)
            return _put(document, path, value, insert=True)
        case _:
            raise ValueError("unknown operation")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError("a path begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(parent: list[Any], name: str) -> int:
    at = int(name)
    if not 0 <= at < len(parent):
        raise IndexError("index out of range")
    return at


def _value(document: Any, path: list[str]) -> Any:
    for name in path:
        document = document[_index(document, name) if isinstance(document, list) else name]
    return document


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, name = _value(document, path[:-1]), path[-1]
    if not isinstance(parent, list):
        parent[name] = value
    elif name == "-":
        parent.append(value)
    elif insert:
        parent.insert(int(name), value)
    else:
        parent[_index(parent, name)] = value
    return document


def _take(document: Any, path: list[str]) -> Any:
    if not path:
        raise ValueError("the whole document cannot be removed")
    parent, name = _value(document, path[:-1]), path[-1]
    del parent[_index(parent, name) if isinstance(parent, list) else name]
    return document


# strategic merge


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge patch of a built-in kind, with its directives."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {name: value for name, value in patch.items() if name != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {name: result[name] for name in patch["$retainKeys"] if name in result}
    for name, value in patch.items():
        _merge_field(result, name, value)
    for name, order in patch.items():
        field = name.partition("/")[2]
        if name.startswith("$setElementOrder/") and isinstance(result.get(field), list):
            result[field] = _ordered(field, result[field], order)
    return result


def _merge_field(result: Raw, name: str, value: Any) -> None:
    if name.startswith("$deleteFromPrimitiveList/"):
        field = name.partition("/")[2]
        result[field] = [item for item in result.get(field, []) if item not in value]
    elif name.startswith("$"):
        return
    elif value is None:
        result.pop(name, None)
    elif isinstance(value, list):
        result[name] = _merged_list(name, result.get(name), value)
    else:
        result[name] = strategic(result.get(name), value)


def _merge_key(field: str, items: list[Any]) -> str:
    if not items or not all(isinstance(item, dict) for item in items):
        return ""
    if field == "ports":
        return "containerPort" if any("containerPort" in item for item in items) else "port"
    return _MERGE_KEYS.get(field, "")


def _merged_list(field: str, have: list[Any] | None, patch: list[Any]) -> list[Any]:
    if field == "finalizers":
        return [*(have or []), *(item for item in patch if item not in (have or []))]
    key = _merge_key(field, patch)
    if not key or {"$patch": "replace"} in patch:
        return [item for item in patch if item != {"$patch": "replace"}]
    merged = {item.get(key): item for item in have or []}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic(merged.get(item.get(key)), item)
    return list(merged.values())


def _ordered(field: str, items: list[Any], order: list[Any]) -> list[Any]:
    key = _merge_key(field, items)

    def place(item: Any) -> int:
        wanted = {key: item.get(key)} if key else item
        return order.index(wanted) if wanted in order else len(order)

    return sorted(items, key=place)


# apply


def apply(last: Any, wanted: Any, live: Any, field: str = "") -> Any:
    """What one manager wants over what lives: what it gave before and not now goes."""
    if isinstance(wanted, dict):
        result = dict(live) if isinstance(live, dict) else {}
        before = last if isinstance(last, dict) else {}
        for name in before:
            if name not in wanted:
                result.pop(name, None)
        for name, value in wanted.items():
            result[name] = apply(before.get(name), value, result.get(name), name)
        return result
    if isinstance(wanted, list) and (key := _merge_key(field, wanted)):
        old = {item.get(key): item for item in last or []}
        now = {item.get(key): item for item in wanted}
        kept = {i.get(key): i for i in live or [] if i.get(key) in now or i.get(key) not in old}
        for name, item in now.items():
            kept[name] = apply(old.get(name), item, kept.get(name))
        return list(kept.values())
    return wanted
