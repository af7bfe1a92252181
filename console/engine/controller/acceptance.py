"""Whether an action may be carried out: reads the facts, then asks the pure rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.actions.authorising import lacking_rights
from console.engine.model.kinds import (
    CLAIMS,
    LOCATIONS,
    NAMESPACES,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    Kind,
    RawObject,
)
from console.engine.model.names import NAMESPACE
from console.engine.model.record import Requester
from console.engine.plan.authorise import Refusal, RequestFacts, check_action, subject_kind
from console.engine.plan.engine_rights import backup_engine_needs, export_engine_needs
from console.engine.plan.raw import describe, text

if TYPE_CHECKING:
    from console.engine.kube import KubeClient
    from console.engine.plan.rights import Need

ADMISSION_POLICIES = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
POD_EXEC = Kind("", "v1", "pods/exec", "PodExecOptions")
ADMISSION_BINDINGS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
POLICIES = ("kubehaven-requested-by",)


async def check(
    client: KubeClient, action: RawObject, *, user: Requester, desktop: bool
) -> Refusal | None:
    """Why an action must not be carried out now; None when it may be."""
    facts = await _facts(client, action, user=user, desktop=desktop)
    refusal = check_action(action, facts=facts)
    if refusal is not None or not desktop:
        return refusal
    return await _own_rights(client, action)


async def _own_rights(client: KubeClient, action: RawObject) -> Refusal | None:
    """What a desktop engine lacks itself; the others ask with their plan, for each object."""
    needs: tuple[Need, ...] = ()
    if action["kind"] == "BackupAction":
        subject = action["spec"]["subject"]
        application = subject.get("namespace") or subject["name"]
        claims = await client.list(CLAIMS, application, metadata_only=True)
        needs = backup_engine_needs(application, volumes=bool(claims))
    elif action["kind"] == "ExportAction":
        needs = export_engine_needs()
    missing = await lacking_rights(client, needs, user=None, area="action")
    if not missing:
        return None
    more = f" (and {len(missing) - 1} more rights)" if len(missing) > 1 else ""
    return Refusal(
        code=missing[0].code,
        message=f"{missing[0].message}{more}",
        hint="ask an administrator for that right; a desktop engine works with yours",
        subject=describe(action),
    )


async def _facts(
    client: KubeClient, action: RawObject, *, user: Requester, desktop: bool
) -> RequestFacts:
    subject = action["spec"].get("subject", {})
    home = action["metadata"]["namespace"]
    point, content, namespace_uid = None, None, ""
    if subject_kind(action) == "RestorePointContent":
        content = await client.find(RESTORE_POINT_CONTENTS, subject.get("name", ""))
    elif subject_kind(action) == "RestorePoint":
        namespace = subject.get("namespace") or home
        point = await client.find(RESTORE_POINTS, subject.get("name", ""), namespace)
        if point is not None:
            name = point["spec"]["restorePointContentRef"]["name"]
            content = await client.find(RESTORE_POINT_CONTENTS, name)
            there = await client.find(NAMESPACES, namespace)
            namespace_uid = there["metadata"]["uid"] if there else ""
    return RequestFacts(
        point=point,
        content=content,
        point_namespace_uid=namespace_uid,
        driver=user,
        desktop=desktop,
        admission_policy=home != NAMESPACE and await _was_checked(client, action),
        may_exec=await _may_exec(client, action, user),
        location_open_to=await _open_to(client, action)
        if home != NAMESPACE and action["kind"] == "ExportAction"
        else (),
    )


async def _may_exec(client: KubeClient, action: RawObject, user: Requester) -> bool:
    """Whether who asked may run commands in the application's pods; true without hooks."""
    spec = action["spec"]
    if not spec.get("hooks"):
        return True
    subject, asked = spec.get("subject", {}), spec.get("requestedBy")
    who = msgspec.convert(asked, Requester) if asked else None
    if who is not None and who.username == user.username:
        who = None  # ourselves: a question that everybody may ask
    namespace = subject.get("namespace") or subject.get("name", "")
    return await client.may(who, "create", POD_EXEC, namespace)


async def _was_checked(client: KubeClient, action: RawObject) -> bool:
    """Whether the API server checked who asks: each policy is there, bound, denies, and is older.

    An action from before the policy could name anybody.
    """
    for name in POLICIES:
        policy = await client.find(ADMISSION_POLICIES, name)
        binding = await client.find(ADMISSION_BINDINGS, name)
        if policy is None or binding is None:
            return False
        told = binding["spec"]
        if told.get("policyName") != name or "Deny" not in told.get("validationActions", ()):
            return False
        if told.keys() & {"matchResources", "paramRef"}:
            return False  # bound to a part of the cluster only
        made = text(action, "metadata", "creationTimestamp")
        if made < max(text(raw, "metadata", "creationTimestamp") for raw in (policy, binding)):
            return False
    return True


async def _open_to(client: KubeClient, action: RawObject) -> tuple[str, ...]:
    """The namespaces that an ExportAction's location is open to."""
    location = await client.find(LOCATIONS, text(action, "spec", "profile", "name"), NAMESPACE)
    return tuple(location["spec"].get("allowedNamespaces") or ()) if location else ()
