"""`python -m tests.cluster.bed up N | down | build`: the clusters by hand."""

from __future__ import annotations

import sys

from tests.cluster.bed import building
from tests.cluster.bed.clusters import down, up
from tests.cluster.bed.guard import missing
from tests.cluster.bed.places import Cluster
from tests.cluster.bed.processes import BedFault


def main(words: list[str]) -> int:
    """Do it; the exit code."""
    reason = missing()
    if reason:
        print(f"test bed: not on this machine: {reason}", file=sys.stderr)
        return 1
    try:
        match words:
            case ["build"]:
                building.binaries()
                building.system_images()
                building.worker_image()
                building.postgres_image()
                building.django_image()
            case ["up", number] if number.isdigit() and 1 <= int(number) <= 9:
                for one in range(1, int(number) + 1):
                    cluster = Cluster(one)
                    took = up(cluster)
                    print(f"{cluster.name} is up after {took:.0f} s:")
                    print(f"export KUBECONFIG={cluster.kubeconfig}")
            case ["down"]:
                gone = down()
                print(f"removed: {', '.join(gone) or 'nothing was there'}")
            case _:
                print("usage: python -m tests.cluster.bed build | up N | down", file=sys.stderr)
                return 2
    except BedFault as fault:
        print(f"test bed: {fault}", file=sys.stderr)
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
