"""Deployments, ReplicaSets and StatefulSets make pods."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import msgspec

from console.sandbox.deletion import delete
from console.sandbox.kinds import CLAIMS, DEPLOYMENTS, PODS, REPLICA_SETS, STATEFUL_SETS, Key
from console.sandbox.store import copy_of
from console.sandbox.telling import is_going, owned_by, owner_of, tell, with_condition

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw
    from console.sandbox.rules import Rules
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control

_HASH = "pod-template-hash"
_REVISION = "deployment.kubernetes.io/revision"


def template_hash(template: Raw) -> str:
    """Ten characters that tell pod templates apart."""
    return hashlib.sha256(msgspec.json.encode(template, order="deterministic")).hexdigest()[:10]


def is_ready(pod: Raw) -> bool:
    """Whether a pod serves."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def is_over(pod: Raw) -> bool:
    """Whether a pod has come to its end."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


class Workloads:
    """Keeps the number of pods that each workload asks for."""

    def __init__(self, store: Store, rules: Rules, control: Control) -> None:
        self._store = store
        self._rules = rules
        self._control = control
        self._decide = {
            DEPLOYMENTS: self.decide_deployment,
            REPLICA_SETS: self.decide_replica_set,
            STATEFUL_SETS: self.decide_stateful_set,
        }
        self._owners = {"Deployment": DEPLOYMENTS, "ReplicaSet": REPLICA_SETS}
        self._owners["StatefulSet"] = STATEFUL_SETS
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        key = change.key
        if key.resource in self._decide and change.type != "DELETED":
            self._control.ask(self._decide[key.resource], key)
        if key.resource in {PODS, REPLICA_SETS}:
            for ref in change.object["metadata"].get("ownerReferences") or ():
                if resource := self._owners.get(ref["kind"]):
                    owner = Key(resource, key.namespace, ref["name"])
                    self._control.ask(self._decide[resource], owner)

    def _create(self, resource_id: str, namespace: str, obj: Raw) -> None:
        resource = self._store.registry[resource_id]
        born = self._rules.for_create(resource, obj, namespace, strict=False)
        self._store.add(resource, born)

    def _owned(self, resource_id: str, owner: Raw) -> list[Raw]:
        meta = owner["metadata"]
        found = self._store.each(resource_id, meta["namespace"])
        return [obj for obj in found if owned_by(obj, meta["uid"])]

    # deployments

    def decide_deployment(self, key: Key) -> None:
        """One step towards the Deployment's template and size."""
        deployment = self._store.peek(key)
        if deployment is None or is_going(deployment):
            return
        spec = deployment["spec"]
        mark = template_hash(spec["template"])
        sets = self._owned(REPLICA_SETS, deployment)
        new = next((s for s in sets if s["metadata"]["labels"].get(_HASH) == mark), None)
        old = [s for s in sets if s is not new]
        if new is None:
            self._make_set(deployment, mark, len(sets) + 1)
        elif not spec.get("paused"):
            self._roll(spec, new, old)
        self._tell_deployment(key)

    def _roll(self, spec: Raw, new: Raw, old: list[Raw]) -> None:
        recreate = spec.get("strategy", {}).get("type") == "Recreate"
        if recreate and any(self._owned(PODS, s) for s in old):
            self._scale(old, 0)
            return
        self._scale([new], spec["replicas"])
        if new.get("status", {}).get("readyReplicas", 0) >= spec["replicas"]:
            self._scale(old, 0)

    def _scale(self, sets: list[Raw], replicas: int) -> None:
        for one in sets:
            key = self._store.registry[REPLICA_SETS].key(one)
            self._store.edit(key, lambda s: s["spec"].update(replicas=replicas))

    def _make_set(self, deployment: Raw, mark: str, revision: int) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        template = copy_of(spec["template"])
        labels = {**template.get("metadata", {}).get("labels", {}), _HASH: mark}
        template.setdefault("metadata", {})["labels"] = labels
        selector = {**copy_of(spec["selector"])}
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), _HASH: mark}
        name = f"{meta['name']}-{mark}"
        made = {
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": {_REVISION: str(revision)},
                "ownerReferences": [owner_of(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        self._create(REPLICA_SETS, meta["namespace"], made)
        key = self._store.registry[DEPLOYMENTS].key(deployment)
        self._store.edit(
            key,
            lambda d: (
                d["metadata"].setdefault("annotations", {}).update({_REVISION: str(revision)})
            ),
        )
        text = f"Scaled up replica set {name} from 0 to {spec['replicas']}"
        tell(self._store, deployment, "ScalingReplicaSet", text)

    def _tell_deployment(self, key: Key) -> None:
        deployment = self._store.get(key)
        sets = self._owned(REPLICA_SETS, deployment)
        mark, wanted = template_hash(deployment["spec"]["template"]), deployment["spec"]["replicas"]
        new = [s for s in sets if s["metadata"]["labels"].get(_HASH) == mark]
        ready = _sum(sets, "readyReplicas")
        conditions = deployment.get("status", {}).get("conditions", [])
        enough = ready >= wanted
        reason = "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable"
        conditions = with_condition(conditions, "Available", holds=enough, reason=reason)
        rolled = _sum(new, "readyReplicas") >= wanted
        reason = "NewReplicaSetAvailable" if rolled else "ReplicaSetUpdated"
        conditions = with_condition(conditions, "Progressing", holds=True, reason=reason)
        status: Raw = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": _sum(sets, "replicas"),
            "updatedReplicas": _sum(new, "replicas"),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
        }
        status = {name: value for name, value in status.items() if value}
        deployment["status"] = {**status, "conditions": conditions}
        self._store.replace(key, deployment)

    # replica sets

    def decide_replica_set(self, key: Key) -> None:
        """Make or delete pods until their number is right."""
        owner = self._store.peek(key)
        if owner is None or is_going(owner):
            return
        pods = self._owned(PODS, owner)
        living = [pod for pod in pods if not is_over(pod) and not is_going(pod)]
        missing = owner["spec"]["replicas"] - len(living)
        for _ in range(missing):
            self._make_pod(owner, f"{key.name}-{secrets.token_hex(3)[:5]}")
        for pod in sorted(living, key=is_ready)[: max(0, -missing)]:
            delete(self._store, self._store.registry[PODS].key(pod))
        living = [pod for pod in self._owned(PODS, owner) if not is_over(pod) and not is_going(pod)]
        ready = sum(is_ready(pod) for pod in living)
        status = {
            "replicas": len(living),
            "fullyLabeledReplicas": len(living),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": owner["metadata"]["generation"],
        }
        self._store.edit(key, lambda s: s.update(status=status))

    def _make_pod(self, owner: Raw, name: str, claims: dict[str, str] | None = None) -> None:
        template, namespace = copy_of(owner["spec"]["template"]), owner["metadata"]["namespace"]
        meta = template.get("metadata", {})
        pod: Raw = {
            "metadata": {
                **meta,
                "name": name,
                "namespace": namespace,
                "ownerReferences": [owner_of(owner)],
            },
            "spec": template["spec"],
        }
        for volume, claim in (claims or {}).items():
            kept = [v for v in pod["spec"].get("volumes", ()) if v["name"] != volume]
            own = {"name": volume, "persistentVolumeClaim": {"claimName": claim}}
            pod["spec"]["volumes"] = [*kept, own]
        self._create(PODS, namespace, pod)
        tell(self._store, owner, "SuccessfulCreate", f"Created pod: {name}")

    # stateful sets

    def decide_stateful_set(self, key: Key) -> None:
        """One pod after another, each with its own claims, which stay."""
        owner = self._store.peek(key)
        if owner is None or is_going(owner):
            return
        spec = owner["spec"]
        mark = template_hash(spec["template"])
        pods = {pod["metadata"]["name"]: pod for pod in self._owned(PODS, owner)}
        wanted = [f"{key.name}-{number}" for number in range(spec["replicas"])]
        self._step_stateful(owner, pods, wanted, mark)
        pods = {pod["metadata"]["name"]: pod for pod in self._owned(PODS, owner)}
        living = [pod for pod in pods.values() if not is_going(pod)]
        updated = [
            p for p in living if p["metadata"]["labels"].get("controller-revision-hash") == mark
        ]
        ready = sum(is_ready(pod) for pod in living)
        status = {
            "replicas": len(living),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "currentReplicas": len(updated),
            "updatedReplicas": len(updated),
            "currentRevision": f"{key.name}-{mark}",
            "updateRevision": f"{key.name}-{mark}",
            "observedGeneration": owner["metadata"]["generation"],
            "collisionCount": 0,
        }
        self._store.edit(key, lambda s: s.update(status=status))

    def _step_stateful(
        self, owner: Raw, pods: dict[str, Raw], wanted: list[str], mark: str
    ) -> None:
        parallel = owner["spec"].get("podManagementPolicy") == "Parallel"
        for name in wanted:
            if name not in pods:
                self._make_ordinal(owner, name, mark)
            if not parallel and (name not in pods or not is_ready(pods[name])):
                return
        surplus = [name for name in sorted(pods, reverse=True) if name not in wanted]
        stale = [
            name
            for name in reversed(wanted)
            if name in pods
            and pods[name]["metadata"]["labels"].get("controller-revision-hash") != mark
        ]
        for name in (surplus or stale)[:1]:
            if not is_going(pods[name]):
                delete(self._store, self._store.registry[PODS].key(pods[name]))

    def _make_ordinal(self, owner: Raw, name: str, mark: str) -> None:
        namespace, claims = owner["metadata"]["namespace"], {}
        for template in owner["spec"].get("volumeClaimTemplates") or ():
            volume = template["metadata"]["name"]
            claims[volume] = f"{volume}-{name}"
            if self._store.peek(Key(CLAIMS, namespace, claims[volume])) is None:
                meta = {**template["metadata"], "name": claims[volume], "namespace": namespace}
                meta["labels"] = {
                    **meta.get("labels", {}),
                    **owner["spec"]["selector"].get("matchLabels", {}),
                }
                claim = {"metadata": meta, "spec": copy_of(template["spec"])}
                self._create(CLAIMS, namespace, claim)
        stamped = copy_of(owner)
        labels = stamped["spec"]["template"].setdefault("metadata", {}).setdefault("labels", {})
        labels["controller-revision-hash"] = mark
        labels["statefulset.kubernetes.io/pod-name"] = name
        stamped["spec"]["template"]["spec"]["hostname"] = name
        self._make_pod(stamped, name, claims)


def _sum(objects: list[Raw], field: str) -> int:
    return sum(obj.get("status", {}).get(field, 0) for obj in objects)
