"""Which location or repository a command without any cluster means, and the key to it."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.session import guarded
from console.cli.usage import UsageError
from console.engine import OfflinePlace
from console.storage import credentials_from_environment, credentials_from_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_key_options(parser: argparse.ArgumentParser) -> None:
    """Add the location key, and what else a store needs."""
    parser.add_argument(
        "--location-key-file", type=Path, metavar="KIT", help="the location's recovery kit"
    )
    parser.add_argument(
        "--credentials-file",
        type=Path,
        metavar="FILE",
        help="access key, as INI or JSON; else from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )
    parser.add_argument("--region", metavar="NAME", default="")
    parser.add_argument(
        "--virtual-host-style", action="store_true", help="the bucket is part of the host's name"
    )
    parser.add_argument("--ca-bundle", metavar="FILE", default="", help="PEM, to trust")
    parser.add_argument("--skip-tls-verify", action="store_true")


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Let a command work without a cluster: on a location, or on one repository."""
    place = parser.add_mutually_exclusive_group()
    where = "a folder, or s3:https://host:port/bucket/prefix"
    place.add_argument("--location", metavar="URL", help=f"no cluster: {where}")
    place.add_argument("--repository", metavar="URL", help="no cluster: one of its repositories")
    add_key_options(parser)


def named_place(arguments: argparse.Namespace) -> OfflinePlace | None:
    """The place that the arguments name; None where the command means a cluster."""
    url = arguments.location or arguments.repository
    if not url and arguments.location_key_file:
        raise UsageError("whose key is this?", hint="add --location URL or --repository URL")
    return place_at(url, arguments) if url else None


def place_at(url: str, arguments: argparse.Namespace) -> OfflinePlace:
    """The place at a URL, with key and settings from the arguments.

    Raises:
        UsageError: The key is missing.
        StoreError: The credentials can't be read.
    """
    if arguments.location_key_file is None:
        raise UsageError("the location's key is needed", hint="add --location-key-file KIT")
    return OfflinePlace(
        url=url,
        key_file=str(arguments.location_key_file.expanduser()),
        credentials=(
            credentials_from_environment(os.environ)
            if arguments.credentials_file is None
            else credentials_from_file(arguments.credentials_file)
        ),
        region=arguments.region,
        path_style=False if arguments.virtual_host_style else None,
        skip_tls_verify=arguments.skip_tls_verify,
        ca_bundle=arguments.ca_bundle,
    )


def here_or_there(
    offline: Callable[[OfflinePlace, argparse.Namespace], int],
    on_cluster: Callable[[argparse.Namespace], int],
) -> Callable[[argparse.Namespace], int]:
    """What a command runs that works both without a cluster, where a place is named, and with."""
    return functools.partial(_choose, offline, on_cluster)


def _choose(
    offline: Callable[[OfflinePlace, argparse.Namespace], int],
    on_cluster: Callable[[argparse.Namespace], int],
    arguments: argparse.Namespace,
) -> int:
    def work() -> int:
        place = named_place(arguments)
        return on_cluster(arguments) if place is None else offline(place, arguments)

    return guarded(work, json=arguments.output == "json")
