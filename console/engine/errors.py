"""The engine's errors.

EngineError              code, subject, hint, retryable
├── ClusterError         what the Kubernetes API or the way to it said
│   ├── Unreachable      no connection, wrong address, TLS not trusted (retryable)
│   ├── SignInFailed     401: the credential is wrong or has expired
│   ├── Forbidden        403
│   ├── NotFound         404
│   ├── AlreadyExists    409 on create
│   ├── Conflict         409 on update: somebody was there first
│   ├── Expired          410: the resourceVersion is too old
│   ├── Invalid          422 and 400: the object is refused
│   ├── Throttled        429 (retryable, after_s)
│   └── ServerFailed     5xx (retryable)
├── ExecFailed           a command in a container did not run, or not to its end
├── KubeconfigError      the kubeconfig can't be used: file, line, field
├── UntrustedPrograms    the kubeconfig names programs or files nobody has trusted yet
├── PlanError            the user can fix it: bad selection, missing class, name clash
├── RefusedError         the requester may not have this (architecture: Who may ask for what)
├── LocationError        the location can't be used as it is
├── WorkerFailed         a worker pod ended badly
├── DrivenElsewhere      another engine holds the Lease
└── LostLease            another engine took over while this one was driving

No text for the user is formatted here: `messages` in the window and the
command line add words by `code`; `message` is the plain fact.
"""

from __future__ import annotations


class EngineError(Exception):
    """Something the engine was asked for did not happen.

    Attributes:
        code: Stable, for programs.
        subject: The object concerned: `<kind> <namespace>/<name>`, a file, a cluster.
        hint: What to do next; may be empty.
        retryable: Whether the same call may succeed later.
    """

    code = "engine.failed"
    retryable = False

    def __init__(self, message: str, *, subject: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.hint = hint
        if code:
            self.code = code


class ClusterError(EngineError):
    """The Kubernetes API, or the way to it, said no."""

    code = "cluster.failed"


class Unreachable(ClusterError):
    """No answer: address, network, proxy or TLS."""

    code = "cluster.unreachable"
    retryable = True


class SignInFailed(ClusterError):
    """401: the credential is wrong or has expired."""

    code = "cluster.sign_in"


class Forbidden(ClusterError):
    """403: this account may not do that."""

    code = "cluster.forbidden"


class NotFound(ClusterError):
    """404: the object or its kind is not there."""

    code = "cluster.not_found"


class AlreadyExists(ClusterError):
    """409 on create."""

    code = "cluster.exists"


class Conflict(ClusterError):
    """409 on update: the object has changed since it was read, or a precondition failed."""

    code = "cluster.conflict"


class Expired(ClusterError):
    """410: the resourceVersion or continue token is too old; list again."""

    code = "cluster.expired"


class Invalid(ClusterError):
    """400 or 422: the object is refused."""

    code = "cluster.invalid"


class Throttled(ClusterError):
    """429: try again after `after_s` seconds."""

    code = "cluster.throttled"
    retryable = True
    after_s = 1.0


class ServerFailed(ClusterError):
    """5xx."""

    code = "cluster.server"
    retryable = True


class ExecFailed(EngineError):
    """A command in a container did not run, or its end was not seen; the code says which."""

    code = "exec.failed"


class KubeconfigError(EngineError):
    """The kubeconfig can't be used; the message names file and field."""

    code = "kubeconfig.invalid"


class UntrustedPrograms(EngineError):
    """The kubeconfig names programs or files that were not trusted; `items` lists each."""

    code = "kubeconfig.untrusted"

    def __init__(self, message: str, *, items: tuple[str, ...], subject: str = "") -> None:
        super().__init__(message, subject=subject)
        self.items = items


class PlanError(EngineError):
    """What was asked can't be planned; the user can fix it."""

    code = "plan.invalid"


class RefusedError(EngineError):
    """The requester may not have this."""

    code = "refused"


class LocationError(EngineError):
    """The location can't be used as it is."""

    code = "location.invalid"


class WorkerFailed(EngineError):
    """A worker pod ended badly; the message is what it said."""

    code = "worker.failed"


class DrivenElsewhere(EngineError):
    """Another engine drives this cluster; `holder` says which."""

    code = "driver.elsewhere"

    def __init__(self, message: str, *, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


class LostLease(EngineError):
    """Another engine took over; this one stops at once."""

    code = "driver.lost"
