"""What *remove* would do, in plain words, as lines of text. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from console.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.engine import LostLocation, RemovedObject, RemovePlan

_SAVE = "kubectl get settings.kubehaven.io default -n kubehaven -o yaml > settings.yaml"
SHOWN = 50  # rows of what stays; a cluster may keep thousands


def explain_remove(plan: RemovePlan) -> list[str]:
    """What would go, what stays, and how to have it again."""
    gone = [one for one in plan.objects if one.verb == "delete"]
    kept = [one for one in plan.objects if one.verb == "keep"]
    lines = [
        visible(f"remove Kubehaven from {plan.cluster}: {len(gone)} objects, {len(kept)} stay")
    ]
    if plan.retires:
        lines += ["freed for good, first:", *(f"  {visible(name)}" for name in plan.retires)]
    if gone:
        lines += ["would be deleted:", *(_row(one) for one in gone)]
    if plan.records:
        lines += ["and with their kinds:"]
        lines += [visible(f"  {one.count} {one.resource}") for one in plan.records]
    if any(one.resource == "settings.kubehaven.io" for one in plan.records):
        lines += [f"  to save the settings: {_SAVE}"]
    if kept:
        lines += ["stays:", *(_row(one) for one in kept[:SHOWN])]
    if len(kept) > SHOWN:
        lines += [f"  and {len(kept) - SHOWN} more: --dry-run --output json lists all"]
    if plan.locations:
        lines += ["locations are forgotten, their data stays; to add them again:"]
        lines += [f"  {add_again(plan.cluster, one)}" for one in plan.locations]
    if plan.blockers:
        lines += ["what stands in the way:", *_blockers(plan)]
    return lines


def add_again(cluster: str, location: LostLocation) -> str:
    """The command that adds a location which was there; its key is in the recovery kit."""
    words = ["kubehaven", "location", "add", location.name, "--cluster", cluster]
    if location.folder:
        words += ["--folder", location.folder]
    else:
        named = {
            "--bucket": location.bucket,
            "--endpoint": location.endpoint,
            "--region": location.region,
            "--prefix": location.prefix,
        }
        words += [word for pair in named.items() if pair[1] for word in pair]
        words += ["--virtual-host-style"] if location.virtual_host_style else []
        words += ["--skip-tls-verify"] if location.skip_tls_verify else []
        words += ["--credentials-file", "FILE"]
    return visible(shlex.join([*words, "--location-key-file", "KIT"]))


def _row(one: RemovedObject) -> str:
    where = f"{one.namespace}/{one.name}" if one.namespace else one.name
    return visible(f"  {one.resource} {where}" + (f": {one.reason}" if one.reason else ""))


def _blockers(plan: RemovePlan) -> Iterator[str]:
    for blocker in plan.blockers:
        yield visible(f"  {blocker.object}: {blocker.message} [{blocker.code}]")
        if blocker.hint:
            yield visible(f"    → {blocker.hint}")
