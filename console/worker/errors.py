"""What can go wrong with a job before any work begins, or beside it.

WorkerError
├── BadJob           job.json or an argument can't be used: file and field
├── BadSecret        a file of the secrets folder is missing, or not what it should be
├── BadPacks         the objects of a point are not all there
└── ProbeFailed      what `cluster check` tries did not work

Errors of the repository and the store pass through as they are.
"""

from __future__ import annotations


class WorkerError(Exception):
    """A job can't be carried out.

    Attributes:
        code: Stable, for programs.
        subject: The file concerned.
        hint: What to do next; may be empty.
    """

    code = "worker.failed"

    def __init__(self, message: str, *, subject: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.hint = hint
        if code:
            self.code = code


class BadJob(WorkerError):
    """The job can't be used as it is written; trying again changes nothing."""

    code = "job.invalid"


class BadSecret(WorkerError):
    """A secret can't be read; the message names the file, never the content."""

    code = "job.secret"


class BadPacks(WorkerError):
    """What the point's manifest names is not there."""

    code = "objects.incomplete"


class ProbeFailed(WorkerError):
    """A volume or a location does not do what workers need of it."""

    code = "probe.failed"
