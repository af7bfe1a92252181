"""TLS against a real server: own authority, client certificates, and what must be refused."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from console.engine import errors
from console.engine.kube import KubeClient, connection
from console.engine.kube.tls import tls_context
from tests.engine.kube.authorities import Authority, Pair, private, server_context
from tests.engine.kube.scripted import Script, access_to, client_of, reply, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AUTHORITY = Authority("cluster")
OTHER = Authority("other")


@asynccontextmanager
async def server(folder: Path, pair: Pair, *, clients: bytes = b"") -> AsyncIterator[Script]:
    async with serving(server_context(folder, pair, clients=clients)) as script:
        script.on("GET /version", reply({"gitVersion": "v1.30.0"}))
        yield script


@pytest.fixture(autouse=True)
def _one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal stays one: what is refused need not be refused five times."""
    monkeypatch.setattr(connection, "MAX_TRIES", 1)


async def refusal(script: Script, **access: Any) -> errors.Unreachable:
    async with client_of(script, **access) as client:
        with pytest.raises(errors.Unreachable) as caught:
            await client.version()
    assert "127.0.0.1" not in f"{caught.value} {caught.value.hint}"
    return caught.value


async def test_the_clusters_own_authority(tmp_path: Path) -> None:
    async with server(tmp_path, AUTHORITY.server()) as script:
        async with client_of(script, ca=AUTHORITY.pem) as client:
            assert await client.version() == "v1.30.0"
        (tmp_path / "ca.pem").write_bytes(AUTHORITY.pem)
        async with client_of(script, ca_file=str(tmp_path / "ca.pem")) as client:
            assert await client.version() == "v1.30.0"


async def test_a_servers_own_certificate_is_an_authority_too(tmp_path: Path) -> None:
    pair = AUTHORITY.server()
    async with server(tmp_path, pair) as script, client_of(script, ca=pair.cert) as client:
        assert await client.version() == "v1.30.0"


async def test_another_authority_is_refused_and_said(tmp_path: Path) -> None:
    async with server(tmp_path, OTHER.server()) as script:
        error = await refusal(script, ca=AUTHORITY.pem, token="s3cret")
        assert error.code == "cluster.tls"
        assert "not trusted" in error.message
        await refusal(script)  # by the system's authorities
        assert script.asked == []


async def test_an_expired_certificate(tmp_path: Path) -> None:
    async with server(tmp_path, AUTHORITY.server(days=-1)) as script:
        assert "expired" in (await refusal(script, ca=AUTHORITY.pem)).message


async def test_another_name_and_tls_server_name(tmp_path: Path) -> None:
    async with server(tmp_path, AUTHORITY.server("api.example")) as script:
        assert "another name" in (await refusal(script, ca=AUTHORITY.pem)).message
        async with client_of(script, ca=AUTHORITY.pem, tls_server_name="api.example") as client:
            assert await client.version() == "v1.30.0"


async def test_insecure_is_possible_and_only_on_request(tmp_path: Path) -> None:
    async with (
        server(tmp_path, OTHER.server("elsewhere.example")) as script,
        client_of(script, insecure=True) as client,
    ):
        assert await client.version() == "v1.30.0"


async def test_plain_http_on_a_tls_port(tmp_path: Path) -> None:
    del tmp_path
    async with serving() as script:
        script.base = script.base.replace("http:", "https:")
        assert (await refusal(script, ca=AUTHORITY.pem)).code == "cluster.tls"


async def test_client_certificates(tmp_path: Path) -> None:
    good, bad = AUTHORITY.client("ann"), OTHER.client("eve")
    async with server(tmp_path, AUTHORITY.server(), clients=AUTHORITY.pem) as script:
        access = access_to(script, ca=AUTHORITY.pem, client_cert=good.cert, client_key=good.key)
        async with KubeClient(access) as client:
            assert await client.version() == "v1.30.0"
        for name, content in (("c.pem", good.cert), ("k.pem", good.key)):
            (tmp_path / name).write_bytes(content)
        files = {
            "client_cert_file": str(tmp_path / "c.pem"),
            "client_key_file": str(tmp_path / "k.pem"),
        }
        async with client_of(script, ca=AUTHORITY.pem, **files) as client:
            assert await client.version() == "v1.30.0"
        await refusal(script, ca=AUTHORITY.pem, client_cert=bad.cert, client_key=bad.key)
        assert "client certificate" in (await refusal(script, ca=AUTHORITY.pem)).hint


def test_no_key_is_written_to_any_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = AUTHORITY.client("ann")
    script = Script(base="https://k")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    before = set(os.listdir("/proc/self/fd"))
    tls_context(access_to(script, ca=AUTHORITY.pem, client_cert=pair.cert, client_key=pair.key))
    assert set(os.listdir("/proc/self/fd")) == before


def test_elsewhere_a_private_file_is_gone_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = AUTHORITY.client("ann")
    monkeypatch.delattr("os.memfd_create")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    modes: list[int] = []
    unlink = type(tmp_path).unlink

    def noting(path: Path, missing_ok: bool = False) -> None:
        modes.append(path.stat().st_mode & 0o777)
        unlink(path, missing_ok)

    monkeypatch.setattr("pathlib.Path.unlink", noting)
    access = access_to(
        Script(base="https://k"), ca=AUTHORITY.pem, client_cert=pair.cert, client_key=pair.key
    )
    tls_context(access)
    assert modes == [0o600]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ({"ca": b"-----BEGIN CERTIFICATE-----\nAAAA\n"}, "certificate-authority holds no"),
        ({"ca": b"\xff-----BEGIN "}, "certificate-authority holds no"),
        (
            {"client_cert": AUTHORITY.client("a").cert, "client_key": AUTHORITY.client("b").key},
            "can't be used together",
        ),
        ({"client_cert": b"rubbish", "client_key": b"rubbish"}, "can't be used together"),
    ],
)
async def test_unusable_material_is_the_kubeconfigs_fault(
    access: dict[str, Any], message: str
) -> None:
    async with client_of(Script(base="https://127.0.0.1:1"), **access) as client:
        with pytest.raises(errors.KubeconfigError, match=message) as caught:
            await client.version()
    assert caught.value.subject == "/nowhere/config"


async def test_an_encrypted_key_asks_nobody() -> None:
    pair = AUTHORITY.client("ann")
    key = private(ec.generate_private_key(ec.SECP256R1()), b"secret")
    script = Script(base="https://127.0.0.1:1")
    async with client_of(script, client_cert=pair.cert, client_key=key) as client:
        with pytest.raises(errors.KubeconfigError, match="encrypted"):
            await client.version()


async def test_a_connection_that_is_not_used_again_is_cut_and_not_closed_politely(
    tmp_path: Path,
) -> None:
    asked = asyncio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    async with server(tmp_path, AUTHORITY.server()) as script:
        script.on("GET /version", never)
        port = int(script.base.rpartition(":")[2])
        async with client_of(script, ca=AUTHORITY.pem) as client, asyncio.TaskGroup() as group:
            task = group.create_task(client.version())
            await asked.wait()
            assert open_to(port) == 1
            task.cancel()
        await asyncio.sleep(0)
        assert open_to(port) == 0


def open_to(port: int) -> int:
    """How many connections of this process to a port are open."""
    count = 0
    for transport in gc.get_objects():
        if type(transport).__name__ == "_SelectorSocketTransport":
            peer = transport.get_extra_info("peername")
            is_open = transport.get_extra_info("socket").fileno() != -1
            count += is_open and peer is not None and peer[1] == port
    return count
