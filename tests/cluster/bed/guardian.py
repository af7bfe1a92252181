"""`python -m tests.cluster.bed.guardian`: takes clusters down when its input has ended.

Each line of the input is the number of a cluster.
"""

from __future__ import annotations

import signal
import sys

from tests.cluster.bed.clusters import down

signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
numbers = [int(line) for line in sys.stdin]
if numbers:
    down(*numbers)
