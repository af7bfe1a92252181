"""The Kubernetes API that the sandbox claims to be, tried through kubectl on any cluster."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.contract.kubernetes import Cluster, Raw, config_map, widgets

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(300)  # real clusters take their time


@pytest.fixture
def home(cluster: Cluster) -> Iterator[str]:
    """A namespace."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[str]:
    """A namespace for tests that only read or are refused; it has the ConfigMap `one`."""
    with cluster.namespace() as name:
        cluster.create(config_map(name, "one"))
        yield name


@pytest.fixture(scope="module")
def tiers(cluster: Cluster) -> Iterator[str]:
    """A namespace with three labelled ConfigMaps."""
    with cluster.namespace() as name:
        for each, tier in {"one": "front", "two": "back", "three": ""}.items():
            labels = {"of": "choice"} | ({"tier": tier} if tier else {})
            cluster.create(config_map(name, each, labels=labels))
        yield name


@pytest.fixture(scope="module")
def group(cluster: Cluster) -> Iterator[str]:
    """The group of an established CRD `widgets`."""
    name = f"contract-{uuid.uuid4().hex[:8]}.example.com"
    cluster.run("apply", "-f", "-", given=widgets(name))
    cluster.wait("condition=Established", f"crd/widgets.{name}")
    yield name
    cluster.run("delete", "crd", f"widgets.{name}")


def _path(home: str, *rest: str) -> str:
    return "/".join((f"/api/v1/namespaces/{home}/configmaps", *rest))


def _widget(home: str, group: str, name: str, spec: Raw, **more: object) -> Raw:
    return {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": home},
        "spec": spec,
        **more,
    }


def _events(text: str) -> list[Raw]:
    return [json.loads(line) for line in text.splitlines()]


# one object


def test_an_object_gets_its_identity(cluster: Cluster, home: str) -> None:
    meta = cluster.create(config_map(home, "one"))["metadata"]
    assert meta["uid"]
    assert int(meta["resourceVersion"]) > 0
    assert meta["creationTimestamp"].endswith("Z")


def test_names_are_generated(cluster: Cluster, home: str) -> None:
    obj = config_map(home, "")
    obj["metadata"] = {"generateName": "made-", "namespace": home}
    first, second = (cluster.create(obj)["metadata"]["name"] for _ in range(2))
    assert first.startswith("made-")
    assert first != second


@pytest.mark.parametrize(
    ("verb", "given", "told"),
    [
        (["get", "configmap/none"], "", 'configmaps "none" not found'),
        (["create", "-f", "-"], "one", "AlreadyExists"),
        (["create", "-f", "-"], "UPPER_case", "is invalid: metadata.name"),
        (["get", "--raw", "/apis/none.example.com/v1/things"], "", "NotFound"),
        (["get", "configmaps", "--field-selector=data=x"], "", '"data" is not a known field'),
        (["get", "secrets", "--field-selector=data=x"], "", "field label not supported: data"),
    ],
)
def test_what_is_wrong_is_said(
    cluster: Cluster, shared: str, verb: list[str], given: str, told: str
) -> None:
    text = config_map(shared, given) if given else ""
    assert told in cluster.refused(*verb, "-n", shared, given=text)


def test_nothing_is_created_in_a_namespace_that_is_not_there(cluster: Cluster) -> None:
    told = cluster.refused("create", "-f", "-", given=config_map("never-made", "one"))
    assert 'namespaces "never-made" not found' in told


def test_a_write_from_an_old_version_conflicts(cluster: Cluster, home: str) -> None:
    old = cluster.create(config_map(home, "one"))
    cluster.run("patch", "cm/one", "-n", home, "--type=merge", '-p={"data":{"a":"2"}}')
    assert "the object has been modified" in cluster.refused("replace", "-f", "-", given=old)
    old["metadata"]["uid"] = str(uuid.uuid4())
    del old["metadata"]["resourceVersion"]
    assert "UID in precondition" in cluster.refused("replace", "-f", "-", given=old)


def test_the_same_content_writes_nothing(cluster: Cluster, home: str) -> None:
    before = cluster.create(config_map(home, "one"))
    after = json.loads(
        cluster.run(
            "patch", "cm/one", "-n", home, "--type=merge", '-p={"data":{"a":"1"}}', "-o", "json"
        )
    )
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("kind", "patch", "data"),
    [
        ("merge", {"data": {"a": None, "b": "2"}}, {"b": "2"}),
        ("strategic", {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        ("json", [{"op": "move", "from": "/data/a", "path": "/data/b"}], {"b": "1"}),
    ],
)
def test_patches(cluster: Cluster, home: str, kind: str, patch: object, data: Raw) -> None:
    cluster.create(config_map(home, "one"))
    text = f"-p={json.dumps(patch)}"
    cluster.run("patch", "cm/one", "-n", home, f"--type={kind}", text)
    assert cluster.read("cm/one", "-n", home)["data"] == data


def test_a_failed_test_of_a_json_patch_changes_nothing(cluster: Cluster, home: str) -> None:
    cluster.create(config_map(home, "one"))
    patch = [
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "test", "path": "/metadata/uid", "value": "another"},
    ]
    told = cluster.refused("patch", "cm/one", "-n", home, "--type=json", f"-p={json.dumps(patch)}")
    assert "request is invalid: the server rejected our request" in told
    assert cluster.read("cm/one", "-n", home)["data"] == {"a": "1"}


def test_apply_takes_back_what_it_gave(cluster: Cluster, home: str) -> None:
    for arguments in (["apply"], ["apply", "--server-side", "--field-manager=contract"]):
        name = f"applied-{len(arguments)}"
        both = config_map(home, name, data={"a": "1", "b": "2"})
        cluster.run(*arguments, "-f", "-", given=both)
        cluster.run("patch", f"cm/{name}", "-n", home, "--type=merge", '-p={"data":{"c":"3"}}')
        cluster.run(*arguments, "-f", "-", given=config_map(home, name, data={"a": "9"}))
        assert cluster.read(f"cm/{name}", "-n", home)["data"] == {"a": "9", "c": "3"}


def test_a_dry_run_keeps_nothing(cluster: Cluster, home: str) -> None:
    cluster.run("create", "-f", "-", "--dry-run=server", given=config_map(home, "one"))
    assert "not found" in cluster.refused("get", "cm/one", "-n", home)
    cluster.create(config_map(home, "one"))
    cluster.run("delete", "cm/one", "-n", home, "--dry-run=server")
    assert cluster.read("cm/one", "-n", home)["data"] == {"a": "1"}


def test_immutable_data_stays(cluster: Cluster, home: str) -> None:
    cluster.create({**config_map(home, "one"), "immutable": True})
    told = cluster.refused("patch", "cm/one", "-n", home, "--type=merge", '-p={"data":{"a":"2"}}')
    assert "field is immutable when `immutable` is set" in told


def test_secrets_take_plain_text(cluster: Cluster, home: str) -> None:
    secret = {**config_map(home, "one"), "kind": "Secret", "stringData": {"word": "open"}}
    del secret["data"]
    assert cluster.create(secret)["data"] == {"word": "b3Blbg=="}


def test_a_delete_may_name_what_it_means(cluster: Cluster, home: str) -> None:
    obj = cluster.create(config_map(home, "one"))
    for field, wrong in (("uid", str(uuid.uuid4())), ("resourceVersion", "1")):
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {field: wrong}}
        path = _path(home, "one")
        told = cluster.refused("delete", "--raw", path, "-f", "-", given=options)
        assert "precondition" in told.lower()
    options["preconditions"] = {"uid": obj["metadata"]["uid"]}
    answer = json.loads(
        cluster.run("delete", "--raw", _path(home, "one"), "-f", "-", given=options)
    )
    assert (answer["kind"], answer["status"]) == ("Status", "Success")


def test_a_finalizer_holds(cluster: Cluster, home: str) -> None:
    cluster.create(config_map(home, "one", finalizers=["contract.example.com/hold"]))
    cluster.run("delete", "cm/one", "-n", home, "--wait=false")
    assert cluster.read("cm/one", "-n", home)["metadata"]["deletionTimestamp"]
    more = '-p={"metadata":{"finalizers":["contract.example.com/hold","a.example.com/b"]}}'
    assert "no new finalizers" in cluster.refused(
        "patch", "cm/one", "-n", home, "--type=merge", more
    )
    none = '-p={"metadata":{"finalizers":null}}'
    cluster.run("patch", "cm/one", "-n", home, "--type=merge", none)
    assert "not found" in cluster.refused("get", "cm/one", "-n", home)


# many objects


def test_lists_come_in_pages(cluster: Cluster, home: str) -> None:
    for number in range(5):
        cluster.create(config_map(home, f"page-{number}", labels={"part": "pages"}))
    query, names, pages, token = "?labelSelector=part%3Dpages&limit=2", [], 0, ""
    while True:
        page = cluster.raw(f"{_path(home)}{query}&continue={token}")
        names += [item["metadata"]["name"] for item in page["items"]]
        pages, token = pages + 1, page["metadata"].get("continue", "")
        if not token:
            break
    assert names == [f"page-{number}" for number in range(5)]
    assert pages == 3
    assert "kind" not in page["items"][0]


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("tier=front", {"one"}),
        ("tier!=front", {"two", "three"}),
        ("tier in (front,back)", {"one", "two"}),
        ("tier notin (front)", {"two", "three"}),
        ("tier", {"one", "two"}),
        ("!tier", {"three"}),
        ("tier,tier!=back", {"one"}),
    ],
)
def test_labels_choose(cluster: Cluster, tiers: str, selector: str, chosen: set[str]) -> None:
    found = cluster.read("cm", "-n", tiers, "-l", f"of=choice,{selector}")
    assert {item["metadata"]["name"] for item in found["items"]} == chosen


def test_fields_choose(cluster: Cluster, tiers: str) -> None:
    found = cluster.read("cm", "-n", tiers, "--field-selector=metadata.name=two")
    assert [item["metadata"]["name"] for item in found["items"]] == ["two"]


def test_a_collection_is_deleted(cluster: Cluster, home: str) -> None:
    for name in ("one", "two", "three"):
        cluster.create(config_map(home, name, labels={"go": str(name != "three")}))
    cluster.run("delete", "--raw", f"{_path(home)}?labelSelector=go%3DTrue")
    left = {item["metadata"]["name"] for item in cluster.read("cm", "-n", home)["items"]}
    assert "three" in left
    assert not left & {"one", "two"}


def test_a_watch_tells_what_came_after_a_version(cluster: Cluster, home: str) -> None:
    version = cluster.create(config_map(home, "one"))["metadata"]["resourceVersion"]
    cluster.create(config_map(home, "two", labels={"in": "yes"}))
    label = ["label", "cm/two", "-n", home]
    cluster.run(*label, "in-")
    cluster.run(*label, "in=yes")
    cluster.run("delete", "cm/two", "-n", home)
    query = f"?watch=1&resourceVersion={version}&timeoutSeconds=1&labelSelector=in%3Dyes"
    events = _events(cluster.run("get", "--raw", _path(home) + query))
    assert [event["type"] for event in events] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    assert {event["object"]["kind"] for event in events} == {"ConfigMap"}


def test_a_watch_may_begin_with_what_is_there(cluster: Cluster, home: str) -> None:
    cluster.create(config_map(home, "one", labels={"in": "yes"}))
    query = (
        "?watch=1&timeoutSeconds=1&labelSelector=in%3Dyes&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    )
    events = _events(cluster.run("get", "--raw", _path(home) + query))
    # the API server asks etcd how far it is, which older ones can't say
    if "RequestWatchProgress" in str(events[0]["object"].get("message")):
        pytest.skip("KUBECONFIG_CONTRACT=FILE of a cluster with etcd 3.5.13 or newer runs it")
    assert [event["type"] for event in events[:2]] == ["ADDED", "BOOKMARK"]
    marks = events[1]["object"]["metadata"]["annotations"]
    assert marks == {"k8s.io/initial-events-end": "true"}


# custom resources


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "spec.size: Required value"),
        ({"size": "big"}, "must be of type integer"),
        ({"size": 10}, "should be less than or equal to 9"),
        ({"size": 1, "colour": "green"}, 'supported values: "red", "blue"'),
        ({"size": 1, "code": "A"}, "should match"),
        ({"size": 1, "code": "abcde"}, "Too long"),
        ({"size": 1, "parts": ["a", "b", "c"]}, "Too many"),
        ({"size": 1, "unknown": 1}, 'unknown field "spec.unknown"'),
    ],
)
def test_a_schema_refuses(cluster: Cluster, shared: str, group: str, spec: Raw, told: str) -> None:
    assert told in cluster.refused("create", "-f", "-", given=_widget(shared, group, "bad", spec))


def test_a_schema_prunes_and_fills_in(cluster: Cluster, home: str, group: str) -> None:
    spec = {"size": 2, "port": "http", "free": {"any": {"thing": 1}}, "unknown": 1}
    obj = _widget(home, group, "one", spec)
    cluster.run("create", "--validate=false", "-f", "-", given=obj)
    found = cluster.read(f"widgets.{group}/one", "-n", home)["spec"]
    assert found == {
        "size": 2,
        "colour": "blue",
        "port": "http",
        "free": {"any": {"thing": 1}},
    }


def test_status_and_spec_are_written_apart(cluster: Cluster, home: str, group: str) -> None:
    status = {"phase": "Early"}
    made = cluster.create(_widget(home, group, "one", {"size": 1}, status=status))
    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    name = f"widgets.{group}/one"
    both = '-p={"spec":{"size":2},"status":{"phase":"Done"}}'
    cluster.run("patch", name, "-n", home, "--type=merge", "--subresource=status", both)
    after = cluster.read(name, "-n", home)
    assert (after["spec"]["size"], after["status"]) == (1, {"phase": "Done"})
    assert after["metadata"]["generation"] == 1
    cluster.run("patch", name, "-n", home, "--type=merge", both.replace("Done", "Other"))
    last = cluster.read(name, "-n", home)
    assert (last["spec"]["size"], last["status"]) == (2, {"phase": "Done"})
    assert last["metadata"]["generation"] == 2


def test_a_custom_resource_is_shown_in_its_columns(cluster: Cluster, home: str, group: str) -> None:
    cluster.create(_widget(home, group, "one", {"size": 3}))
    head, row = cluster.run("get", f"wd.v1.{group}", "-n", home).splitlines()
    assert head.split() == ["NAME", "SIZE", "PHASE"]
    assert row.split() == ["one", "3"]


def test_a_crd_takes_its_objects_along(cluster: Cluster, home: str) -> None:
    own = f"gone-{uuid.uuid4().hex[:8]}.example.com"
    cluster.run("apply", "-f", "-", given=widgets(own))
    cluster.wait("condition=Established", f"crd/widgets.{own}")
    cluster.create(_widget(home, own, "one", {"size": 1}))
    cluster.run("delete", "crd", f"widgets.{own}")
    assert "NotFound" in cluster.refused(
        "get", "--raw", f"/apis/{own}/v1/namespaces/{home}/widgets"
    )


# owners and namespaces


def _owners(*owners: Raw) -> list[Raw]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]


def test_an_object_goes_with_the_last_of_its_owners(cluster: Cluster, home: str) -> None:
    owners = [cluster.create(config_map(home, name)) for name in ("one", "two")]
    cluster.create(config_map(home, "child", ownerReferences=_owners(*owners)))
    cluster.run("delete", "cm/one", "-n", home)
    cluster.wait("jsonpath={.metadata.ownerReferences[0].name}=two", "cm/child", "-n", home)
    cluster.run("delete", "cm/two", "-n", home)
    cluster.run("wait", "--for=delete", "cm/child", "-n", home, "--timeout=90s")


def test_foreground_waits_for_the_dependents(cluster: Cluster, home: str) -> None:
    owner = cluster.create(config_map(home, "one"))
    held = {"ownerReferences": _owners(owner), "finalizers": ["contract.example.com/hold"]}
    cluster.create(config_map(home, "child", **held))
    cluster.run("delete", "cm/one", "-n", home, "--cascade=foreground", "--wait=false")
    assert cluster.read("cm/one", "-n", home)["metadata"]["finalizers"] == ["foregroundDeletion"]
    none = '-p={"metadata":{"finalizers":null}}'
    cluster.wait("jsonpath={.metadata.deletionTimestamp}", "cm/child", "-n", home)
    cluster.run("patch", "cm/child", "-n", home, "--type=merge", none)
    cluster.run("wait", "--for=delete", "cm/one", "-n", home, "--timeout=90s")


def test_orphans_stay(cluster: Cluster, home: str) -> None:
    owner = cluster.create(config_map(home, "one"))
    cluster.create(config_map(home, "child", ownerReferences=_owners(owner)))
    cluster.run("delete", "cm/one", "-n", home, "--cascade=orphan")
    assert "ownerReferences" not in cluster.read("cm/child", "-n", home)["metadata"]


def test_a_namespace_takes_everything_along(cluster: Cluster, group: str) -> None:
    with cluster.namespace() as home:
        cluster.wait("create", "serviceaccount/default", "-n", home)
        cluster.wait("create", "cm/kube-root-ca.crt", "-n", home)
        cluster.create(_widget(home, group, "one", {"size": 1}))
        held = cluster.create(config_map(home, "held", finalizers=["contract.example.com/hold"]))
        cluster.run("delete", "namespace", home, "--wait=false")
        cluster.wait("jsonpath={.status.phase}=Terminating", f"namespace/{home}")
        told = cluster.refused("create", "-f", "-", given=config_map(home, "late"))
        assert "because it is being terminated" in told
        cluster.wait("jsonpath={.metadata.deletionTimestamp}", "cm/held", "-n", home)
        assert held["metadata"]["uid"]
        none = '-p={"metadata":{"finalizers":null}}'
        cluster.run("patch", "cm/held", "-n", home, "--type=merge", none)
        cluster.run("wait", "--for=delete", f"namespace/{home}", "--timeout=60s")


# who may what


def test_who_one_is_and_what_one_may(cluster: Cluster) -> None:
    assert json.loads(cluster.run("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    assert cluster.run("auth", "can-i", "delete", "pods").strip() == "yes"
    ask = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "nobody-we-know",
            "resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "default"},
        },
    }
    assert cluster.create(ask)["status"]["allowed"] is False
