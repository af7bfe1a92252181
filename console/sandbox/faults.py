"""Answers other than success, with the Status bodies that the real API writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from console.sandbox.kinds import Raw, Resource


class Cause(NamedTuple):
    """One field that is wrong; `reason` as in FieldValueInvalid."""

    field: str
    reason: str
    message: str


class ApiError(Exception):
    """A refused request; `status` is the body."""

    def __init__(self, code: int, reason: str, message: str, details: Raw | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}

    def status(self) -> Raw:
        """The Status object."""
        body: Raw = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        return body


def _details(resource: Resource, name: str, **more: Any) -> Raw:
    details: Raw = {"name": name, "group": resource.group, "kind": resource.plural, **more}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> ApiError:
    """404."""
    text = f'{resource.id} "{name}" not found'
    return ApiError(404, "NotFound", text, _details(resource, name))


def no_such_path() -> ApiError:
    """404 of a path that is not served."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 of a create."""
    text = f'{resource.id} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, _details(resource, name))


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    """409 of a write that started from an old or another object."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version"
        " and try again"
    )
    text = f'Operation cannot be fulfilled on {resource.id} "{name}": {why}'
    return ApiError(409, "Conflict", text, _details(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 with every wrong field."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    told = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    text = f'{kind} "{name}" is invalid: {listed}'
    raw = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    details = {"name": name, "group": resource.group, "kind": resource.kind, "causes": raw}
    return ApiError(422, "Invalid", text, {key: value for key, value in details.items() if value})


def immutable(resource: Resource, name: str, field: str, why: str) -> ApiError:
    """422 of a change to a field that stays as it was born."""
    return invalid(resource, name, [Cause(field, "FieldValueForbidden", f"Forbidden: {why}")])


def forbidden(resource: Resource, name: str, why: str, causes: list[Raw] | None = None) -> ApiError:
    """403."""
    what = f'{resource.id} "{name}"' if name else resource.id
    return ApiError(
        403, "Forbidden", f"{what} is forbidden: {why}", _details(resource, name, causes=causes)
    )


def bad_request(why: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", why)


def unprocessable(why: str) -> ApiError:
    """422 of a patch that cannot be applied."""
    return ApiError(422, "Invalid", why)


def expired(why: str) -> ApiError:
    """410."""
    return ApiError(410, "Expired", why)


def too_large(limit: int) -> ApiError:
    """413."""
    text = f"Request entity too large: limit is {limit}"
    return ApiError(413, "RequestEntityTooLarge", text)


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_allowed(resource: Resource) -> ApiError:
    """405."""
    text = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text, _details(resource, ""))


def unsupported_media_type(asked: str, offered: Sequence[str]) -> ApiError:
    """415."""
    text = (
        f"the body of the request was in an unknown format ({asked})"
        f" - accepted media types include: {', '.join(offered)}"
    )
    return ApiError(415, "UnsupportedMediaType", text)
