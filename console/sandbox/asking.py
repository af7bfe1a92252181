"""What requests say: their target, their query, their body."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import yaml

from console.sandbox import faults, protobuf
from console.sandbox.kinds import Key, Raw, Resource

if TYPE_CHECKING:
    from aiohttp import web


class Target(NamedTuple):
    """What a path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        """Where the object stands."""
        return Key(self.resource.id, self.namespace, self.name)

    @property
    def is_scale(self) -> bool:
        """Whether it is a Scale."""
        return self.subresource == "scale"


def is_on(text: str | None) -> bool:
    """A flag of the query."""
    return text in {"1", "true"}


def is_dry(request: web.BaseRequest) -> bool:
    """Whether nothing is to be kept."""
    return request.query.get("dryRun") == "All"


def is_strict(request: web.BaseRequest) -> bool:
    """Whether unknown fields are refused."""
    return request.query.get("fieldValidation") == "Strict"


def place(obj: Raw) -> tuple[str, str]:
    """Where an object stands in a list."""
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def page_token(version: str, first: Raw) -> str:
    """Where the next page begins."""
    return base64.urlsafe_b64encode(msgspec.json.encode([version, *place(first)])).decode()


def scale_of(obj: Raw) -> Raw:
    """The Scale of an object with replicas."""
    meta = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: obj["metadata"][name] for name in meta},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{name}={value}" for name, value in labels.items()),
        },
    }


async def body(request: web.BaseRequest) -> Raw:
    """The object in a request."""
    return parsed(await request.read())


def parsed(data: bytes) -> Raw:
    """The object in a body; ApiError 400 or 415."""
    try:
        if data[: len(protobuf.MAGIC)] == protobuf.MAGIC:
            obj: Any = protobuf.decode(data)
        elif data[:1] in {b"{", b"["}:
            obj = msgspec.json.decode(data)
        else:
            obj = yaml.safe_load(data)
    except (ValueError, yaml.YAMLError) as error:
        raise faults.bad_request(f"the body is not an object: {error}") from error
    if obj is None:
        raise faults.unsupported_media_type(
            "application/vnd.kubernetes.protobuf", ("application/json",)
        )
    if not isinstance(obj, dict):
        raise faults.bad_request("the body is not an object")
    return obj


def options(request: web.BaseRequest, data: bytes) -> Raw:
    """DeleteOptions from the body, or from the query as kubectl's older ways give them."""
    options = parsed(data) if data else {}
    options["dryRun"] = options.get("dryRun") or request.query.getall("dryRun", [])
    for name in ("propagationPolicy", "gracePeriodSeconds"):
        if name in request.query:
            value: Any = request.query[name]
            options[name] = int(value) if name == "gracePeriodSeconds" else value
    return options
