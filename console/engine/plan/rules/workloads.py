"""Workloads: what their controllers wrote into them. Templates stay as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from console.engine.plan.raw import items, part, pod_specs, text
from console.engine.plan.rules.storage import map_class

if TYPE_CHECKING:
    from typing import Any

    from console.engine.plan.draft import Draft

_COUNTED = "its controller counts anew"
_CONTROLLER_UID = ("controller-uid", "batch.kubernetes.io/controller-uid")


def deployment(draft: Draft) -> None:
    """The revision (MA c.9); a Deployment that is paused stays paused."""
    draft.drop_annotations(("deployment.kubernetes.io/revision",), because=_COUNTED)


def replica_set(draft: Draft) -> None:
    """A set without an owner, once made by a Deployment."""
    draft.drop_annotations(("deployment.kubernetes.io/*",), because=_COUNTED)


def daemon_set(draft: Draft) -> None:
    """The old API's generation."""
    draft.drop_annotations(("deprecated.daemonset.template.generation",), because=_COUNTED)


def stateful_set(draft: Draft) -> None:
    """Storage classes of the claim templates are mapped (Velero c.4)."""
    for template in items(draft.obj, "spec", "volumeClaimTemplates"):
        map_class(
            draft, part(template, "spec"), f"claim template {text(template, 'metadata', 'name')}"
        )


def pod(draft: Draft) -> None:
    """A pod without a controller (Velero c.4)."""
    draft.drop("spec", "nodeName", because="the scheduler chooses")
    draft.drop("spec", "priority", because="it follows from the priority class")
    # the API refuses a pod that is born with one
    draft.drop("spec", "ephemeralContainers", because="debug containers end with their pod")
    draft.drop_finalizers(("batch.kubernetes.io/job-tracking",))
    for spec in pod_specs(draft.obj):
        _drop_token_volumes(draft, spec)


def job(draft: Draft) -> None:
    """The generated selector names the old Job's uid (Velero c.4)."""
    draft.drop_annotations(("batch.kubernetes.io/job-tracking",))
    spec = draft.part("spec")
    if spec.get("manualSelector") is True:
        return
    labels = part(spec, "template", "metadata", "labels")
    draft.drop_keys(labels, _CONTROLLER_UID, "template label")
    matched = part(spec, "selector", "matchLabels")
    if draft.drop_keys(matched, _CONTROLLER_UID, "selector label") and not matched:
        del spec["selector"]


def autoscaler(draft: Draft) -> None:
    """The older API keeps the status in annotations."""
    draft.drop_annotations(
        (
            "autoscaling.alpha.kubernetes.io/conditions",
            "autoscaling.alpha.kubernetes.io/current-metrics",
        )
    )


def deployment_config(draft: Draft) -> None:
    """The image that was deployed last, of the source's registry (MA c.9 rule 9)."""
    for trigger in items(draft.obj, "spec", "triggers"):
        draft.drop_keys(part(trigger, "imageChangeParams"), ("lastTriggeredImage",), "trigger's")


def image_stream(draft: Draft) -> None:
    """What the source's import noted: with it, the target would import nothing (MA c.9 rule 9)."""
    because = "the target imports anew"
    draft.drop_annotations(("openshift.io/image.dockerRepositoryCheck",), because=because)
    for tag in items(draft.obj, "spec", "tags"):
        draft.drop_keys(tag, ("generation",), f"of tag {text(tag, 'name')}:")


def _drop_token_volumes(draft: Draft, spec: dict[str, Any]) -> None:
    # before 1.24 the API server mounted the account's token Secret by its generated name;
    # the projected kube-api-access volumes name nothing that could be missing
    account = spec.get("serviceAccountName") or "default"
    generated = re.compile(re.escape(str(account)) + r"-token-[a-z0-9]{5}$")
    volumes = items(spec, "volumes")
    gone = {text(volume, "name") for volume in volumes if generated.match(text(volume, "name"))}
    if not gone:
        return
    spec["volumes"] = [volume for volume in volumes if volume.get("name") not in gone]
    for container in items(spec, "containers") + items(spec, "initContainers"):
        mounts = items(container, "volumeMounts")
        container["volumeMounts"] = [mount for mount in mounts if mount.get("name") not in gone]
    draft.say("generated token volume removed: the API server mounts a new one")
