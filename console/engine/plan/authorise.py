"""Who may ask for what: the checks before an action is accepted, each with its reason.

The engine can do anything, so an action must prove its requester's rights
(architecture: Who may ask for what). A refusal is final (the action ends as
Failed) or leaves it Pending for an engine that may drive it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from console.engine.model.names import NAMESPACE
from console.engine.model.record import Requester
from console.engine.model.views import Blocker
from console.engine.plan.raw import describe, items, name_of, namespace_of, part, text, uid_of

if TYPE_CHECKING:
    from console.engine.model.kinds import RawObject
    from console.engine.plan.restore_plan import RestorePlan

_CONTROL = frozenset({"cancel", "paused", "priority"})
SELF_SERVICE_UNAVAILABLE = "SelfServiceUnavailable"


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an action is not carried out."""

    code: str
    message: str
    hint: str = ""
    subject: str = ""
    pending: str = ""  # set: it stays Pending with this reason; empty: it ends as Failed


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the surroundings of an action.

    `point` and `content` are the objects that the action names, None where
    they are not there; `point_namespace_uid` is the uid of the point's
    namespace now.
    """

    point: dict[str, Any] | None = None
    content: dict[str, Any] | None = None
    point_namespace_uid: str = ""
    driver: Requester = Requester(username="")  # who drives
    desktop: bool = False  # a desktop engine: drives its own user's actions only
    admission_policy: bool = False  # the cluster checks requestedBy itself
    may_exec: bool = True  # whoever asks may run commands in the application's pods
    location_open_to: tuple[str, ...] = ()  # namespaces that an export's location is open to


def spec_hash(spec: RawObject) -> str:
    """SHA-256 over the part of an action's spec that may not change, in canonical JSON."""
    fixed = {key: value for key, value in spec.items() if key not in _CONTROL}
    return hashlib.sha256(msgspec.json.encode(fixed, order="sorted")).hexdigest()


def check_action(action: RawObject, *, facts: RequestFacts) -> Refusal | None:
    """Why an action must not be carried out now; None when it may be.

    What is wrong for good is found before what only lacks an engine that may drive it.
    """
    found = _altered(action) or _elsewhere(action) or _unbound(action, facts)
    found = found or _hooks(action, facts) or _transforms(action)
    found = found or _closed(action, facts)
    found = found or _self_service(action, facts) or _foreign(action, facts)
    return msgspec.structs.replace(found, subject=describe(action)) if found else None


def beyond(plan: RestorePlan, home: str) -> tuple[Blocker, ...]:
    """Attack (b): what a restore would write that is not in the namespace that it is for.

    Args:
        home: The namespace in which it is asked for.
    """
    foreign, wide = Counter[str](), Counter[str]()
    for item in [item for wave in plan.waves for item in wave]:
        if item.verb != "create":
            continue
        if not item.kind.namespaced:
            wide[item.kind.resource] += 1
        elif namespace_of(item.obj) != plan.target:
            foreign[namespace_of(item.obj)] += 1
    if plan.namespace.verb == "create":
        wide["namespaces"] += 1
    outside = tuple(
        Blocker(
            code="restore.other_namespace",
            message=f"{count} objects of the restore point are for the namespace {namespace!r}, "
            f"and this restore is for {plan.target}",
            object=f"namespaces/{namespace}",
            hint="do not trust the restore point: no backup makes one like this",
        )
        for namespace, count in sorted(foreign.items())
    )
    if home == NAMESPACE:
        return outside
    return outside + tuple(
        Blocker(
            code="restore.cluster_scoped",
            message=f"it would make {count} {resource}, which belong to the whole cluster",
            object=resource,
            hint=f"an administrator can ask for it in the namespace {NAMESPACE}",
        )
        for resource, count in sorted(wide.items())
    )


def _altered(action: RawObject) -> Refusal | None:
    accepted = text(action, "status", "specHash")
    if not accepted or accepted == spec_hash(part(action, "spec")):
        return None
    return Refusal(
        code="action.altered",
        message="the action's spec was altered after it was accepted",
        hint="make a new action instead",
    )


def _elsewhere(action: RawObject) -> Refusal | None:
    """Attack (b): an action works on the namespace it lives in, unless it lives in ours."""
    home = namespace_of(action)
    if home == NAMESPACE:
        return None
    if text(action, "kind") == "RetireAction":
        return Refusal(
            code="action.not_here",
            message=f"restore points are retired from the namespace {NAMESPACE} only",
            hint="ask an administrator",
        )
    subject = part(action, "spec", "subject")
    target = text(action, "spec", "targetNamespace")
    if target and target != home:
        return _not_here("action.other_target", f"it would write to {target}")
    if subject_kind(action) == "RestorePointContent":
        return _not_here("action.other_subject", "it names a RestorePointContent")
    named = text(subject, "namespace")
    if subject_kind(action) == "Namespace" and text(subject, "name") != home:
        named = text(subject, "name")
    if named and named != home:
        return _not_here("action.other_subject", f"it works on {named}")
    return None


def _hooks(action: RawObject, facts: RequestFacts) -> Refusal | None:
    """Attack (f): commands run in the application's own pods only, for who may run them there."""
    hooks = items(action, "spec", "hooks")
    if not hooks:
        return None
    subject = part(action, "spec", "subject")
    application = text(subject, "namespace") or text(subject, "name")
    foreign = [text(hook, "namespace") for hook in hooks]
    foreign = [name for name in foreign if name and name != application]
    if foreign:
        return Refusal(
            code="action.hook_elsewhere",
            message=f"a hook names the namespace {foreign[0]}, but hooks run in {application} only",
            hint="leave the hook's namespace out",
        )
    if namespace_of(action) != NAMESPACE:
        return _not_here("action.hooks", "it has hooks")
    if not facts.may_exec:
        who = text(action, "spec", "requestedBy", "username")
        return Refusal(
            code="action.hook_rights",
            message=f"{who} may not run commands in the pods of {application}",
            hint=f"it needs create on pods/exec in the namespace {application}",
        )
    return None


def _transforms(action: RawObject) -> Refusal | None:
    """Attack (c): a transform could make of a harmless point whatever its author likes."""
    if not items(action, "spec", "transforms"):
        return None
    if namespace_of(action) != NAMESPACE:
        return _not_here("action.transforms", "it has transforms of its own")
    return Refusal(
        code="restore.transforms",
        message="this Kubehaven does not carry out transforms yet",
        hint="restore without spec.transforms, and change the objects afterwards",
    )


def _not_here(code: str, what: str) -> Refusal:
    return Refusal(
        code=code,
        message=f"{what}, but an action may only work on its own namespace",
        hint=f"an administrator can ask for it in the namespace {NAMESPACE}",
    )


def subject_kind(action: RawObject) -> str:
    """The kind of an action's subject, the default filled in."""
    of_namespaces = {"BackupAction", "RetireAction"}
    default = "Namespace" if text(action, "kind") in of_namespaces else "RestorePoint"
    return text(action, "spec", "subject", "kind") or default


def _unbound(action: RawObject, facts: RequestFacts) -> Refusal | None:
    """Attack (a): a RestorePoint and its content name each other, with uid and namespace uid."""
    kind = subject_kind(action)
    if kind in {"Namespace", "RestoreAction"}:
        return None
    subject = part(action, "spec", "subject")
    if kind == "RestorePointContent":
        wanted = text(subject, "name")
        found = facts.content is not None and name_of(facts.content) == wanted
        return None if found else _missing(f"RestorePointContent {wanted}")
    where = text(subject, "namespace") or namespace_of(action)
    point = facts.point
    if point is None or (namespace_of(point), name_of(point)) != (where, text(subject, "name")):
        return _missing(f"RestorePoint {where}/{text(subject, 'name')}")
    ref = part(point, "spec", "restorePointContentRef")
    if facts.content is None or name_of(facts.content) != text(ref, "name"):
        return _missing(f"RestorePointContent {text(ref, 'name')}")
    return _binding(point, facts.content, facts.point_namespace_uid)


def _binding(point: RawObject, content: RawObject, namespace_uid: str) -> Refusal | None:
    claimed = text(point, "spec", "restorePointContentRef", "uid")
    bound = part(content, "status", "restorePointRef")
    mine = {
        "namespace": namespace_of(point),
        "name": name_of(point),
        "uid": uid_of(point),
        "namespaceUID": namespace_uid,
    }
    wrong = [field for field, value in mine.items() if not value or bound.get(field) != value]
    if not wrong and claimed in {"", uid_of(content)}:
        return None
    theirs = f"{bound.get('namespace', '')}/{bound.get('name', '')}" if bound else "no RestorePoint"
    differs = ", ".join(wrong or ["uid of the content"])
    return Refusal(
        code="point.not_bound",
        message=f"RestorePoint {mine['namespace']}/{mine['name']} names the content "
        f"{name_of(content)}, which is bound to {theirs} (differs: {differs})",
        hint="an administrator can hand the content over to this namespace",
    )


def _closed(action: RawObject, facts: RequestFacts) -> Refusal | None:
    """Attack (g): a location is an administrator's until he opens it to a namespace."""
    home = namespace_of(action)
    if text(action, "kind") != "ExportAction" or home == NAMESPACE:
        return None
    if home in facts.location_open_to:
        return None
    location = text(action, "spec", "profile", "name")
    return Refusal(
        code="location.not_open",
        message=f"Location {location} is not open to the namespace {home}",
        hint="an administrator can add it to the location's spec.allowedNamespaces",
    )


def _missing(what: str) -> Refusal:
    return Refusal(
        code="point.missing",
        message=f"{what} is not there",
        hint="choose one that is listed",
    )


def _self_service(action: RawObject, facts: RequestFacts) -> Refusal | None:
    """Without the admission policy anybody could write any name into requestedBy."""
    if namespace_of(action) == NAMESPACE or facts.admission_policy:
        return None
    return Refusal(
        code="action.self_service",
        message=f"actions outside {NAMESPACE} wait: this cluster does not check who asks",
        hint=f"ask for it in {NAMESPACE}, or prepare a cluster of Kubernetes 1.30 or newer",
        pending=SELF_SERVICE_UNAVAILABLE,
    )


def _foreign(action: RawObject, facts: RequestFacts) -> Refusal | None:
    """Attack (e): a desktop engine drives its own user's actions, with its own user's rights."""
    asked = part(action, "spec", "requestedBy")
    if not text(asked, "username"):
        if namespace_of(action) == NAMESPACE and not facts.desktop:
            return None  # only administrators write there
        return Refusal(
            code="action.requester_missing",
            message="the action does not say who asks (spec.requestedBy)",
            hint="make it with kubehaven, which fills it in",
            pending="RequesterMissing",
        )
    driver = facts.driver
    same_uid = not text(asked, "uid") or not driver.uid or text(asked, "uid") == driver.uid
    if not facts.desktop or (text(asked, "username") == driver.username and same_uid):
        return None
    return Refusal(
        code="action.other_requester",
        message=f"{text(asked, 'username')} asked for it; this engine drives only the actions "
        f"of {driver.username or 'its own user'}",
        hint="let the requester's own desktop drive it, or install the engine in the cluster",
        pending="OtherRequester",
    )
