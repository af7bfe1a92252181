"""Between raw JSON objects and our own resources.

Other people's objects stay raw; only our own kinds are ever decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from console.engine.errors import EngineError

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of our own kinds and their parts: frozen, defaults left out, unknown fields ignored."""


def decode(raw: RawObject, to: type[T]) -> T:
    """One of our resources from what the server sent.

    Raises:
        EngineError: `record.invalid`: the object does not fit; its name and the field are named.
    """
    try:
        return msgspec.convert(raw, to)
    except msgspec.ValidationError as error:
        meta = raw.get("metadata", {})
        where = "/".join(part for part in (meta.get("namespace"), meta.get("name")) if part)
        raise EngineError(
            f"the object can't be read: {error}",
            subject=f"{raw.get('kind', to.__name__)} {where}",
            code="record.invalid",
        ) from error


def encode(value: Any) -> Any:
    """A value of the record as plain JSON data; defaults are left out."""
    return msgspec.to_builtins(value)
