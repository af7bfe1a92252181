"""A double of OpenShift's SCC *restricted-v2*: an admission webhook on this host.

It changes and refuses pods of namespaces that carry its label, and only those. As OpenShift
does it, the namespace's annotations give the users: `openshift.io/sa.scc.uid-range` and
`openshift.io/sa.scc.supplemental-groups`, each `FIRST/COUNT` or `FIRST-LAST`.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.cluster.bed.clusters import kubectl
from tests.cluster.bed.pki import issue_serving
from tests.cluster.bed.places import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.bed.places import Cluster

Raw = dict[str, Any]
LABEL = "kubehaven.test/scc"
NAME = "restricted-v2"
UID_RANGE = "openshift.io/sa.scc.uid-range"
GROUP_RANGE = "openshift.io/sa.scc.supplemental-groups"
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_VOLUMES = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim")
) | {"projected", "secret"}


class Range(NamedTuple):
    """Ids that a namespace may use, both ends included."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Range:
        """What an annotation says; groups may be several blocks, of which the first counts."""
        block = text.split(",")[0]
        first, slash, count = block.partition("/")
        if slash:
            return cls(int(first), int(first) + int(count) - 1)
        first, _, last = block.partition("-")
        return cls(int(first), int(last))


def fitted(pod: Raw, users: Range, group: int) -> Raw:
    """The pod as restricted-v2 completes it: what it says itself stays."""
    made = copy.deepcopy(pod)
    made["metadata"].setdefault("annotations", {})["openshift.io/scc"] = NAME
    own = made["spec"].setdefault("securityContext", {})
    # no fsGroupChangePolicy: the kubelet gives every file to the group with each start
    own.setdefault("fsGroup", group)
    own.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for container in _containers(made):
        context = container.setdefault("securityContext", {})
        if "runAsUser" not in own:
            context.setdefault("runAsUser", users.first)
        context.setdefault("runAsNonRoot", True)
        context.setdefault("allowPrivilegeEscalation", False)
        dropped = context.setdefault("capabilities", {}).setdefault("drop", [])
        if "ALL" not in dropped:
            dropped.append("ALL")
    return made


def refusals(pod: Raw, users: Range, group: int) -> list[str]:
    """Why restricted-v2 does not admit a pod; in its words."""
    spec, found = pod["spec"], []
    own = spec.get("securityContext") or {}
    found += [
        f".spec.securityContext.{field}: Invalid value: true: it is not allowed"
        for field in ("hostNetwork", "hostPID", "hostIPC")
        if spec.get(field)
    ]
    if own.get("fsGroup", group) != group:
        found.append(f".spec.securityContext.fsGroup: Invalid value: {own['fsGroup']}")
    for volume in spec.get("volumes") or ():
        kind = next(key for key in volume if key != "name")
        if kind not in _VOLUMES:
            found.append(f"spec.volumes: Invalid value: {kind}: {kind} volumes are not allowed")
    for container in _containers(pod):
        where = f".containers[{container['name']}].securityContext"
        context = container.get("securityContext") or {}
        user = context.get("runAsUser", own.get("runAsUser", users.first))
        if not users.first <= user <= users.last:
            found.append(
                f"{where}.runAsUser: Invalid value: {user}: must be in the ranges: "
                f"[{users.first}, {users.last}]"
            )
        for field in ("privileged", "allowPrivilegeEscalation"):
            if context.get(field):
                found.append(f"{where}.{field}: Invalid value: true: it is not allowed")
        added = set((context.get("capabilities") or {}).get("add") or ()) - {"NET_BIND_SERVICE"}
        found += [f"{where}.capabilities.add: Invalid value: {one}" for one in sorted(added)]
        if any(port.get("hostPort") for port in container.get("ports") or ()):
            found.append(f"{where}.hostPort: Invalid value: host ports are not allowed")
    return found


def _containers(pod: Raw) -> Iterator[Raw]:
    for field in _CONTAINERS:
        yield from pod["spec"].get(field) or ()


@contextlib.contextmanager
def restricted(cluster: Cluster) -> Iterator[None]:
    """While it is held, labelled namespaces of the cluster stand under restricted-v2."""
    with _serving(cluster) as url:
        parts = {"apiVersion": "v1", "kind": "List", "items": list(_hooks(cluster, url))}
        hooks = json.dumps(parts)
        kubectl(cluster, "apply", "-f", "-", stdin=hooks)
        try:
            yield
        finally:
            kubectl(cluster, "delete", "-f", "-", "--ignore-not-found", stdin=hooks)


@contextlib.contextmanager
def _serving(cluster: Cluster) -> Iterator[str]:
    """The webhook's address while it answers."""
    files = issue_serving(cluster, "scc-double", HOST)
    server = ThreadingHTTPServer((HOST, 0), _handler(cluster))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    # the handshake in the connection's own thread: one that stalls holds up no other
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.block_on_close = False  # the API server keeps its connections open
    thread = threading.Thread(target=server.serve_forever, name="scc-double")
    thread.start()
    try:
        yield f"https://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _hooks(cluster: Cluster, url: str) -> Iterator[Raw]:
    authority = base64.b64encode((cluster.folder / "pki" / "ca.crt").read_bytes()).decode()
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    for kind, path in (("Mutating", "fit"), ("Validating", "check")):
        hook = {
            "name": f"{path}.scc.kubehaven.test",
            "clientConfig": {"url": f"{url}/{path}", "caBundle": authority},
            "rules": [{**pods, "operations": ["CREATE"]}],
            "namespaceSelector": {"matchLabels": {LABEL: NAME}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "admissionReviewVersions": ["v1"],
        }
        yield {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": "scc-double"},
            "webhooks": [hook],
        }


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    pki = cluster.folder / "pki"
    trusted = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    trusted.load_cert_chain(pki / "admin.crt", pki / "admin.key")

    def ranges(namespace: str) -> tuple[Range, int]:
        api = http.client.HTTPSConnection(cluster.address, 6443, timeout=20, context=trusted)
        with contextlib.closing(api):
            api.request("GET", f"/api/v1/namespaces/{namespace}")
            notes = json.load(api.getresponse())["metadata"].get("annotations") or {}
        users = notes[UID_RANGE]
        return Range.parse(users), Range.parse(notes.get(GROUP_RANGE, users)).first

    class Handler(BaseHTTPRequestHandler):
        timeout = 60

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            path = self.path.partition("?")[0]  # the API server adds its time limit
            answer = {"uid": asked["uid"], **_answer(path, asked, *ranges(asked["namespace"]))}
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
            body = json.dumps({**review, "response": answer}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the API server's audit log tells the same."""

    return Handler


def _answer(path: str, asked: Raw, users: Range, group: int) -> Raw:
    pod: Raw = asked["object"]
    if path == "/fit":
        made = fitted(pod, users, group)
        patch = [
            {"op": "add", "path": f"/{part}", "value": made[part]} for part in ("metadata", "spec")
        ]
        text = base64.b64encode(json.dumps(patch).encode()).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": text}
    reasons = refusals(pod, users, group)
    if not reasons:
        return {"allowed": True}
    said = f"unable to validate against any security context constraint: {reasons}"
    return {"allowed": False, "status": {"message": said, "code": 403}}
