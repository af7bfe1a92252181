"""What runs inside a worker pod: it moves bytes and knows no Kubernetes.

A job is read from a file, secrets from files; counters go to stdout, the result
into the termination log. The engine writes the job and reads the result: they
share a wire format, no code.
"""

from console.worker.job import COMMANDS, Command
from console.worker.result import Result
from console.worker.running import run
from console.worker.work import Places

__all__ = ["COMMANDS", "Command", "Places", "Result", "run"]
