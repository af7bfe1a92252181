"""Namespaces, accounts, Secrets and bindings: whose they are in the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.engine.plan.raw import annotations_of, items, name_of, text
from console.engine.plan.select import is_generated

if TYPE_CHECKING:
    from typing import Any

    from console.engine.plan.draft import Draft

_NEW_TOKEN = "the cluster makes a new one"  # noqa: S105  # words, no token


def namespace(draft: Draft) -> None:
    """Labels and annotations are kept; names, ranges and finalizers are the target's own."""
    draft.drop_labels(("kubernetes.io/metadata.name",), because="it follows from the name")
    # the uid range is allocated anew; volumes keep their owners (MA c.9 rule 9)
    draft.drop_annotations(("openshift.io/sa.scc.*",), because="the target gives its own range")
    if draft.part("metadata").get("finalizers"):
        draft.drop("metadata", "finalizers", because="its controllers set them again")
    draft.drop("spec", "finalizers", because="the cluster sets it again")
    if not draft.part("spec"):
        draft.obj.pop("spec", None)
    if draft.context.moves and name_of(draft.obj) == draft.context.source_namespace:
        draft.part("metadata")["name"] = draft.context.target_namespace
        draft.say(f"name: {draft.context.source_namespace} -> {draft.context.target_namespace}")


def service_account(draft: Draft) -> None:
    """References to generated token and registry Secrets (Velero c.4)."""
    name = name_of(draft.obj)
    for field in ("secrets", "imagePullSecrets"):
        there = items(draft.obj, field)
        kept = [ref for ref in there if not is_generated(name, text(ref, "name"))]
        if len(kept) == len(there):
            continue
        gone = ", ".join(text(ref, "name") for ref in there if ref not in kept)
        draft.obj[field] = kept
        if not kept:
            del draft.obj[field]
        draft.say(f"{field} {gone} removed: {_NEW_TOKEN}")
    draft.drop_annotations(("openshift.io/internal-registry-pull-secret-ref",), because=_NEW_TOKEN)


def secret(draft: Draft) -> None:
    """A token asked for by hand: the request stays, the token goes (Velero c.4)."""
    if text(draft.obj, "type") != "kubernetes.io/service-account-token" or not draft.from_server:
        return
    draft.drop_annotations(("kubernetes.io/service-account.uid",), because=_NEW_TOKEN)
    for key in ("token", "ca.crt", "namespace"):
        draft.drop("data", key, because=_NEW_TOKEN)
    if "data" in draft.obj and not draft.part("data"):
        del draft.obj["data"]


def role_binding(draft: Draft) -> None:
    """Subjects of the old namespace become subjects of the new one (Velero c.4)."""
    if not draft.context.moves:
        return
    for subject in items(draft.obj, "subjects"):
        _move_subject(draft, subject)


def lock_holder(draft: Draft) -> None:
    """A leader's lock in a ConfigMap or Endpoints names a process that is gone."""
    mark = "control-plane.alpha.kubernetes.io/leader"
    if mark in annotations_of(draft.obj):
        draft.drop_annotations((mark,), because="its holder is gone")


def _move_subject(draft: Draft, subject: dict[str, Any]) -> None:
    source, target = draft.context.source_namespace, draft.context.target_namespace
    name = text(subject, "name")
    if subject.get("kind") == "ServiceAccount" and subject.get("namespace") == source:
        subject["namespace"] = target
        draft.say(f"subject ServiceAccount {name}: {source} -> {target}")
    if subject.get("kind") == "Group" and name == f"system:serviceaccounts:{source}":
        subject["name"] = f"system:serviceaccounts:{target}"
        draft.say(f"subject {name} -> {subject['name']}")
    prefix = f"system:serviceaccount:{source}:"
    if subject.get("kind") == "User" and name.startswith(prefix):
        subject["name"] = f"system:serviceaccount:{target}:{name.removeprefix(prefix)}"
        draft.say(f"subject {name} -> {subject['name']}")
