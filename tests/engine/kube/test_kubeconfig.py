"""Kubeconfigs, good and bad: each fault names file and field."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.engine.errors import KubeconfigError
from console.engine.kube import context_names, read_kubeconfig
from console.engine.kube.access import Impersonation, load_files
from tests.engine.kube.kubeconfigs import kubeconfig, write

if TYPE_CHECKING:
    from pathlib import Path

PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PEM64 = base64.b64encode(PEM).decode()
URL = {"server": "https://k.example:6443"}


def test_everything_is_read(tmp_path: Path) -> None:
    cluster = {
        "server": "https://k.example:6443/",
        "certificate-authority-data": PEM64,
        "tls-server-name": "other.example",
        "proxy-url": "http://proxy.example:3128",
    }
    user = {
        "token": " t0ken\n",
        "client-certificate": "c.pem",
        "client-key": "/abs/k.pem",
        "as": "ann",
        "as-uid": "7",
        "as-groups": ["g1", "g2"],
        "as-user-extra": {"scopes": ["a"]},
    }
    context = {"cluster": "c1", "user": "u1", "namespace": "ns"}
    access = read_kubeconfig(
        write(tmp_path, kubeconfig(cluster=cluster, user=user, context=context))
    )
    assert access.server == "https://k.example:6443"
    assert (access.context, access.user, access.namespace) == ("shop", "u1", "ns")
    assert access.ca == PEM
    assert access.tls_server_name == "other.example"
    assert access.proxy_url == "http://proxy.example:3128"
    assert access.token == "t0ken"
    assert access.client_cert_file == str(tmp_path / "c.pem")
    assert access.client_key_file == "/abs/k.pem"
    assert access.impersonate == Impersonation(
        user="ann", uid="7", groups=("g1", "g2"), extra=(("scopes", ("a",)),)
    )
    assert repr(access) == "ClusterAccess(context='shop')"


def test_inline_data_goes_before_a_file(tmp_path: Path) -> None:
    cluster = {**URL, "certificate-authority-data": PEM64, "certificate-authority": "/evil"}
    access = read_kubeconfig(write(tmp_path, kubeconfig(cluster=cluster)))
    assert (access.ca, access.ca_file) == (PEM, "")


def test_nothing_is_opened_before_load_files(tmp_path: Path) -> None:
    cluster = {**URL, "certificate-authority": "ca.pem"}
    access = read_kubeconfig(write(tmp_path, kubeconfig(cluster=cluster)))
    with pytest.raises(KubeconfigError, match=r"certificate-authority can't be read: No such"):
        load_files(access)
    (tmp_path / "ca.pem").write_bytes(PEM)
    assert load_files(access).ca == PEM


def test_exec(tmp_path: Path) -> None:
    block = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["eks", "get-token"],
        "env": [{"name": "AWS_PROFILE", "value": "s3cret"}],
        "provideClusterInfo": True,
        "interactiveMode": "IfAvailable",
    }
    program = read_kubeconfig(write(tmp_path, kubeconfig(user={"exec": block}))).program
    assert program is not None
    assert program.command == "aws"
    assert program.args == ("eks", "get-token")
    assert program.provide_cluster_info
    assert program.api_version.endswith("v1beta1")
    assert "s3cret" not in repr(program)


def test_contexts_are_listed_and_chosen(tmp_path: Path) -> None:
    contexts = [
        {"name": "one", "context": {"cluster": "c1", "user": "u1"}},
        {"name": "two", "context": {"cluster": "c1", "namespace": "n2"}},
    ]
    path = write(tmp_path, kubeconfig(contexts=contexts))
    assert context_names(path) == ("one", "two")
    assert read_kubeconfig(path, "two").namespace == "n2"
    with pytest.raises(KubeconfigError, match="contexts has no 'shop'") as caught:
        read_kubeconfig(path)
    assert caught.value.hint == "it has: one, two"


FAULTS: list[tuple[str, Any, str]] = [
    ("root is a list", [1], "the file must be a mapping"),
    ("no context", kubeconfig(**{"current-context": ""}), "current-context is empty"),
    ("contexts", kubeconfig(contexts={"a": 1}), "contexts must be a list"),
    ("context entry", kubeconfig(contexts=["shop"]), "contexts[0] must be a mapping"),
    ("no cluster name", kubeconfig(context={"user": "u1"}), "contexts[0].context.cluster is miss"),
    ("no such cluster", kubeconfig(context={"cluster": "x"}), "clusters has no 'x'"),
    ("no such user", kubeconfig(context={"cluster": "c1", "user": "x"}), "users has no 'x'"),
    ("no server", kubeconfig(cluster={"a": 1}), "clusters[0].cluster.server is missing"),
    ("server number", kubeconfig(cluster={"server": 7}), "server must be text"),
    ("server bare", kubeconfig(cluster={"server": "k:6443"}), "server must be an http or https"),
    ("server port", kubeconfig(cluster={"server": "https://k:99999"}), "server is not a URL"),
    ("server user", kubeconfig(cluster={"server": "https://a:b@k"}), "server must hold no user"),
    ("server newline", kubeconfig(cluster={"server": "https://k/\r\nX: y"}), "server must be"),
    (
        "ca base64",
        kubeconfig(cluster={**URL, "certificate-authority-data": "!!"}),
        "clusters[0].cluster.certificate-authority-data is not base64",
    ),
    (
        "ca not pem",
        kubeconfig(cluster={**URL, "certificate-authority-data": "AAAA"}),
        "certificate-authority-data holds no PEM",
    ),
    (
        "insecure and ca",
        kubeconfig(cluster={**URL, "insecure-skip-tls-verify": True, "certificate-authority": "x"}),
        "insecure-skip-tls-verify stands beside",
    ),
    (
        "insecure text",
        kubeconfig(cluster={**URL, "insecure-skip-tls-verify": "yes please"}),
        "insecure-skip-tls-verify must be true or false",
    ),
    ("proxy", kubeconfig(cluster={**URL, "proxy-url": "socks5://p"}), "proxy-url must be"),
    ("token number", kubeconfig(user={"token": 12345}), "users[0].user.token must be text"),
    ("token newline", kubeconfig(user={"token": "a\nHost: b"}), "users[0].user.token holds char"),
    ("half pair", kubeconfig(user={"client-certificate": "c"}), "users[0].user.client-key is miss"),
    ("other half", kubeconfig(user={"client-key-data": PEM64}), "client-certificate is missing"),
    ("auth-provider", kubeconfig(user={"auth-provider": {"name": "gcp"}}), "auth-provider is no"),
    ("exec list", kubeconfig(user={"exec": ["aws"]}), "users[0].user.exec must be a mapping"),
    ("exec empty", kubeconfig(user={"exec": {"args": ["x"]}}), "exec.command is missing"),
    ("exec args", kubeconfig(user={"exec": {"command": "a", "args": [1]}}), "exec.args must be a"),
    ("exec v", kubeconfig(user={"exec": {"command": "a", "apiVersion": "x"}}), "exec.apiVersion"),
    (
        "exec terminal",
        kubeconfig(user={"exec": {"command": "a", "interactiveMode": "Always"}}),
        "exec.interactiveMode is Always",
    ),
    ("as-groups alone", kubeconfig(user={"as-groups": ["g"]}), "users[0].user.as is missing"),
    ("nul", kubeconfig(user={"tokenFile": "a\0b"}), "tokenFile holds a NUL"),
]


@pytest.mark.parametrize(("config", "message"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_faults_name_file_and_field(tmp_path: Path, config: Any, message: str) -> None:
    path = write(tmp_path, config)
    with pytest.raises(KubeconfigError) as caught:
        read_kubeconfig(path)
    assert message in caught.value.message
    assert caught.value.subject == str(path)


def test_files_that_are_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="No such file"):
        read_kubeconfig(tmp_path / "missing")
    with pytest.raises(KubeconfigError, match="Is a directory"):
        read_kubeconfig(tmp_path)
    path = tmp_path / "config"
    path.write_text("a: b\n c: [\n")
    with pytest.raises(KubeconfigError, match="not YAML: line 2"):
        read_kubeconfig(path)
    path.write_bytes(b"x" * (5 << 20))
    with pytest.raises(KubeconfigError, match="over 4194304 bytes"):
        read_kubeconfig(path)
    path.write_text("!!python/object/apply:os.system ['false']")
    with pytest.raises(KubeconfigError, match="not YAML"):
        read_kubeconfig(path)
    path.write_text("[" * 100_000)
    with pytest.raises(KubeconfigError):
        read_kubeconfig(path)


def test_secrets_are_in_no_message(tmp_path: Path) -> None:
    for user in ({"token": "s3cret\x07"}, {"client-key-data": "s3cret!"}, {"token": ["s3cret"]}):
        path = write(tmp_path, kubeconfig(user=user))
        with pytest.raises(KubeconfigError) as caught:
            read_kubeconfig(path)
        assert "s3cret" not in f"{caught.value} {caught.value.hint} {caught.value!r}"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.just("https://k")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
CLUSTER_KEYS = ["server", "certificate-authority-data", "insecure-skip-tls-verify", "proxy-url"]
USER_KEYS = ["token", "tokenFile", "exec", "as", "as-groups", "as-user-extra", "client-key"]


@given(
    cluster=st.dictionaries(st.sampled_from(CLUSTER_KEYS), VALUES),
    user=st.dictionaries(st.sampled_from(USER_KEYS), VALUES),
    root=st.dictionaries(st.sampled_from(["contexts", "clusters", "current-context"]), VALUES),
)
def test_any_shape_is_an_access_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, cluster: Any, user: Any, root: Any
) -> None:
    path = write(tmp_path_factory.getbasetemp(), kubeconfig(cluster=cluster, user=user, **root))
    try:
        access = read_kubeconfig(path)
    except KubeconfigError as error:
        assert error.message  # noqa: PT017
    else:
        assert access.server.startswith("http")


@given(st.binary(max_size=300))
def test_any_bytes_are_an_access_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    with pytest.raises(KubeconfigError):
        read_kubeconfig(path)
