"""Whether somebody holds all that a role gives, as the API server asks before it lets him grant it.

Pure. Kubernetes compares rule by rule, by what RBAC gives and not by asking right by right: a
role of five hundred rights is one comparison.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from console.engine.plan.raw import items, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from console.engine.model.kinds import RawObject
    from console.engine.model.record import Requester


class Rule(NamedTuple):
    """One rule of a role; `*` stands for everything, no names stand for all."""

    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()


class _One(NamedTuple):
    """The smallest part of a rule."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    url: str = ""


def rules_of(obj: RawObject, *where: str) -> tuple[Rule, ...]:
    """The rules of a role, or of a review's answer at a path of keys."""
    return tuple(
        Rule(
            tuple(rule.get("verbs") or ()),
            tuple(rule.get("apiGroups") or ()),
            tuple(rule.get("resources") or ()),
            tuple(rule.get("resourceNames") or ()),
            tuple(rule.get("nonResourceURLs") or ()),
        )
        for rule in items(obj, *(where or ("rules",)))
    )


def covers(held: Iterable[Rule], wanted: Iterable[Rule]) -> bool:
    """Whether the rules that are held give all that the wanted ones give."""
    held = tuple(held)
    return all(any(_gives(rule, one) for rule in held) for rule in wanted for one in _split(rule))


def bound_roles(bindings: Iterable[RawObject], user: Requester) -> set[tuple[str, str]]:
    """(kind, name) of the roles that these bindings give to a user."""
    return {
        (text(binding, "roleRef", "kind"), text(binding, "roleRef", "name"))
        for binding in bindings
        if any(_is(subject, user) for subject in items(binding, "subjects"))
    }


def _is(subject: RawObject, user: Requester) -> bool:
    kind, name = text(subject, "kind"), text(subject, "name")
    if kind == "Group":
        return name in user.groups
    if kind == "ServiceAccount":
        name = f"system:serviceaccount:{text(subject, 'namespace')}:{name}"
    return name == user.username and kind in {"User", "ServiceAccount"}


def _split(rule: Rule) -> Iterator[_One]:
    yield from (_One(verb, url=url) for verb, url in product(rule.verbs, rule.urls))
    for parts in product(rule.verbs, rule.groups, rule.resources, rule.names or ("",)):
        yield _One(*parts)


def _gives(rule: Rule, one: _One) -> bool:
    if not {"*", one.verb} & set(rule.verbs):
        return False
    if one.url:
        return any(
            url == one.url or (url.endswith("*") and one.url.startswith(url[:-1]))
            for url in rule.urls
        )
    _, slash, sub = one.resource.partition("/")
    return bool(
        {"*", one.group} & set(rule.groups)
        and {"*", one.resource, f"*/{sub}" if slash else "*"} & set(rule.resources)
        and (not rule.names or one.name in rule.names)
    )
