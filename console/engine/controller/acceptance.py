"""Whether an action may be carried out: reads the facts, then asks the pure rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.engine.model.kinds import (
    NAMESPACES,
    RESTORE_POINT_CONTENTS,
    RESTORE_POINTS,
    Kind,
    RawObject,
)
from console.engine.model.names import NAMESPACE
from console.engine.model.record import Requester
from console.engine.plan.authorise import Refusal, RequestFacts, check_action, subject_kind

if TYPE_CHECKING:
    from console.engine.kube import KubeClient


ADMISSION_POLICIES = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
POLICY = "kubehaven-requested-by"
POD_EXEC = Kind("", "v1", "pods/exec", "PodExecOptions")


async def check(
    client: KubeClient, action: RawObject, *, user: Requester, desktop: bool
) -> Refusal | None:
    """Why an action must not be carried out now; None when it may be."""
    facts = await _facts(client, action, user=user, desktop=desktop)
    return check_action(action, facts=facts)


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
        admission_policy=home != NAMESPACE and await _has_policy(client),
        may_exec=await _may_exec(client, action, user),
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


async def _has_policy(client: KubeClient) -> bool:
    return await client.find(ADMISSION_POLICIES, POLICY) is not None
