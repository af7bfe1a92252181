"""The columns of plans and of what lies in a restore point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.ui import format as fmt
from console.ui.messages import tr, word
from console.ui.models.cells import Cell
from console.ui.models.columns import now
from console.ui.models.table import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.engine import BrowseEntry, PlannedObject

_VERBS = {"create": ("plus", "good"), "update": ("rotate-ccw", "warn"), "skip": ("minus", "t3")}
_ENTRY_ICONS = {"folder": "folder", "file": "file", "link": "link-2", "other": "box"}


def planned_columns() -> Sequence[Column[PlannedObject]]:
    """What a plan would do, in its order."""

    def verb(row: PlannedObject) -> Cell:
        icon, tint = _VERBS.get(row.verb, ("check", "t3"))
        color = "t2" if row.verb in ("keep", "skip") else tint
        return Cell(word(row.verb), icon=icon, icon_color=tint, color=color)

    def why(row: PlannedObject) -> Cell:
        text = "; ".join((row.reason, *row.changes)).strip("; ")
        return Cell(fmt.visible(text), color="t2", tooltip=fmt.visible(text))

    return (
        Column("verb", tr("Action"), verb, lambda row: row.verb, 112),
        Column(
            "kind",
            tr("Kind"),
            lambda row: Cell(fmt.visible(row.resource), color="t2"),
            lambda row: row.resource,
            180,
        ),
        Column(
            "name",
            tr("Name"),
            lambda row: Cell(fmt.visible(row.name), weight=600),
            lambda row: row.name,
        ),
        Column("why", tr("Why"), why, lambda row: row.reason, 230),
    )


def entry_columns() -> Sequence[Column[BrowseEntry]]:
    """Files, folders and objects in a restore point."""
    return (
        Column(
            "name",
            tr("Name"),
            lambda e: Cell(
                fmt.visible(e.name),
                icon=_ENTRY_ICONS[e.kind],
                icon_color="accent" if e.kind == "folder" else "t2",
            ),
            lambda e: e.name,
        ),
        Column(
            "size",
            tr("Size"),
            lambda e: Cell(fmt.size(e.size) if e.size >= 0 else "", right=True, color="t2"),
            lambda e: e.size,
            76,
            right=True,
        ),
        Column(
            "changed",
            tr("Changed"),
            lambda e: Cell(
                fmt.moment(e.modified_at, now()) if e.modified_at else "",
                right=True,
                color="t2",
                tooltip=fmt.exact(e.modified_at),
            ),
            lambda e: e.modified_at,
            124,
            right=True,
        ),
    )
