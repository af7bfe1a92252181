"""What can go wrong with a store.

StoreError
├── Unavailable       the network or the server: try again (retryable)
├── AccessDenied      the credential is wrong or may not do this
├── NoSuchObject      the object is not there
├── NoSuchStore       the bucket or folder is not there, or the region or endpoint is wrong
├── Untrusted         the server's certificate can't be trusted
├── ReadOnly          this store was opened for reading only
├── OutOfSpace        no room left (or quota)
├── Damaged           what came back is not what was stored
│   └── ShortRead     the object ends before the range that was asked for
├── Unusable          a URL or setting a store can't be opened with
│   └── BadName       a name no object can have
└── BadCredentials    the credentials can't be read: file, line, field
"""

from __future__ import annotations


class StoreError(Exception):
    """A store did not do what was asked.

    Attributes:
        code: Stable, for programs: `store.unavailable`, `store.denied`, ...
        subject: The object or the store, without any credential.
        hint: What the user can do next; may be empty.
        retryable: Whether the same call may succeed later.
    """

    code = "store.failed"
    retryable = False

    def __init__(self, message: str, *, subject: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.subject = subject
        self.hint = hint


class Unavailable(StoreError):
    """The server could not be reached, did not answer, or is busy."""

    code = "store.unavailable"
    retryable = True


class AccessDenied(StoreError):
    """The credential is wrong, has expired, or may not do this; a wrong clock shows here too."""

    code = "store.denied"


class NoSuchObject(StoreError):
    """There is no object of this name."""

    code = "store.no_object"


class NoSuchStore(StoreError):
    """There is no such bucket or folder, or the endpoint or region is not the right one."""

    code = "store.no_store"


class Untrusted(StoreError):
    """TLS failed: the certificate is for another host, or signed by nobody we trust."""

    code = "store.untrusted"


class ReadOnly(StoreError):
    """The store was opened for reading only."""

    code = "store.read_only"


class OutOfSpace(StoreError):
    """No room is left."""

    code = "store.full"


class Damaged(StoreError):
    """What came back is not what was stored."""

    code = "store.damaged"


class ShortRead(Damaged):
    """The object ends before the range that was asked for."""

    code = "store.short"


class Unusable(StoreError):
    """A URL or setting that no store can be opened with."""

    code = "store.unusable"


class BadName(Unusable):
    """A name that no object can have."""

    code = "store.name"


class BadCredentials(StoreError):
    """The credentials can't be read; the message names file and line or field, never a value."""

    code = "store.credentials"
