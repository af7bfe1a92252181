"""An object being made fit for a restore: a copy of it, and what was changed, in words."""

from __future__ import annotations

import copy
import fnmatch
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.plan.raw import annotations_of, part, uid_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.engine.model.kinds import RawObject


class RestoreContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules need to know about the restore.

    `storage_class_map` is by name; `""` as a key maps the claims that name none.
    An empty `action_uid` (a preview) stamps no restoredBy.
    """

    source_namespace: str
    target_namespace: str
    action_uid: str = ""
    storage_class_map: dict[str, str] = {}

    @property
    def moves(self) -> bool:
        """Whether the objects change their namespace."""
        return self.source_namespace != self.target_namespace


class Draft:
    """A private copy of one object, changed by rule after rule."""

    def __init__(self, obj: RawObject, context: RestoreContext) -> None:
        self.obj = copy.deepcopy(obj)
        self.context = context
        self.changes: list[str] = []
        # an object without a uid never was in a server: all that stands in it was asked for
        self.from_server = bool(uid_of(obj))

    def say(self, change: str) -> None:
        """Tell a change to people."""
        if change not in self.changes:
            self.changes.append(change)

    def part(self, *keys: str) -> dict[str, Any]:
        """The mapping at a path; changing it changes the draft, unless it is absent."""
        return part(self.obj, *keys)

    def drop(self, *path: str, because: str = "") -> bool:
        """Remove a field; whether it was there."""
        holder = part(self.obj, *path[:-1])
        if path[-1] not in holder:
            return False
        del holder[path[-1]]
        self.say(_removed(".".join(path), because))
        return True

    def drop_annotations(self, patterns: Iterable[str], *, because: str = "") -> None:
        """Remove the annotations whose keys match a shell pattern."""
        self._drop_keys(annotations_of(self.obj), tuple(patterns), "annotation", because)
        self._drop_empty("annotations")

    def drop_labels(self, patterns: Iterable[str], *, because: str = "") -> None:
        """Remove the labels whose keys match a shell pattern."""
        self._drop_keys(self.part("metadata", "labels"), tuple(patterns), "label", because)
        self._drop_empty("labels")

    def drop_finalizers(self, patterns: Iterable[str], *, because: str = "") -> None:
        """Remove the finalizers that match a shell pattern."""
        known, metadata = tuple(patterns), self.part("metadata")
        there = metadata.get("finalizers") or []
        gone = [name for name in there if _matches(name, known)]
        if gone:
            metadata["finalizers"] = [name for name in there if name not in gone]
            self.say(_removed(f"finalizer {', '.join(gone)}", because))
        self._drop_empty("finalizers")

    def annotate(self, key: str, value: str) -> None:
        """Set an annotation."""
        metadata = self.part("metadata")
        metadata["annotations"] = {**annotations_of(self.obj), key: value}
        self.obj["metadata"] = metadata

    def drop_keys(self, holder: dict[str, Any], keys: Iterable[str], what: str) -> bool:
        """Remove keys from a mapping of the draft; whether any was there."""
        gone = [key for key in keys if key in holder]
        for key in gone:
            del holder[key]
        if gone:
            self.say(_removed(f"{what} {', '.join(gone)}", ""))
        return bool(gone)

    def _drop_keys(
        self, holder: dict[str, Any], patterns: tuple[str, ...], what: str, because: str
    ) -> None:
        for key in [key for key in holder if _matches(key, patterns)]:
            del holder[key]
            self.say(_removed(f"{what} {key}", because))

    def _drop_empty(self, field: str) -> None:
        metadata = self.part("metadata")
        if field in metadata and not metadata[field]:
            del metadata[field]


def _matches(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _removed(what: str, because: str) -> str:
    return f"{what} removed: {because}" if because else f"{what} removed"
