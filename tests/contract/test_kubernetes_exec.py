"""Commands in containers: through kubectl, and through the engine's own client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from console.engine.errors import EngineError
from console.engine.kube import KubeClient, read_kubeconfig
from console.engine.kube.executing import Command, ExecSession
from console.engine.plan.hook_script import GO, INNER, OUTER, Told, argv, heard
from console.sandbox.executing import PROGRAM, program_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contract.kubernetes import Cluster

MARKER = "/data/it is frozen"


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with KubeClient(read_kubeconfig(cluster.kubeconfig)) as one:
        yield one


def test_kubectl_runs_a_command(cluster: Cluster, box_home: str) -> None:
    run = ("exec", "-n", box_home, "box", "-i", "--")
    assert cluster.run(*run, "echo", "a b", "c") == "a b c\n"
    assert cluster.run(*run, "cat", given="over\nthere") == "over\nthere"
    code, _, error = cluster.attempt(*run, "false")
    assert code == 1
    assert "exit code 1" in error


async def test_a_command_has_input_output_and_an_exit_code(
    client: KubeClient, box_home: str
) -> None:
    def command(*words: str) -> Command:
        return Command(box_home, "box", words)

    data = bytes(range(256)) * 4096
    echoed = await client.exec(command("cat"), stdin=data, limit_bytes=2 << 20)
    assert (echoed.exit_code, echoed.stdout, echoed.dropped) == (0, data, 0)
    cut = await client.exec(command("echo", "0123456789"), limit_bytes=4)
    assert (cut.stdout, cut.dropped) == (b"0123", 7)
    assert (await client.exec(command("false"))).exit_code == 1
    failed = await client.exec(command("cat", "/data/none"))
    assert failed.exit_code == 1
    assert b"none" in failed.stderr


async def test_what_can_not_be_run_is_said(client: KubeClient, box_home: str) -> None:
    wrong = {
        "cluster.not_found": Command(box_home, "none", ("true",)),
        "cluster.invalid": Command(box_home, "box", ("true",), container="none"),
        "exec.timeout": Command(box_home, "box", ("sleep", "1000")),
    }
    for code, command in wrong.items():
        with pytest.raises(EngineError) as caught:
            await client.exec(command, timeout_s=1 if code == "exec.timeout" else 60)
        assert caught.value.code == code
        assert box_home in caught.value.subject


async def test_a_hook_freezes_until_told_or_until_the_connection_ends(
    client: KubeClient, box_home: str
) -> None:
    command = Command(box_home, "box", hook())
    assert not await is_frozen(client, box_home)
    async with client.exec_session(command) as session:
        told = await told_until_frozen(session)
        assert await is_frozen(client, box_home)
        await session.send(GO)
        while (piece := await session.read()) is not None:
            for line in piece.data.decode().splitlines():
                told = heard(told, line)
        assert (told, session.exit_code) == (Told(0, "go", 0), 0)
        assert not await is_frozen(client, box_home)
    async with client.exec_session(command) as session:
        await told_until_frozen(session)
    for _ in range(600):  # nothing tells it
        if not await is_frozen(client, box_home):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it is still frozen")


def test_the_sandbox_knows_the_program_of_the_hooks() -> None:
    assert program_digest(OUTER, INNER) == PROGRAM


def hook() -> tuple[str, ...]:
    return argv(
        identity=("contract",), pre=("touch", MARKER), post=("rm", MARKER), limit_s=600, each_s=60
    )


async def told_until_frozen(session: ExecSession) -> Told:
    told = Told()
    while not told.frozen:
        piece = await session.read()
        assert piece is not None, told
        for line in piece.data.decode().splitlines():
            told = heard(told, line)
    return told


async def is_frozen(client: KubeClient, box_home: str) -> bool:
    """Whether the pre-hook's marker is there; `cat` fails without it."""
    return (await client.exec(Command(box_home, "box", ("cat", MARKER)))).exit_code == 0
