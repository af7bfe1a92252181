"""`kubehaven export`: copy a local restore point into a location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.cli.follow import add_wait, follow_or_name
from console.cli.session import Session, on_engine

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    parser.add_argument("point", metavar="POINT")
    parser.add_argument("--location", metavar="L", required=True)
    add_wait(parser)
    on_engine(parser, _export)


async def _export(session: Session) -> int:
    asked = session.arguments
    action = await session.engine.actions.export(
        await session.cluster(), asked.point, location=asked.location
    )
    return await follow_or_name(session, action)
