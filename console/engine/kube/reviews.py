"""Who we are for a cluster, and who may do what there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.engine.errors import Forbidden, NotFound
from console.engine.kube.listing import read_json
from console.engine.kube.request import Request
from console.engine.model.record import Requester

if TYPE_CHECKING:
    from console.engine.kube.connection import Connection
    from console.engine.model.kinds import Kind, RawObject

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io/v1"


async def whoami(connection: Connection, *, fallback: str) -> Requester:
    """The user of our requests by SelfSubjectReview.

    Where there is none (below 1.28) or it is forbidden: `fallback`, marked unverified.
    """
    for version in ("v1", "v1beta1"):
        api = f"{_AUTHENTICATION}/{version}"
        review = {"apiVersion": api, "kind": "SelfSubjectReview"}
        try:
            answer = await _review(connection, api, "selfsubjectreviews", review)
        except (NotFound, Forbidden):
            continue
        user = answer.get("userInfo", {})
        return Requester(
            username=user.get("username", ""),
            uid=user.get("uid", ""),
            groups=tuple(user.get("groups") or ()),
            verified=True,
        )
    return Requester(username=fallback, verified=False)


async def may(
    connection: Connection,
    user: Requester | None,
    verb: str,
    kind: Kind,
    *,
    namespace: str,
    name: str,
) -> bool:
    """Whether `user` (None: we ourselves) may do `verb`; `<plural>/<part>` asks for a part."""
    resource, _, subresource = kind.plural.partition("/")
    attributes = {
        "verb": verb,
        "group": kind.group,
        "version": kind.version,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace if kind.namespaced else "",
        "name": name,
    }
    spec: dict[str, Any] = {"resourceAttributes": attributes}
    reviewed, plural = "SelfSubjectAccessReview", "selfsubjectaccessreviews"
    if user is not None:
        reviewed, plural = "SubjectAccessReview", "subjectaccessreviews"
        spec |= {"user": user.username, "uid": user.uid, "groups": list(user.groups)}
    review = {"apiVersion": _AUTHORIZATION, "kind": reviewed, "spec": spec}
    status = await _review(connection, _AUTHORIZATION, plural, review)
    return status.get("allowed") is True and status.get("denied") is not True


async def own_rules(connection: Connection, namespace: str) -> tuple[RawObject, ...]:
    """What we ourselves may do in a namespace, as rules; not complete with every authorizer."""
    kind = "SelfSubjectRulesReview"
    review = {"apiVersion": _AUTHORIZATION, "kind": kind, "spec": {"namespace": namespace}}
    status = await _review(connection, _AUTHORIZATION, "selfsubjectrulesreviews", review)
    return (*(status.get("resourceRules") or ()), *(status.get("nonResourceRules") or ()))


async def _review(
    connection: Connection, api: str, plural: str, review: dict[str, Any]
) -> dict[str, Any]:
    request = Request(
        method="POST", path=f"/apis/{api}/{plural}", body=review, subject=review["kind"]
    )
    answer = read_json(await connection.send(request), dict[str, Any], request.subject)
    status = answer.get("status")
    return status if isinstance(status, dict) else {}
