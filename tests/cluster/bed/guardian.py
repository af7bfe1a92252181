"""`python -m tests.cluster.bed.guardian [N…]`: waits for the end of its input, then takes down.

N is the number of a cluster; without one all are taken down.
"""

from __future__ import annotations

import signal
import sys

from tests.cluster.bed.clusters import down

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
down(*map(int, sys.argv[1:]))
