"""`kubehaven restore`: bring an application back, after showing how."""

from __future__ import annotations

import argparse

from console.cli import output
from console.cli.exits import DONE, FAILED
from console.cli.explain import explain_restore
from console.cli.follow import add_wait, follow_or_name
from console.cli.session import Session, confirmed, on_engine
from console.engine import RestoreRequest


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `restore`."""
    parser.add_argument("point", metavar="POINT")
    parser.add_argument("--to", metavar="NAMESPACE", default="", help="default: where it was")
    parser.add_argument(
        "--storage-class",
        metavar="OLD=NEW",
        action="append",
        default=[],
        type=_mapping,
        help="use another storage class; `=NEW` for claims that name none",
    )
    parser.add_argument(
        "--in-place",
        action="store_true",
        help="swap the volumes of the running application; `action undo` swaps them back",
    )
    parser.add_argument(
        "--map-owner",
        metavar="A:B",
        action="append",
        default=[],
        type=_owners,
        help="files of the user or group A become B's, while they are restored",
    )
    parser.add_argument(
        "--size",
        metavar="CLAIM=SIZE",
        action="append",
        default=[],
        type=_size,
        help="make a claim larger than it was, as data=20Gi",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_wait(parser)
    on_engine(parser, _restore)


def _mapping(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals or not new:
        raise argparse.ArgumentTypeError(f"{text!r} is not OLD=NEW")
    return old, new


def _owners(text: str) -> tuple[str, int]:
    old, _, new = text.partition(":")
    if not (old.isascii() and old.isdigit() and new.isascii() and new.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B, two user or group ids")
    return str(int(old)), int(new)


def _size(text: str) -> tuple[str, str]:
    claim, equals, size = text.partition("=")
    if not equals or not claim or not size:
        raise argparse.ArgumentTypeError(f"{text!r} is not CLAIM=SIZE")
    return claim, size


async def _restore(session: Session) -> int:
    asked = session.arguments
    cluster = await session.cluster()
    request = RestoreRequest(
        point=asked.point,
        target=asked.to,
        storage_class_map=dict(asked.storage_class),
        in_place=asked.in_place,
        owner_map=dict(asked.map_owner),
        claim_sizes=dict(asked.size),
    )
    preview = await session.engine.restore_points.preview(cluster, request)
    if not session.json:
        print(*explain_restore(preview), sep="\n")
    if asked.dry_run or preview.blockers:
        if session.json:
            output.print_json(preview)
        return FAILED if preview.blockers else DONE
    await confirmed(session, f"restore into namespace {preview.target} of {cluster} like this?")
    action = await session.engine.actions.restore(cluster, request, plan_hash=preview.hash)
    return await follow_or_name(session, action)
