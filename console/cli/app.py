"""`kubehaven app`: what can be protected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import DONE
from console.cli.session import Session, no_verb, on_engine

if TYPE_CHECKING:
    import argparse

    from console.engine import ApplicationView, VolumeView


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `app`."""
    no_verb(parser)
    verbs = parser.add_subparsers(metavar="VERB")
    on_engine(verbs.add_parser("list", help="the applications, removed ones included"), _list)
    show = verbs.add_parser("show", help="one application with its workloads and volumes")
    show.add_argument("name", metavar="NAME")
    on_engine(show, _show)


async def _list(session: Session) -> int:
    applications = await session.engine.applications.list(await session.cluster())
    if session.json:
        output.print_json(applications)
        return DONE
    now = datetime.now(UTC)
    output.print_table(
        ("NAME", "STATE", "WORKLOADS", "VOLUMES", "SIZE", "POINTS", "LAST POINT", "LAST EXPORT"),
        [
            (
                row.name,
                row.state,
                str(len(row.workloads)),
                str(len(row.volumes)),
                output.size(row.size),
                str(row.points),
                output.age(row.last_point, now),
                output.age(row.last_export, now),
            )
            for row in applications
        ],
    )
    return DONE


async def _show(session: Session) -> int:
    cluster = await session.cluster()
    application = await session.engine.applications.show(cluster, session.arguments.name)
    if session.json:
        output.print_json(application)
        return DONE
    print(*_lines(application, datetime.now(UTC)), sep="\n")
    return DONE


def _lines(application: ApplicationView, now: datetime) -> list[str]:
    lines = [output.visible(f"{application.name}: {application.state}")]
    if application.reason:
        lines.append(f"  {output.visible(application.reason)}")
    lines.append(f"  restore points: {application.points}")
    if application.last_point:
        lines.append(f"  last point {output.age(application.last_point, now)}")
    if application.last_export:
        where = output.visible(application.last_location)
        lines.append(f"  last export {output.age(application.last_export, now)} to {where}")
    if application.workloads:
        lines.append("workloads:")
        lines += [
            output.visible(f"  {item.kind} {item.name}  {item.ready} of {item.wanted} ready")
            for item in application.workloads
        ]
    if application.volumes:
        lines += ["volumes:", *(f"  {_volume(volume)}" for volume in application.volumes)]
    return lines


def _volume(volume: VolumeView) -> str:
    parts = [volume.name, output.size(volume.size), volume.storage_class, volume.phase]
    if not volume.snapshottable:
        parts.append(f"no snapshot: {volume.problem}" if volume.problem else "no snapshot")
    return output.visible("  ".join(part for part in parts if part))
