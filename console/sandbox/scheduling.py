"""The scheduler: one node, and claims that must be bound first. And Services find their pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from console.sandbox import status
from console.sandbox.kinds import CLAIMS, NODE, NODES, PODS, SERVICES, STORAGE_CLASSES, Key
from console.sandbox.matching import BOUND, SELECTED_NODE, claims_of
from console.sandbox.telling import is_going, tell
from console.sandbox.workloads import is_ready

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw
    from console.sandbox.store import Change, Store
    from console.sandbox.tasks import Control

URL = "sandbox.kubehaven.io/url"
_PORTS = "sandbox.kubehaven.io/ports"


def schedule(store: Store, key: Key, pod: Raw) -> None:
    """Put a pod on the node, or say why not."""
    node = store.peek(Key(NODES, "", NODE)) or {"metadata": {}}
    labels = node["metadata"].get("labels", {})
    wanted = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(name) != value for name, value in wanted.items()):
        why = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    else:
        why = next(filter(None, (_waits(store, key, name) for name in claims_of(pod))), "")
    if not why:
        store.edit(key, status.schedule)
        return
    store.edit(key, lambda obj: status.unschedulable(obj, why))
    tell(store, pod, "FailedScheduling", why, warning=True)


def _waits(store: Store, key: Key, name: str) -> str:
    """Why a claim keeps its pod from being scheduled; '' when it does not."""
    at = Key(CLAIMS, key.namespace, name)
    claim = store.peek(at)
    if claim is None:
        return f'0/1 nodes are available: persistentvolumeclaim "{name}" not found.'
    if is_going(claim):
        return f'0/1 nodes are available: persistentvolumeclaim "{name}" is being deleted.'
    annotations = claim["metadata"].get("annotations") or {}
    if BOUND in annotations:
        lost = claim["status"]["phase"] == "Lost"
        return f'0/1 nodes are available: persistentvolumeclaim "{name}" is lost.' if lost else ""
    cls = store.peek(Key(STORAGE_CLASSES, "", claim["spec"].get("storageClassName") or "")) or {}
    if cls.get("volumeBindingMode") == "WaitForFirstConsumer" and SELECTED_NODE not in annotations:
        mark = {SELECTED_NODE: NODE}
        store.edit(at, lambda obj: obj["metadata"].setdefault("annotations", {}).update(mark))
    return "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


class Services:
    """Publishes on each Service where its page can be opened from this machine."""

    def __init__(self, store: Store, control: Control) -> None:
        self._store = store
        self._control = control
        store.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.key.resource == SERVICES:
            self._control.ask(self.decide, change.key)
        elif change.key.resource == PODS:
            for service in self._store.each(SERVICES, change.key.namespace):
                self._control.ask(self.decide, self._store.registry[SERVICES].key(service))

    def decide(self, key: Key) -> None:
        """Point one Service at the first pod that is ready."""
        service = self._store.peek(key)
        if service is not None:
            url = self._url(service)
            self._store.edit(key, lambda obj: _annotate(obj, url))

    def _url(self, service: Raw) -> str:
        selector = service["spec"].get("selector") or {}
        ports = service["spec"].get("ports") or ()
        if not selector or not ports:
            return ""
        target = str(ports[0].get("targetPort", ports[0]["port"]))
        for pod in self._store.each(PODS, service["metadata"]["namespace"]):
            meta = pod["metadata"]
            labels = meta.get("labels") or {}
            chosen = all(labels.get(name) == value for name, value in selector.items())
            if chosen and is_ready(pod) and not is_going(pod):
                real = msgspec.json.decode((meta.get("annotations") or {}).get(_PORTS, "{}"))
                if target in real:
                    return f"http://127.0.0.1:{real[target]}/"
        return ""


def _annotate(obj: Raw, url: str) -> None:
    annotations = obj["metadata"].setdefault("annotations", {})
    if url:
        annotations[URL] = url
    else:
        annotations.pop(URL, None)
    if not annotations:
        del obj["metadata"]["annotations"]
