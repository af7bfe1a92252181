"""`kubehaven location`: where restore points are exported to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from console.cli import output
from console.cli.exits import DONE, FAILED
from console.cli.offline import add_key_options, place_at
from console.cli.session import Session, guarded, no_verb, on_engine
from console.cli.usage import UsageError
from console.engine import LocationDraft, LocationView, offline_password

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `location`."""
    no_verb(parser)
    verbs = parser.add_subparsers(metavar="VERB")
    _configure_add(verbs.add_parser("add", help="add a folder or a bucket"))
    on_engine(verbs.add_parser("list", help="the locations"), _list)
    check = verbs.add_parser("check", help="look into a location now")
    check.add_argument("name", metavar="NAME")
    check.add_argument(
        "--all-clusters",
        action="store_true",
        help="list the restore points of other clusters too, after the loss of one for example",
    )
    on_engine(check, _check)
    password = verbs.add_parser("password", help="print a repository's password, for restic")
    password.add_argument("repository", metavar="REPOSITORY", help="its address, as restic's")
    add_key_options(password)
    password.set_defaults(run=_password)


def _configure_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--folder", type=Path, metavar="DIR", help="a folder that nodes and desktop both see"
    )
    where.add_argument("--bucket", default="")
    parser.add_argument("--endpoint", default="", metavar="URL", help="of the object store")
    parser.add_argument("--region", default="")
    parser.add_argument("--prefix", default="", help="a path inside the bucket")
    parser.add_argument(
        "--credentials-file",
        "--credentials",
        type=Path,
        metavar="FILE",
        help="access key, as INI or JSON; read once",
    )
    parser.add_argument(
        "--virtual-host-style", action="store_true", help="the bucket is part of the host's name"
    )
    parser.add_argument("--skip-tls-verify", action="store_true")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument(
        "--recovery-kit", type=Path, metavar="FILE", help="write a new location key there"
    )
    key.add_argument(
        "--location-key-file", type=Path, metavar="KIT", help="join a location with its kit"
    )
    on_engine(parser, _add)


async def _add(session: Session) -> int:
    asked = session.arguments
    if asked.bucket and asked.credentials_file is None:
        raise UsageError("a bucket needs an access key", hint="add --credentials-file FILE")
    draft = LocationDraft(
        name=asked.name,
        folder=_path(asked.folder),
        bucket=asked.bucket,
        prefix=asked.prefix,
        endpoint=asked.endpoint,
        region=asked.region,
        path_style=not asked.virtual_host_style,
        skip_tls_verify=asked.skip_tls_verify,
        credentials_file=_path(asked.credentials_file),
        recovery_kit=_path(asked.recovery_kit),
        location_key_file=_path(asked.location_key_file),
    )
    location = await session.engine.locations.add(await session.cluster(), draft)
    if not session.json and draft.recovery_kit:
        print(f"recovery kit: {draft.recovery_kit}")
        print("keep a copy of it away from cluster and location: without it, and without the")
        print("cluster, nobody can read these backups")
    return _shown(session, location)


async def _check(session: Session) -> int:
    asked = session.arguments
    location = await session.engine.locations.check(
        await session.cluster(), asked.name, all_clusters=asked.all_clusters
    )
    return _shown(session, location)


def _shown(session: Session, location: LocationView) -> int:
    if session.json:
        output.print_json(location)
    else:
        about = f"{location.name}: {location.state}, {location.url}, {location.points} points"
        print(output.visible(about))
        if location.error:
            print(f"  {output.visible(location.error)}")
    return FAILED if location.state == "failed" else DONE


async def _list(session: Session) -> int:
    locations = await session.engine.locations.list(await session.cluster())
    if session.json:
        output.print_json(locations)
        return DONE
    output.print_table(
        ("NAME", "STATE", "URL", "POINTS", "KEY", "ERROR"),
        [
            (row.name, row.state, row.url, str(row.points), row.key_id, row.error)
            for row in locations
        ],
    )
    return DONE


def _password(arguments: argparse.Namespace) -> int:
    def work() -> int:
        print(offline_password(place_at(arguments.repository, arguments)))
        return DONE

    return guarded(work, json=False)


def _path(path: Path | None) -> str:
    return str(path.expanduser().absolute()) if path else ""
