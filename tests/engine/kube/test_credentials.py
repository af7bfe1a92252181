"""Sign-in: token files, exec programs, and how both are renewed."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from console.engine import errors
from console.engine.kube import ClusterAccess, KubeClient
from console.engine.kube import credentials as module
from console.engine.kube.access import ExecProgram
from tests.engine.kube.authorities import Authority, server_context
from tests.engine.kube.scripted import Script, access_to, client_of, reply, serving, status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import web

VERSION = "GET /version"
V1 = "client.authentication.k8s.io/v1"


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    async with serving() as one:
        one.on(VERSION, reply({"gitVersion": "v1.30.0"}))
        yield one


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + self.ahead

    def elapsed_s(self) -> float:
        return 1000 + self.ahead.total_seconds()


def tokens(script: Script) -> list[str]:
    return [one.header("Authorization")[0] for one in script.asked]


def program(folder: Path, body: str, **more: Any) -> ExecProgram:
    """A Python program that runs `body` with `say(status)` and `calls` (how often it ran)."""
    text = f"""#!{sys.executable} -IS
import json, os, pathlib, sys
counter = pathlib.Path({str(folder / "calls")!r})
calls = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(calls))
def say(status, version={V1!r}):
    print(json.dumps({{"kind": "ExecCredential", "apiVersion": version, "status": status}}))
{body}
"""
    path = folder / "sign-in"
    path.write_text(text)
    path.chmod(0o755)
    return ExecProgram(command=str(path), folder=str(folder), **more)


def calls(folder: Path) -> int:
    return int((folder / "calls").read_text())


async def test_a_token_file_is_read_again(script: Script, tmp_path: Path) -> None:
    file, clock = tmp_path / "token", Hand()
    file.write_text("one\n")
    access = access_to(script, token_file=str(file), token="ignored")
    async with KubeClient(access, clock=clock) as client:
        await client.version()
        file.write_text("two")
        await client.version()
        clock.ahead += timedelta(seconds=61)
        await client.version()
    assert tokens(script) == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_refused_token_is_read_again_at_once(script: Script, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")

    async def only_new(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer new":
            return reply({"gitVersion": "v1.30.0"})
        file.write_text("new")
        return status(401)

    script.on(VERSION, only_new)
    async with client_of(script, token_file=str(file)) as client:
        assert await client.version() == "v1.30.0"
    assert tokens(script) == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("content", [b"", b"\n", b"a b\x00c", b"\xff\xfe", b"a\nb"])
async def test_a_token_file_without_a_token(script: Script, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    async with client_of(script, token_file=str(tmp_path / "token")) as client:
        with pytest.raises(errors.KubeconfigError, match="tokenFile holds no token"):
            await client.version()
    assert script.asked == []


async def test_a_token_file_that_is_not_there(script: Script, tmp_path: Path) -> None:
    async with client_of(script, token_file=str(tmp_path / "none")) as client:
        with pytest.raises(errors.KubeconfigError, match="tokenFile can't be read: No such file"):
            await client.version()


async def test_a_fixed_token_is_refused_once_and_for_all(script: Script) -> None:
    script.on(VERSION, status(401))
    async with client_of(script, token="t") as client:
        with pytest.raises(errors.SignInFailed) as caught:
            await client.version()
    assert "sign in again" in caught.value.hint
    assert len(script.asked) == 1


async def test_basic(script: Script) -> None:
    async with client_of(script, username="ann", password="pw") as client:
        await client.version()
    assert tokens(script) == ["Basic YW5uOnB3"]


async def test_a_program_runs_once_for_many_requests(script: Script, tmp_path: Path) -> None:
    one = program(tmp_path, 'say({"token": f"t{calls}"})')
    async with client_of(script, program=one) as client:
        await asyncio.gather(*(client.version() for _ in range(5)))
    assert set(tokens(script)) == {"Bearer t1"}
    assert calls(tmp_path) == 1


async def test_a_program_runs_again_before_its_token_expires(
    script: Script, tmp_path: Path
) -> None:
    clock = Hand()
    until = (clock.now() + timedelta(minutes=5)).isoformat()
    one = program(tmp_path, f'say({{"token": f"t{{calls}}", "expirationTimestamp": {until!r}}})')
    async with KubeClient(access_to(script, program=one), clock=clock) as client:
        await client.version()
        clock.ahead += timedelta(minutes=4, seconds=29)
        await client.version()
        clock.ahead += timedelta(seconds=2)
        await client.version()
    assert tokens(script) == ["Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a_refused_program_runs_again_for_any_method(script: Script, tmp_path: Path) -> None:
    async def second(request: web.Request) -> web.StreamResponse:
        good = request.headers["Authorization"] == "Bearer t2"
        return reply({"status": {"allowed": True}}) if good else status(401)

    script.on("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", second)
    from console.engine.model.kinds import PODS

    one = program(tmp_path, 'say({"token": f"t{calls}"})')
    async with client_of(script, program=one) as client:
        assert await client.may(None, "get", PODS)
    assert calls(tmp_path) == 2


async def test_what_a_program_is_told(script: Script, tmp_path: Path) -> None:
    out = tmp_path / "seen"
    body = f"""
seen = {{"env": dict(os.environ), "args": sys.argv[1:], "stdin": sys.stdin.read()}}
seen["terminal"] = os.isatty(0) or os.isatty(1) or os.isatty(2)
seen["session"] = os.getsid(0) == os.getpid()
pathlib.Path({str(out)!r}).write_text(json.dumps(seen))
say({{"token": "t"}})
"""
    one = program(
        tmp_path, body, args=("a b", "c"), env=(("PROFILE", "p"),), provide_cluster_info=True
    )
    async with client_of(script, program=one, ca=b"", tls_server_name="x") as client:
        await client.version()
    seen = json.loads(out.read_text())
    assert seen["args"] == ["a b", "c"]
    assert (seen["stdin"], seen["terminal"], seen["session"]) == ("", False, True)
    assert seen["env"]["PROFILE"] == "p"
    told = json.loads(seen["env"]["KUBERNETES_EXEC_INFO"])
    assert told["apiVersion"] == V1
    assert told["spec"]["interactive"] is False
    assert told["spec"]["cluster"]["server"] == script.base
    assert told["spec"]["cluster"]["tls-server-name"] == "x"


BAD = [
    ("sys.exit(3)", "ended with exit code 3"),
    ("print('x' * (2 << 20))", "printed over 1 MiB"),
    ("print('s3cret')", "printed no ExecCredential"),
    ("say({})", "neither a token nor a certificate"),
    ("say({'clientCertificateData': 'x'})", "neither a token nor a certificate"),
    ("say({'token': 's3cret\\n'})", "no header can carry"),
    ("say({'token': 't'}, version='v9')", "speaks v9"),
    ("say({'token': 't', 'expirationTimestamp': 'soon'})", "printed no ExecCredential"),
]


@pytest.mark.parametrize(("body", "message"), BAD, ids=[message for _, message in BAD])
async def test_a_program_that_fails(
    script: Script, tmp_path: Path, body: str, message: str
) -> None:
    async with client_of(script, program=program(tmp_path, body)) as client:
        with pytest.raises(errors.SignInFailed, match=message) as caught:
            await client.version()
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.hint}"
    assert script.asked == []


async def test_a_program_that_hangs_is_ended(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRAM_TIMEOUT_S", 0.3)
    one = program(tmp_path, "import time; time.sleep(600)")
    async with client_of(script, program=one) as client:
        with pytest.raises(errors.SignInFailed, match="took over"):
            await client.version()


async def test_no_such_program(script: Script, tmp_path: Path) -> None:
    missing = ExecProgram(
        command="kubehaven-no-such-program", folder=str(tmp_path), install_hint="get it there"
    )
    async with client_of(script, program=missing) as client:
        with pytest.raises(errors.KubeconfigError, match="no program") as caught:
            await client.version()
    assert caught.value.hint == "get it there"


async def test_a_program_may_hand_out_a_certificate(tmp_path: Path) -> None:
    authority = Authority("cluster")
    ann = authority.client("ann")
    body = f"say({{'clientCertificateData': {ann.cert.decode()!r}, "
    body += f"'clientKeyData': {ann.key.decode()!r}}})"
    context = server_context(tmp_path, authority.server(), clients=authority.pem)
    async with serving(context) as script:
        script.on(VERSION, reply({"gitVersion": "v1.30.0"}))
        one = program(tmp_path, body)
        async with client_of(script, ca=authority.pem, program=one) as client:
            assert await client.version() == "v1.30.0"


async def test_a_proxy_is_used_and_the_environment_not_for_this_machine(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as proxy:
        proxy.on(VERSION, reply({"gitVersion": "by proxy"}))
        access = ClusterAccess(
            path="", context="c", user="u", server="http://k.example", proxy_url=proxy.base
        )
        async with KubeClient(access) as client:
            assert await client.version() == "by proxy"
        monkeypatch.setenv("http_proxy", proxy.base)
        async with client_of(script) as client:
            assert await client.version() == "v1.30.0"
        plain = ClusterAccess(path="", context="c", user="u", server="http://k.example")
        async with KubeClient(plain) as client:
            assert await client.version() == "by proxy"
        monkeypatch.setenv("no_proxy", ".example")
        async with KubeClient(plain) as client:
            with pytest.raises(errors.Unreachable):
                await client.version()
