"""Changes of objects while they are restored, as JSON patches for the objects that they fit.

Field names are the wire's, as in the rest of the record.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from console.engine.model.wire import Record


class TransformSubject(Record, frozen=True, kw_only=True):
    """The objects that a transform is for; what is empty fits all."""

    group: str = ""
    version: str = ""
    resource: str = ""  # plural
    name: str = ""


class TransformOperation(Record, frozen=True, kw_only=True):
    """One step of a JSON patch (RFC 6902)."""

    op: Literal["add", "copy", "move", "remove", "replace", "test"]
    path: str
    from_: str = msgspec.field(name="from", default="")
    value: str = ""  # as JSON text


class Transform(Record, frozen=True, kw_only=True):
    """A change of objects while they are restored."""

    name: str
    subject: TransformSubject = TransformSubject()
    json: tuple[TransformOperation, ...] = ()
