"""The CRDs say exactly what the structs of the record say, and bound everything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml
from msgspec import inspect

from console import resources_path
from console.engine.model import intent, kinds, points, record
from console.engine.model.names import GROUP, VERSION

KINDS: dict[kinds.Kind, type[record.Resource]] = {
    kinds.BACKUP_ACTIONS: record.BackupAction,
    kinds.EXPORT_ACTIONS: record.ExportAction,
    kinds.RESTORE_ACTIONS: record.RestoreAction,
    kinds.RETIRE_ACTIONS: record.RetireAction,
    kinds.RESTORE_POINTS: points.RestorePoint,
    kinds.RESTORE_POINT_CONTENTS: points.RestorePointContent,
    kinds.LOCATIONS: intent.Location,
    kinds.SETTINGS: intent.Settings,
}


def crd(kind: kinds.Kind) -> dict[str, Any]:
    text = (resources_path() / "crds" / f"{kind.plural}.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def schema(kind: kinds.Kind) -> dict[str, Any]:
    found: dict[str, Any] = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


@pytest.fixture(params=KINDS, ids=lambda kind: kind.kind)
def kind(request: pytest.FixtureRequest) -> kinds.Kind:
    chosen: kinds.Kind = request.param
    return chosen


def test_every_file_is_known() -> None:
    files = {path.stem for path in (resources_path() / "crds").iterdir()}
    assert files == {kind.plural for kind in KINDS}


def test_names_and_scope(kind: kinds.Kind) -> None:
    spec = crd(kind)["spec"]
    assert crd(kind)["metadata"]["name"] == kind.resource
    assert (spec["group"], spec["versions"][0]["name"]) == (GROUP, VERSION)
    assert (spec["names"]["plural"], spec["names"]["kind"]) == (kind.plural, kind.kind)
    assert spec["scope"] == ("Namespaced" if kind.namespaced else "Cluster")
    assert spec["names"]["categories"] == ["kubehaven"]


def test_short_names_are_told_apart() -> None:
    short = [name for kind in KINDS for name in crd(kind)["spec"]["names"]["shortNames"]]
    assert len(short) == len(set(short)) == len(KINDS)


def test_fields_are_the_structs(kind: kinds.Kind) -> None:
    info = inspect.type_info(KINDS[kind])
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        if field.encode_name in {"spec", "status"}:
            part = schema(kind)["properties"][field.encode_name]
            assert unlike(field.type, part, field.encode_name) == []
    has_status = any(field.encode_name == "status" for field in info.fields)
    assert ("subresources" in crd(kind)["spec"]["versions"][0]) == has_status


def unlike(wanted: inspect.Type, found: dict[str, Any], where: str) -> list[str]:
    """Where a schema is not the one of the type."""
    if isinstance(wanted, inspect.UnionType):
        (wanted,) = (one for one in wanted.types if not isinstance(one, inspect.NoneType))
    match wanted:
        case inspect.StructType():
            return _unlike_struct(wanted, found, where)
        case inspect.VarTupleType():
            ok = found["type"] == "array"
            return [] if ok and not unlike(wanted.item_type, found["items"], where) else [where]
        case inspect.DictType(value_type=inspect.AnyType()):
            return [] if found.get("x-kubernetes-preserve-unknown-fields") else [where]
        case inspect.DictType():
            return unlike(wanted.value_type, found["additionalProperties"], where)
        case inspect.LiteralType():
            return [] if set(found.get("enum", [])) == set(wanted.values) else [where]
    simple: dict[type[inspect.Type], str] = {
        inspect.StrType: "string",
        inspect.IntType: "integer",
        inspect.FloatType: "number",
        inspect.BoolType: "boolean",
    }
    return [] if found["type"] == simple[type(wanted)] else [where]


def _unlike_struct(wanted: inspect.StructType, found: dict[str, Any], where: str) -> list[str]:
    required = [field.encode_name for field in wanted.fields if field.required]
    if sorted(found.get("required", [])) != sorted(required):
        return [f"{where}: required"]
    if set(found["properties"]) != {field.encode_name for field in wanted.fields}:
        return [f"{where}: {set(found['properties']) ^ {f.encode_name for f in wanted.fields}}"]
    wrong = []
    for field in wanted.fields:
        part = found["properties"][field.encode_name]
        wrong += unlike(field.type, part, f"{where}.{field.encode_name}")
        if "default" in part and part["default"] != field.default:
            wrong.append(f"{where}.{field.encode_name}: default")
    return wrong


def test_everything_is_bounded(kind: kinds.Kind) -> None:
    def unbounded(part: dict[str, Any], where: str) -> list[str]:
        match part.get("type"):
            case "string":
                return [] if "maxLength" in part or "enum" in part else [where]
            case "array":
                return unbounded(part["items"], where) + ([] if "maxItems" in part else [where])
            case "object" if "properties" in part:
                inner = part["properties"].items()
                return [one for key, sub in inner for one in unbounded(sub, f"{where}.{key}")]
            case "object":
                inside = unbounded(part.get("additionalProperties", {}), where)
                return inside + ([] if "maxProperties" in part else [where])
        return []

    for part in ("spec", "status"):
        if part in schema(kind)["properties"]:
            assert unbounded(schema(kind)["properties"][part], part) == []


@pytest.mark.parametrize("kind", [one for one in KINDS if one.kind in record.ACTION_KINDS])
def test_only_control_fields_of_an_action_may_change(kind: kinds.Kind) -> None:
    spec = schema(kind)["properties"]["spec"]
    free = set(msgspec.structs.asdict(record.ActionControl()))
    rules = {rule["message"].split()[0] for rule in spec["x-kubernetes-validations"]}
    assert rules == set(spec["properties"]) - free
    for rule in spec["x-kubernetes-validations"]:
        field = rule["message"].split()[0]
        assert f"self.{field} == oldSelf.{field}" in rule["rule"]


def test_columns_point_at_fields(kind: kinds.Kind) -> None:
    columns = crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
    for column in columns:
        keys = column["jsonPath"].lstrip(".").split(".")
        if keys[0] == "metadata":
            continue
        part = schema(kind)
        for key in keys:
            part = part["properties"][key]
        assert column["type"] in {part["type"], "date"}
