"""The program around a hook's commands, run by the shells that containers have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.engine.plan.hook_script import GO, MARK, Told, argv, heard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Session = subprocess.Popen[bytes]
WITHIN_S = 60.0


@pytest.fixture(params=["sh", "bash", "busybox"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder in which `sh` is the shell to try, to stand first in PATH."""
    found = shutil.which(request.param)
    if found is None:
        pytest.skip(f"apt-get install {request.param} lets this run")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sh").symlink_to(found)
    return f"{folder}:{os.environ['PATH']}"


class Hook:
    """A hook that keeps a marker file while it is frozen."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder = folder
        self.path = path
        self.marker = folder / "it is frozen"
        self.log = folder / "log"

    def words(self, text: str) -> tuple[str, ...]:
        return ("sh", "-c", text, "a name", str(self.marker), str(self.log))

    @contextmanager
    def session(
        self,
        *,
        pre: str = 'touch "$1"',
        post: str = 'rm "$1"',
        limit_s: int = 600,
        each_s: int = 60,
    ) -> Iterator[Session]:
        wanted = argv(
            identity=(str(self.folder),),
            pre=self.words(pre) if pre else (),
            post=self.words(post) if post else (),
            limit_s=limit_s,
            each_s=each_s,
        )
        with subprocess.Popen(
            wanted,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": self.path},
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def hook(shell: str, tmp_path: Path) -> Hook:
    return Hook(tmp_path, shell)


def until(session: Session, holds: Callable[[Told], bool]) -> Told:
    """What was told as soon as something of it holds."""
    told = Told()
    assert session.stderr is not None
    for line in session.stderr:
        told = heard(told, line.decode())
        if holds(told):
            return told
    raise AssertionError(f"it ended having told {told}")


def gone(path: Path) -> None:
    """Wait until a file is gone, which nobody tells."""
    end = time.monotonic() + WITHIN_S
    while path.exists():
        assert time.monotonic() < end, f"{path} is still there"
        time.sleep(0.02)


def say(session: Session, data: bytes) -> None:
    assert session.stdin is not None
    session.stdin.write(data)
    session.stdin.flush()


def hang_up(session: Session) -> None:
    assert session.stdin is not None
    session.stdin.close()


def main_of(session: Session) -> int:
    """The process that waits: the only child of the session whose program is the inner one."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == session.pid and any(word.startswith(b"main-") for word in words):
            return int(folder.name)
    raise AssertionError("the session has no main process")


def test_it_is_frozen_until_told_to_go(hook: Hook) -> None:
    with hook.session(post='rm "$1"; echo thawed') as session:
        until(session, lambda told: told.frozen)
        assert hook.marker.exists()
        say(session, GO)
        assert until(session, lambda told: told.post is not None)[1:] == ("go", 0)
        assert not hook.marker.exists()
        assert session.stdout is not None
        assert session.stdout.read() == b"thawed\n"
        assert session.wait(WITHIN_S) == 0


def test_the_end_of_the_input_thaws(hook: Hook) -> None:
    with hook.session() as session:
        until(session, lambda told: told.frozen)
        hang_up(session)
        assert until(session, lambda told: told.post is not None)[1:] == ("eof", 0)
        assert not hook.marker.exists()


def test_an_input_that_ends_while_it_freezes_thaws(hook: Hook) -> None:
    with hook.session(pre='sleep 1; touch "$1"') as session:
        hang_up(session)
        assert until(session, lambda told: told.post is not None) == (0, "eof", 0)
        assert not hook.marker.exists()


def test_the_limit_thaws(hook: Hook) -> None:
    with hook.session(limit_s=1) as session:
        assert until(session, lambda told: told.post is not None) == (0, "limit", 0)
        assert not hook.marker.exists()


def test_a_pre_command_that_fails_is_followed_by_the_post_command(hook: Hook) -> None:
    with hook.session(pre='touch "$1"; echo no; exit 7') as session:
        assert until(session, lambda told: told.post is not None) == (7, "failed", 0)
        assert not hook.marker.exists()
        assert session.stdout is not None
        assert session.stdout.read() == b"no\n"


def test_a_pre_command_that_hangs_is_ended(hook: Hook) -> None:
    with hook.session(pre='touch "$1"; exec sleep 1000', each_s=1) as session:
        told = until(session, lambda told: told.post is not None)
        assert (told.pre or 0) > 128
        assert told.woke == "failed"
        assert not hook.marker.exists()


def test_a_pre_command_is_ended_at_the_limit(hook: Hook) -> None:
    with hook.session(pre='touch "$1"; exec sleep 1000', limit_s=1) as session:
        told = until(session, lambda told: told.post is not None)
        assert (told.woke, told.post) == ("limit", 0)
        assert not hook.marker.exists()


def test_a_post_command_that_hangs_and_is_deaf_is_ended(hook: Hook) -> None:
    with hook.session(post="trap '' TERM; while true; do sleep 1; done", each_s=1) as session:
        until(session, lambda told: told.frozen)
        say(session, GO)
        assert until(session, lambda told: told.post is not None).post == 128 + signal.SIGKILL


def test_a_later_session_of_the_same_hook_makes_the_earlier_thaw_first(hook: Hook) -> None:
    pre, post = 'echo freeze >>"$2"', 'echo thaw >>"$2"'
    with hook.session(pre=pre, post=post) as first:
        until(first, lambda told: told.frozen)
        with hook.session(pre=pre, post=post) as second:
            until(second, lambda told: told.frozen)
            told = until(first, lambda told: told.post is not None)
            assert (told.woke, told.post) == ("superseded", 0)
            assert hook.log.read_text().split() == ["freeze", "thaw", "freeze"]
            say(second, GO)
            assert until(second, lambda told: told.post is not None).woke == "go"


def test_a_session_whose_process_is_killed_thaws(hook: Hook) -> None:
    with hook.session() as session:
        until(session, lambda told: told.frozen)
        os.kill(main_of(session), signal.SIGKILL)
        gone(hook.marker)


def test_output_that_nobody_reads_does_not_block(hook: Hook) -> None:
    with hook.session(post='head -c 1000000 /dev/zero; rm "$1"') as session:
        until(session, lambda told: told.frozen)
        hang_up(session)
        gone(hook.marker)


def test_a_hook_without_a_post_command_ends_by_itself(hook: Hook) -> None:
    with hook.session(post="") as session:
        assert until(session, lambda told: told.pre is not None).pre == 0
        assert session.wait(WITHIN_S) == 0
        assert hook.marker.exists()


def test_a_hook_without_a_pre_command_waits_all_the_same(hook: Hook) -> None:
    hook.marker.touch()
    with hook.session(pre="") as session:
        until(session, lambda told: told.frozen)
        assert hook.marker.exists()
        say(session, GO)
        until(session, lambda told: told.post == 0)
        assert not hook.marker.exists()


def test_only_lines_of_ours_are_heard() -> None:
    told = Told()
    for line in ("pre 0", f"{MARK} pre x", f"{MARK}", f"x {MARK} pre 0", f"{MARK} else 0"):
        told = heard(told, line)
    assert told == Told()
    assert heard(heard(told, f"{MARK} woke limit"), f"{MARK} woke go").woke == "limit"
