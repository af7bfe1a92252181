"""Who asks, what each may do, and the reviews that tell it."""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from console.sandbox import faults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from console.sandbox.kinds import Raw, Resource


@dataclass(frozen=True, slots=True)
class Rule:
    """What a user may do; '*' stands for everything. `resources` are `<plural>[/sub]`."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...]
    resources: tuple[str, ...]
    namespaces: tuple[str, ...] = ("*",)
    names: tuple[str, ...] = ("*",)


EVERYTHING = Rule(("*",), ("*",), ("*",))


class Asked(NamedTuple):
    """One thing that somebody wants to do."""

    verb: str
    group: str
    resource: str  # <plural>[/sub]
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token."""

    name: str
    groups: tuple[str, ...]
    rules: tuple[Rule, ...]
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def may(self, asked: Asked) -> bool:
        """Whether a rule allows it."""
        return any(_allows(rule, asked) for rule in self.rules)


def _allows(rule: Rule, asked: Asked) -> bool:
    pairs = (
        (rule.verbs, asked.verb),
        (rule.groups, asked.group),
        (rule.resources, asked.resource),
        (rule.namespaces, asked.namespace),
        (rule.names, asked.name),
    )
    return all("*" in offered or wanted in offered for offered, wanted in pairs)


class Access:
    """The users by token. Their rules are the whole authorisation: RBAC objects change nothing."""

    def __init__(self) -> None:
        self._by_token: dict[str, User] = {}

    def add(self, name: str, *, groups: Iterable[str] = (), rules: Iterable[Rule] = ()) -> str:
        """A new user; returns the token."""
        token = secrets.token_urlsafe(32)
        member = (*groups, "system:authenticated")
        self._by_token[token] = User(name, member, tuple(rules))
        return token

    def who(self, authorization: str) -> User:
        """The user of an Authorization header; ApiError 401."""
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "bearer":
            for token, user in self._by_token.items():
                if hmac.compare_digest(token.encode(), given.strip().encode()):
                    return user
        raise faults.unauthorized()

    def check(self, user: User, resource: Resource, asked: Asked) -> None:
        """ApiError 403 in the API's words when the user may not."""
        if user.may(asked):
            return
        where = (
            f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
        )
        why = (
            f'User "{user.name}" cannot {asked.verb} resource "{asked.resource}"'
            f' in API group "{asked.group}" {where}'
        )
        raise faults.forbidden(resource, asked.name, why)

    def review(self, user: User, obj: Raw) -> Raw:
        """Answer a review object."""
        spec = obj.get("spec", {})
        match obj["kind"]:
            case "SelfSubjectReview":
                status: Raw = {"userInfo": _told(user)}
            case "SelfSubjectAccessReview":
                status = _verdict(user, spec)
            case "SubjectAccessReview":
                status = _verdict(self._subject(spec), spec)
            case _:
                status = _rules(user, spec.get("namespace", ""))
        meta = {**obj.get("metadata", {}), "creationTimestamp": None}
        return {**obj, "metadata": meta, "status": status}

    def _subject(self, spec: Raw) -> User:
        """A user by name; of a group it knows only system:masters."""
        if "system:masters" in (spec.get("groups") or ()):
            return User(spec.get("user", ""), (), (EVERYTHING,))
        for user in self._by_token.values():
            if user.name == spec.get("user"):
                return user
        return User(spec.get("user", ""), (), ())


def _told(user: User) -> Raw:
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups)}


def _verdict(user: User, spec: Raw) -> Raw:
    if "nonResourceAttributes" in spec:
        allowed = any(rule == EVERYTHING for rule in user.rules)
        return {"allowed": allowed}
    wanted = spec.get("resourceAttributes") or {}
    under = f"/{wanted['subresource']}" if wanted.get("subresource") else ""
    asked = Asked(
        wanted.get("verb", ""),
        wanted.get("group", ""),
        wanted.get("resource", "") + under,
        wanted.get("namespace", ""),
        wanted.get("name", ""),
    )
    allowed = user.may(asked)
    return {
        "allowed": allowed,
        "reason": "" if allowed else f"no rule of the sandbox for {user.name}",
    }


def _rules(user: User, namespace: str) -> Raw:
    listed = [
        {
            "verbs": list(rule.verbs),
            "apiGroups": list(rule.groups),
            "resources": list(rule.resources),
            **({} if "*" in rule.names else {"resourceNames": list(rule.names)}),
        }
        for rule in user.rules
        if "*" in rule.namespaces or namespace in rule.namespaces
    ]
    return {"resourceRules": listed, "nonResourceRules": [], "incomplete": False}
