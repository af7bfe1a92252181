"""What the API server does to an object before it is kept: names, defaults, what may change."""

from __future__ import annotations

import base64
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Any

from console.sandbox import faults, schema
from console.sandbox.faults import Cause
from console.sandbox.kinds import (
    CLAIMS,
    CONFIG_MAPS,
    CRDS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICES,
    STORAGE_CLASSES,
    VOLUMES,
    Key,
)
from console.sandbox.store import copy_of

if TYPE_CHECKING:
    from console.sandbox.kinds import Raw, Resource
    from console.sandbox.store import Store

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
# fields that stay as they were born; their parents may not exist
_IMMUTABLE = {
    "deployments.apps": ("spec.selector",),
    "statefulsets.apps": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"),
    "replicasets.apps": ("spec.selector",),
    "jobs.batch": ("spec.selector", "spec.template", "spec.completions"),
    "persistentvolumes": ("spec.csi", "spec.hostPath", "spec.nfs", "spec.local", "spec.volumeMode"),
    "storageclasses.storage.k8s.io": ("parameters", "provisioner", "reclaimPolicy"),
    "rolebindings.rbac.authorization.k8s.io": ("roleRef",),
    "clusterrolebindings.rbac.authorization.k8s.io": ("roleRef",),
}


class Rules:
    """Prepares objects for the store; raises ApiError for what the API would refuse."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._services = 0

    # create

    def for_create(self, resource: Resource, obj: Raw, namespace: str, *, strict: bool) -> Raw:
        """The object as it will be kept."""
        obj = copy_of(obj)
        self._check_type(resource, obj)
        meta = obj.setdefault("metadata", {})
        if resource.namespaced and meta.setdefault("namespace", namespace) != namespace:
            raise faults.bad_request(
                "the namespace of the provided object does not match the namespace sent on the"
                " request"
            )
        if meta.pop("resourceVersion", None):
            raise faults.bad_request("resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName'][:58]}{secrets.token_hex(3)[:5]}"
        self._check_name(resource, meta.get("name", ""))
        for field in (*_SERVER_FIELDS, "generation", "managedFields", "selfLink"):
            meta.pop(field, None)
        if resource.namespaced:
            self._check_namespace(resource, meta["name"], namespace)
        if resource.status:
            obj.pop("status", None)
        _check_required(resource, obj)
        self._born(resource, obj)
        _check_size(resource, obj)
        self._check_schema(resource, obj, strict=strict)
        return obj

    def _check_type(self, resource: Resource, obj: Raw) -> None:
        given = (
            obj.setdefault("apiVersion", resource.api_version),
            obj.setdefault("kind", resource.kind),
        )
        if given != (resource.api_version, resource.kind):
            raise faults.bad_request(
                f"{given[1]} in version {given[0]!r} cannot be handled as a {resource.kind}"
                f" in version {resource.api_version!r}"
            )

    def _check_name(self, resource: Resource, name: str) -> None:
        if not name:
            cause = Cause(
                "metadata.name",
                "FieldValueRequired",
                "Required value: name or generateName is required",
            )
            raise faults.invalid(resource, name, [cause])
        if resource.group == "rbac.authorization.k8s.io":
            return
        short = resource.id in {NAMESPACES, SERVICES}
        pattern, limit = (_LABEL_NAME, 63) if short else (_NAME, 253)
        if not pattern.fullmatch(name) or len(name) > limit:
            what = "label" if short else "subdomain"
            text = (
                f'Invalid value: "{name}": a lowercase RFC 1123 {what} must consist of lower case'
                " alphanumeric characters, '-' or '.'"
            )
            cause = Cause("metadata.name", "FieldValueInvalid", text)
            raise faults.invalid(resource, name, [cause])

    def _check_namespace(self, resource: Resource, name: str, namespace: str) -> None:
        home = self._store.peek(Key(NAMESPACES, "", namespace))
        if home is None:
            raise faults.not_found(self._store.registry[NAMESPACES], namespace)
        if "deletionTimestamp" in home["metadata"]:
            why = (
                f"unable to create new content in namespace {namespace}"
                " because it is being terminated"
            )
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise faults.forbidden(resource, name, why, [cause])

    def _check_schema(self, resource: Resource, obj: Raw, *, strict: bool) -> None:
        if resource.schema is None:
            return
        pruned = schema.complete(resource.schema, obj)
        if strict and pruned:
            told = ", ".join(f'unknown field "{path}"' for path in pruned)
            raise faults.bad_request(f"strict decoding error: {told}")
        wrong = list(schema.find_faults(resource.schema, obj))
        if wrong:
            raise faults.invalid(resource, obj["metadata"]["name"], wrong)

    def _born(self, resource: Resource, obj: Raw) -> None:
        spec = obj.setdefault("spec", {}) if resource.id in _SPEC_BORN else {}
        match resource.id:
            case "namespaces":
                spec["finalizers"] = ["kubernetes"]
                obj["status"] = {"phase": "Active"}
                obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj[
                    "metadata"
                ]["name"]
            case "pods":
                _pod_born(obj, spec)
            case "persistentvolumeclaims":
                self._claim_born(obj, spec)
            case "persistentvolumes":
                _hold(obj, "kubernetes.io/pv-protection")
                spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
                spec.setdefault("volumeMode", "Filesystem")
                obj["status"] = {"phase": "Pending"}
            case "services":
                self._service_born(spec)
            case "secrets":
                _secret_born(obj)
            case "deployments.apps" | "statefulsets.apps" | "replicasets.apps":
                spec.setdefault("replicas", 1)
                _check_selector(resource, obj)
            case "jobs.batch":
                _job_born(obj, spec)
            case _:
                pass

    def _claim_born(self, obj: Raw, spec: Raw) -> None:
        _hold(obj, "kubernetes.io/pvc-protection")
        spec.setdefault("volumeMode", "Filesystem")
        if "storageClassName" not in spec:
            for cls in self._store.each(STORAGE_CLASSES):
                if cls["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true":
                    spec["storageClassName"] = cls["metadata"]["name"]
        source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
        if source or ref:
            spec["dataSource"] = spec["dataSourceRef"] = source or ref
        obj["status"] = {"phase": "Pending"}

    def _service_born(self, spec: Raw) -> None:
        self._services += 1
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        if spec["type"] == "ExternalName":
            return
        address = f"10.96.{self._services // 250}.{self._services % 250 + 2}"
        spec.setdefault("clusterIP", address)
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        for at, port in enumerate(spec.get("ports") or ()):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
            if spec["type"] in {"NodePort", "LoadBalancer"}:
                port.setdefault("nodePort", 30000 + self._services * 10 + at)

    # update

    def for_update(
        self, resource: Resource, before: Raw, obj: Raw, subresource: str, *, strict: bool = False
    ) -> Raw:
        """The object as it will be kept in place of `before`."""
        obj = copy_of(obj)
        self._check_type(resource, obj)
        self._check_identity(resource, before, obj)
        if subresource == "status":
            obj = {**copy_of(before), "status": obj.get("status", {})}
        elif resource.status:
            obj.pop("status", None)
            if "status" in before:
                obj["status"] = copy_of(before)["status"]
        if resource.id == "secrets":
            _secret_born(obj)
        meta, old = obj["metadata"], before["metadata"]
        meta.pop("managedFields", None)
        for field in (*_SERVER_FIELDS, "generation", "namespace"):
            meta.pop(field, None)
            if field in old:
                meta[field] = old[field]
        if not subresource:
            _check_required(resource, obj)
            _check_size(resource, obj)
            self._check_changes(resource, before, obj)
        self._check_schema(resource, obj, strict=strict)
        return obj

    def _check_identity(self, resource: Resource, before: Raw, obj: Raw) -> None:
        meta, old = obj.setdefault("metadata", {}), before["metadata"]
        name = old["name"]
        if meta.setdefault("name", name) != name:
            raise faults.bad_request(
                f"the name of the object ({meta['name']}) does not match"
                f" the name on the URL ({name})"
            )
        if (
            resource.namespaced
            and meta.setdefault("namespace", old["namespace"]) != old["namespace"]
        ):
            raise faults.bad_request(
                "the namespace of the object does not match the namespace on the URL"
            )
        if meta.get("uid") and meta["uid"] != old["uid"]:
            why = (
                f"Precondition failed: UID in precondition: {meta['uid']},"
                f" UID in object meta: {old['uid']}"
            )
            raise faults.conflict(resource, name, why)
        if meta.get("resourceVersion") and meta["resourceVersion"] != old["resourceVersion"]:
            raise faults.conflict(resource, name)

    def _check_changes(self, resource: Resource, before: Raw, obj: Raw) -> None:
        name = before["metadata"]["name"]
        held = set(before["metadata"].get("finalizers") or ())
        added = set(obj["metadata"].get("finalizers") or ()) - held
        if added and "deletionTimestamp" in before["metadata"]:
            why = (
                "no new finalizers can be added if the object is being deleted,"
                f" found new finalizers {sorted(added)}"
            )
            raise faults.immutable(resource, name, "metadata.finalizers", why)
        for path in _IMMUTABLE.get(resource.id, ()):
            if _at(before, path) is not None and _at(before, path) != _at(obj, path):
                raise faults.immutable(resource, name, path, "field is immutable")
        if before.get("immutable") and any(
            before.get(field) != obj.get(field) for field in ("data", "binaryData", "immutable")
        ):
            raise faults.immutable(
                resource, name, "data", "field is immutable when `immutable` is set"
            )
        if resource.id == CLAIMS and _frozen_claim(before) != _frozen_claim(obj, before):
            why = "spec is immutable after creation except resources.requests for bound claims"
            raise faults.immutable(resource, name, "spec", why)
        if resource.id == NAMESPACES:
            obj["spec"] = copy_of(before["spec"])
        if resource.id == SERVICES:
            for field in ("clusterIP", "clusterIPs"):
                if field in before["spec"]:
                    obj["spec"].setdefault(field, before["spec"][field])


_SPEC_BORN = {
    NAMESPACES, PODS, CLAIMS, VOLUMES, SERVICES,
    "deployments.apps", "statefulsets.apps", "replicasets.apps", "jobs.batch",
}  # fmt: skip


_TEMPLATE = ("spec.template.spec.containers",)
_REQUIRED = {
    PODS: ("spec.containers",),
    CLAIMS: ("spec.accessModes", "spec.resources.requests.storage"),
    VOLUMES: ("spec.accessModes", "spec.capacity.storage"),
    STORAGE_CLASSES: ("provisioner",),
    "deployments.apps": _TEMPLATE,
    "statefulsets.apps": _TEMPLATE,
    "replicasets.apps": _TEMPLATE,
    "jobs.batch": _TEMPLATE,
    CRDS: ("spec.group", "spec.names.plural", "spec.names.kind", "spec.scope", "spec.versions"),
}
_DATA_LIMIT = 2**20


def _check_required(resource: Resource, obj: Raw) -> None:
    """What the controllers build on must be there; the rest of a built-in kind is free."""
    wrong = [path for path in _REQUIRED.get(resource.id, ()) if not _at(obj, path)]
    for path in ("spec.containers", *_TEMPLATE):
        for number, container in enumerate(_at(obj, path) or ()):
            wrong += [f"{path}[{number}].{n}" for n in ("name", "image") if not container.get(n)]
    if wrong:
        causes = [Cause(path, "FieldValueRequired", "Required value") for path in wrong]
        raise faults.invalid(resource, obj["metadata"].get("name", ""), causes)


def _check_size(resource: Resource, obj: Raw) -> None:
    if resource.id not in {SECRETS, CONFIG_MAPS}:
        return
    parts = [*(obj.get("data") or {}).values()]
    size = sum(len(part) for part in parts)
    if resource.id == SECRETS:
        size = size * 3 // 4
    size += sum(len(part) * 3 // 4 for part in (obj.get("binaryData") or {}).values())
    if size > _DATA_LIMIT:
        text = f"Too long: may not be more than {_DATA_LIMIT} bytes"
        cause = Cause("data", "FieldValueTooLong", text)
        raise faults.invalid(resource, obj["metadata"]["name"], [cause])


def _at(obj: Any, path: str) -> Any:
    for name in path.split("."):
        obj = obj.get(name) if isinstance(obj, dict) else None
    return obj


def _frozen_claim(claim: Raw, before: Raw | None = None) -> Raw:
    spec = {name: value for name, value in claim["spec"].items() if name != "resources"}
    was = (before or claim)["spec"]
    if not was.get("volumeName"):
        spec.pop("volumeName", None)
    if before is not None:
        for name in ("volumeMode", "storageClassName", "dataSource", "dataSourceRef"):
            if name in was:
                spec.setdefault(name, was[name])
    return spec


def _hold(obj: Raw, finalizer: str) -> None:
    held = obj["metadata"].setdefault("finalizers", [])
    if finalizer not in held:
        held.append(finalizer)


def _pod_born(obj: Raw, spec: Raw) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("serviceAccountName", "default")
    obj["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def _secret_born(obj: Raw) -> None:
    obj.setdefault("type", "Opaque")
    for name, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()


def _check_selector(resource: Resource, obj: Raw) -> None:
    selector = obj["spec"].get("selector") or {}
    labels = _at(obj, "spec.template.metadata.labels") or {}
    wanted = selector.get("matchLabels") or {}
    if not selector:
        cause = Cause("spec.selector", "FieldValueRequired", "Required value")
        raise faults.invalid(resource, obj["metadata"]["name"], [cause])
    if any(labels.get(name) != value for name, value in wanted.items()):
        text = "Invalid value: `selector` does not match template `labels`"
        cause = Cause("spec.template.metadata.labels", "FieldValueInvalid", text)
        raise faults.invalid(resource, obj["metadata"]["name"], [cause])


def _job_born(obj: Raw, spec: Raw) -> None:
    uid = obj["metadata"].setdefault("uid", str(uuid.uuid4()))
    for name, value in {
        "backoffLimit": 6,
        "completions": 1,
        "parallelism": 1,
        "suspend": False,
    }.items():
        spec.setdefault(name, value)
    own = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": obj["metadata"]["name"],
        "controller-uid": uid,
        "job-name": obj["metadata"]["name"],
    }
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("labels", {}).update(own)
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
