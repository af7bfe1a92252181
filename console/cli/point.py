"""`kubehaven point`: restore points and what is in them."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import to_builtins

from console.cli import output
from console.cli.exits import DONE, FAILED, PARTIAL
from console.cli.explain import copied, explain_retire
from console.cli.follow import add_wait, follow_or_name
from console.cli.offline import add_place_options, here_or_there
from console.cli.session import Session, confirmed, no_verb, on_engine
from console.engine import RetireRequest, offline_browse, offline_get, offline_points

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from console.cli.session import Work
    from console.engine import BrowseEntry, OfflineListing, OfflinePlace, PointView


_COLUMNS = ("NAME", "APPLICATION", "KIND", "STATE", "AGE", "LOCATION", "SIZE", "STORED")
_SHORT = 8  # characters of a cluster's uid, enough to tell a few clusters apart


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `point`."""
    no_verb(parser)
    verbs = parser.add_subparsers(metavar="VERB")
    listed = verbs.add_parser("list", help="restore points, the newest first")
    listed.add_argument("--application", metavar="APP", default="")
    _also_offline(listed, _list, _list_offline)
    show = verbs.add_parser("show", help="one restore point")
    show.add_argument("point", metavar="POINT")
    on_engine(show, _show)
    browse = verbs.add_parser("browse", help="a folder of an exported point")
    browse.add_argument("point", metavar="POINT")
    browse.add_argument("path", metavar="PATH", nargs="?", default="")
    _also_offline(browse, _browse, _browse_offline)
    get = verbs.add_parser("get", help="copy a file, folder or object out of an exported point")
    get.add_argument("point", metavar="POINT")
    get.add_argument(
        "path", metavar="PATH", nargs="?", default="", help="objects/… or volumes/CLAIM/…; or all"
    )
    get.add_argument("--into", metavar="DIR", type=Path, required=True)
    _also_offline(get, _get, _get_offline)
    _configure_retire(verbs.add_parser("retire", help="free the data of points, after showing it"))


def _configure_retire(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("points", metavar="POINT", nargs="+")
    parser.add_argument(
        "--allow-many", action="store_true", help="also over a fifth of the application's points"
    )
    parser.add_argument("--allow-last", action="store_true", help="also its last good point")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be freed")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_wait(parser)
    on_engine(parser, _retire)


def _also_offline(
    parser: argparse.ArgumentParser,
    work: Work,
    offline: Callable[[OfflinePlace, argparse.Namespace], int],
) -> None:
    on_engine(parser, work)
    add_place_options(parser)
    parser.set_defaults(run=here_or_there(offline, parser.get_default("run")))


async def _list(session: Session) -> int:
    points = await session.engine.restore_points.list(
        await session.cluster(), application=session.arguments.application
    )
    if session.json:
        output.print_json(points)
    else:
        output.print_table(
            (*_COLUMNS, "FROM"), [(*_cells(point), point.origin[:_SHORT]) for point in points]
        )
    return DONE


def _list_offline(place: OfflinePlace, arguments: argparse.Namespace) -> int:
    listing = offline_points(place)
    found = [
        point for point in listing.points if arguments.application in {"", point.view.application}
    ]
    if arguments.output == "json":
        output.print_json(
            [{"repository": point.repository, **to_builtins(point.view)} for point in found]
        )
    else:
        rows = [(*_cells(point.view), point.repository) for point in found]
        output.print_table((*_COLUMNS, "REPOSITORY"), rows)
    return _damage_said(listing, json=arguments.output == "json")


def _damage_said(listing: OfflineListing, *, json: bool) -> int:
    """Name the repositories that could not be read; the exit code of the listing."""
    if not listing.damaged:
        return DONE
    lines = [f"{one.path}: {one.message} [{one.code}]" for one in listing.damaged]
    output.print_error(
        "location.damaged",
        "\n".join(("the points of these repositories are not listed:", *lines)),
        hint="look closer: kubehaven repo -r REPOSITORY --location-key-file KIT check",
        json=json,
    )
    return PARTIAL


def _cells(row: PointView) -> tuple[str, ...]:
    return (
        row.name,
        row.application,
        row.kind,
        row.state if row.crash_consistent else f"{row.state}, not crash-consistent",
        output.age(row.taken_at),
        row.location,
        output.size(row.logical_size),
        output.size(row.physical_size),
    )


async def _show(session: Session) -> int:
    point = await session.engine.restore_points.show(
        await session.cluster(), session.arguments.point
    )
    if session.json:
        output.print_json(point)
    else:
        print(*_lines(point, datetime.now(UTC)), sep="\n")
    return DONE if point.state == "Ready" else FAILED


def _lines(point: PointView, now: datetime) -> list[str]:
    where = f" in {point.location}" if point.location else ""
    lines = [output.visible(f"{point.name}: {point.kind}{where}, {point.state}")]
    if point.reason:
        lines.append(f"  {output.visible(point.reason)}")
    lines.append(output.visible(f"  application {point.application}, id {point.id}"))
    lines.append(f"  taken {output.age(point.taken_at, now)} ({point.taken_at})")
    sizes = f"{output.size(point.logical_size)}, {output.size(point.physical_size)} stored"
    lines.append(f"  {point.objects} objects, {sizes}")
    if point.verified_at and point.state == "Ready":
        lines.append(f"  read back whole {output.age(point.verified_at, now)}")
    if point.origin:
        lines.append(output.visible(f"  taken on another cluster, {point.origin}"))
    if not point.bound:
        lines.append("  not bound to a RestorePoint in the application's namespace")
    for volume in point.volumes:
        data = f"{output.size(volume.logical_size)} of data"
        what = f"{volume.pvc}  {output.size(volume.size)}, {data}{copied(volume)}"
        lines.append(output.visible(f"  volume {what}"))
    return lines


async def _browse(session: Session) -> int:
    asked = session.arguments
    entries = await session.engine.restore_points.browse(
        await session.cluster(), asked.point, asked.path
    )
    return _print_entries(entries, json=session.json)


def _browse_offline(place: OfflinePlace, arguments: argparse.Namespace) -> int:
    entries = offline_browse(place, arguments.point, arguments.path)
    return _print_entries(entries, json=arguments.output == "json")


def _print_entries(entries: Sequence[BrowseEntry], *, json: bool) -> int:
    if json:
        output.print_json(entries)
        return DONE
    output.print_table(
        ("MODE", "SIZE", "MODIFIED", "NAME"),
        [
            (
                stat.filemode(row.mode) if row.mode else "",
                output.size(row.size) if row.kind == "file" else "",
                row.modified_at,
                f"{row.name}/" if row.kind == "folder" else row.name,
            )
            for row in entries
        ],
    )
    return DONE


async def _get(session: Session) -> int:
    asked = session.arguments
    target = _target(asked)
    size = await session.engine.restore_points.get(
        await session.cluster(), asked.point, asked.path, str(target)
    )
    return _print_fetched(size, target, json=session.json)


def _get_offline(place: OfflinePlace, arguments: argparse.Namespace) -> int:
    target = _target(arguments)
    size = offline_get(place, arguments.point, arguments.path, target)
    return _print_fetched(size, target, json=arguments.output == "json")


async def _retire(session: Session) -> int:
    asked = session.arguments
    cluster = await session.cluster()
    request = RetireRequest(
        points=tuple(asked.points), allow_many=asked.allow_many, allow_last=asked.allow_last
    )
    preview = await session.engine.restore_points.preview_retire(cluster, request)
    if not session.json:
        print(*explain_retire(preview), sep="\n")
    if asked.dry_run or preview.blockers:
        if session.json:
            output.print_json(preview)
        return FAILED if preview.blockers else DONE
    await confirmed(session, f"free this for good in {cluster}?")
    action = await session.engine.actions.retire(cluster, request, plan_hash=preview.hash)
    return await follow_or_name(session, action)


def _target(arguments: argparse.Namespace) -> Path:
    into: Path = arguments.into
    return into.expanduser().absolute()


def _print_fetched(size: int, target: Path, *, json: bool) -> int:
    if json:
        output.print_json({"bytes": size, "target": str(target)})
    else:
        print(output.visible(f"{output.size(size)} in {target}"))
    return DONE
