"""What a person should know before a restore; nothing here stops it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from console.engine.model.views import Blocker
from console.engine.plan.facts import UID_RANGE
from console.engine.plan.raw import (
    GroupKind,
    annotations_of,
    describe,
    group_kind,
    items,
    namespace_of,
    part,
    pod_specs,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from console.engine.model.kinds import RawObject
    from console.engine.model.points import RestorePointContent
    from console.engine.plan.draft import RestoreContext
    from console.engine.plan.facts import LiveFacts


def warnings(
    objects: Iterable[RawObject],
    *,
    context: RestoreContext,
    live: LiveFacts,
    mapped: Collection[str] = (),
) -> tuple[Blocker, ...]:
    """All warnings about a point's objects, in their order.

    Args:
        objects: As they were stored.
        mapped: Owners of files that the restore maps.
    """
    groups = {kind.group for kind in live.served}
    classes = {known.name for known in live.storage_classes}
    found: list[Blocker] = []
    for obj in objects:
        found += _about_finalizers(obj, groups)
        found += _about_addresses(obj)
        found += _about_templates(obj, classes, context)
        found += _about_owners(obj, live, mapped)
        found += _about_images(obj)
        if context.moves:
            found += _about_hosts(obj)
            found += _about_names(obj, context.source_namespace)
    return tuple(found)


def about_copies(point: RestorePointContent) -> Iterator[Blocker]:
    """Volumes that were copied while they may have been written to."""
    for volume in point.status.volumes:
        if not volume.crashConsistent and volume.repositorySnapshot:
            yield Blocker(
                code="restore.not_crash_consistent",
                message=f"nothing can snapshot it: it was copied from {volume.copiedAt} on, while "
                f"it may have been written to, and the objects are of {point.status.actionTime}",
                object=f"PersistentVolumeClaim {volume.pvc}",
                hint="check the application's data after the restore",
            )


_KNOWN_FINALIZERS = frozenset({"foregroundDeletion", "orphan"})


def _about_finalizers(obj: RawObject, groups: set[str]) -> Iterator[Blocker]:
    """MA c.9 rule 6: nobody will take it off, and the namespace can never be deleted."""
    if group_kind(obj) == ("", "Namespace"):
        return
    for finalizer in part(obj, "metadata").get("finalizers") or ():
        domain = finalizer.partition("/")[0]
        if finalizer in _KNOWN_FINALIZERS or domain in groups or domain.endswith("kubernetes.io"):
            continue
        yield Blocker(
            code="restore.finalizer",
            message=f"the finalizer {finalizer} is kept; no kind of {domain} is served, so its "
            "controller may be absent and the object could not be deleted",
            object=describe(obj),
            hint="check that its controller runs in the target",
        )


def _about_addresses(obj: RawObject) -> Iterator[Blocker]:
    """MA c.9 rule 4: addresses that belong to the source's network."""
    if group_kind(obj) != ("", "Service"):
        return
    spec = part(obj, "spec")
    for field in ("externalIPs", "loadBalancerIP"):
        if spec.get(field):
            shown = spec[field] if isinstance(spec[field], str) else ", ".join(spec[field])
            yield Blocker(
                code="restore.address",
                message=f"the Service keeps {field} {shown}",
                object=describe(obj),
                hint="check that this address belongs to the target",
            )


def _about_owners(obj: RawObject, live: LiveFacts, mapped: Collection[str]) -> Iterator[Blocker]:
    """OpenShift lets a namespace's pods run as users of its own range only."""
    if group_kind(obj) != ("", "Namespace"):
        return
    old = _first_owner(annotations_of(obj).get(UID_RANGE, ""))
    new = _first_owner(live.uid_range)
    if old and new and old != new and old not in mapped:
        yield Blocker(
            code="restore.uid_range",
            message=f"files in its volumes may belong to {old}; the target's pods run as {new}",
            object=describe(obj),
            hint=f"map the owner while restoring: --map-owner {old}:{new}",
        )


def _first_owner(uid_range: object) -> str:
    first = str(uid_range).partition("/")[0].partition("-")[0]
    return first if first.isascii() and first.isdigit() else ""


_ROUTED = {
    GroupKind("networking.k8s.io", "Ingress"): ("spec", "rules"),
    GroupKind("extensions", "Ingress"): ("spec", "rules"),
}


def _about_hosts(obj: RawObject) -> Iterator[Blocker]:
    """Two namespaces that answer for one host name."""
    kind = group_kind(obj)
    hosts: list[str] = []
    if kind in _ROUTED:
        hosts = [text(rule, "host") for rule in items(obj, *_ROUTED[kind])]
    elif kind in {("route.openshift.io", "Route"), ("gateway.networking.k8s.io", "HTTPRoute")}:
        names = part(obj, "spec").get("hostnames") or ()
        hosts = [text(obj, "spec", "host"), *names]
    if any(hosts):
        yield Blocker(
            code="restore.host",
            message=f"it answers for {', '.join(host for host in hosts if host)}, "
            f"as the one in {namespace_of(obj)} does",
            object=describe(obj),
            hint="change the host name after the restore, or remove the other one",
        )


def _about_templates(
    obj: RawObject, classes: set[str], context: RestoreContext
) -> Iterator[Blocker]:
    """Claims that a StatefulSet will make when it grows."""
    for template in items(obj, "spec", "volumeClaimTemplates"):
        stored = text(template, "spec", "storageClassName")
        wanted = context.storage_class_map.get(stored, stored)
        if wanted and wanted not in classes:
            yield Blocker(
                code="restore.template_class",
                message=f"its claim template {text(template, 'metadata', 'name')} names the "
                f"storage class {wanted}, which the target does not have",
                object=describe(obj),
                hint=f"map {stored or 'claims without a class'} to a class of the target",
            )


_INTERNAL_REGISTRIES = (
    "image-registry.openshift-image-registry.svc",
    "docker-registry.default.svc",
)


def _about_images(obj: RawObject) -> Iterator[Blocker]:
    """MA c.9 rule 9: images that lie in the source's own registry and are in no backup."""
    if group_kind(obj) == ("image.openshift.io", "ImageStream"):
        named = [text(tag, "from", "name") for tag in items(obj, "spec", "tags")]
    else:
        named = [
            text(container, "image")
            for spec in pod_specs(obj)
            for container in items(spec, "containers") + items(spec, "initContainers")
        ]
    inner = sorted({name for name in named if name.startswith(_INTERNAL_REGISTRIES)})
    if inner:
        yield Blocker(
            code="restore.internal_image",
            message=f"its image lies in OpenShift's own registry: {', '.join(inner)}",
            object=describe(obj),
            hint="see that the target's registry has it; a backup holds no images",
        )


def _about_names(obj: RawObject, source: str) -> Iterator[Blocker]:
    """MA c.9 rule 8: the old namespace in texts is told, never edited."""
    kind = group_kind(obj)
    if kind == ("networking.k8s.io", "NetworkPolicy"):
        names = sorted({name for name in _selected_names(obj) if name == source})
    elif kind == ("", "ConfigMap"):
        names = _dns_names(part(obj, "data"), source)
    else:
        names = _dns_names([_values(spec) for spec in pod_specs(obj)], source)
    if names:
        yield Blocker(
            code="restore.names_source",
            message=f"it names {', '.join(names)}, in the namespace that it comes from",
            object=describe(obj),
            hint="change it after the restore, where the copy should not use the original",
        )


def _dns_names(where: object, source: str) -> list[str]:
    pattern = rf"(?<![\w.-])(?:[a-z0-9-]+\.)?{re.escape(source)}\.svc\b"
    return sorted(set(re.findall(pattern, msgspec.json.encode(where).decode())))


def _selected_names(obj: RawObject) -> list[str]:
    label = "kubernetes.io/metadata.name"
    peers = [
        peer
        for rule in items(obj, "spec", "ingress") + items(obj, "spec", "egress")
        for peer in items(rule, "from") + items(rule, "to")
    ]
    return [text(peer, "namespaceSelector", "matchLabels", label) for peer in peers]


def _values(spec: RawObject) -> list[object]:
    containers = items(spec, "containers") + items(spec, "initContainers")
    return [
        [entry.get("value") for entry in items(container, "env")]
        + [container.get("args"), container.get("command")]
        for container in containers
    ]
