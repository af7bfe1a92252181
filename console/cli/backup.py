"""`kubehaven backup`: make a restore point of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.cli.follow import add_wait, follow_or_name
from console.cli.session import Session, on_engine

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `backup`."""
    parser.add_argument("application", metavar="APP")
    parser.add_argument("--export", metavar="LOCATION", default="", help="then copy it there")
    add_wait(parser)
    on_engine(parser, _back_up)


async def _back_up(session: Session) -> int:
    asked = session.arguments
    action = await session.engine.actions.back_up(
        await session.cluster(), asked.application, export_to=asked.export
    )
    return await follow_or_name(session, action, then_export=asked.export)
