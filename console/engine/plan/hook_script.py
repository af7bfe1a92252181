"""The shell program that stands around a hook's commands inside the container.

One exec session is one freeze: the program runs the pre command, waits for a line
on its input, for the input's end or for the limit, and then runs the post
command. So a dead engine (the input ends), a hanging one (the limit) and a lost
connection all end the freeze. It needs `sh`, `sleep`, `head`, `cat` and, to find
a session that an earlier engine left, `grep`: busybox has them all. What it
tells the engine goes to stderr, what the commands write to stdout.
"""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "kubehaven-hook"
GO = b"go\n"
OUTPUT_BYTES = 16384  # of both commands; the rest is read inside the container and dropped

# when nobody reads any more, the commands' output must still flow, or they would block
OUTER = f'sh -c "$1" "main-$2" "$3" "$4" "$5" "$6" | {{ head -c {OUTPUT_BYTES}; cat >/dev/null; }}'

INNER = r"""
limit=$1 each=$2 pre=$3 post=$4 main=$$ job=
# in a subshell, which may die where nobody reads any more
say() ( echo "kubehaven-hook $*" >&2 )
# run WHAT COMMAND: for at most $each seconds
run() {
  sh -c "$2" </dev/null 2>&1 &
  job=$!
  ( trap '' HUP; n=0
    while [ "$n" -lt "$each" ]; do sleep 1; n=$((n + 1)); kill -0 "$job" || exit; done
    kill -TERM "$job"; sleep 2; kill -KILL "$job" ) </dev/null >/dev/null 2>&1 &
  clock=$!
  wait "$job"; code=$?
  while kill -0 "$job" 2>/dev/null; do wait "$job"; code=$?; done
  job=
  kill "$clock" 2>/dev/null
  say "$1" "$code"
}
thaw() {
  trap : TERM HUP INT
  [ -z "$job" ] || kill -TERM "$job" 2>/dev/null
  say woke "$1"
  [ -z "$post" ] || run post "$post"
  kill "$dog" 2>/dev/null
  exit 0
}
# sessions of this very hook that an earlier engine left: they thaw before we freeze
others() {
  old=
  for p in $(grep -ls "[m]${0#m}" /proc/[0-9]*/cmdline 2>/dev/null); do
    p=${p#/proc/}; p=${p%/cmdline}
    [ "$p" = "$main" ] || ! kill -"$1" "$p" 2>/dev/null || old=yes
  done
}
others HUP
n=0
while [ -n "$old" ] && [ "$n" -lt $((each + 5)) ]; do sleep 1; n=$((n + 1)); others 0; done
trap 'thaw limit' TERM
trap 'thaw superseded' HUP
# wakes us at the limit; where we were killed, it thaws by itself
( trap '' HUP; n=0
  while [ "$n" -lt "$limit" ] && kill -0 "$main"; do sleep 1; n=$((n + 1)); done
  kill -TERM "$main" && exit
  [ -z "$post" ] || sh -c "$post" ) </dev/null >/dev/null 2>&1 &
dog=$!
if [ -n "$pre" ]; then run pre "$pre"; else code=0; say pre 0; fi
[ "$code" -eq 0 ] || thaw failed
[ -n "$post" ] || { kill "$dog" 2>/dev/null; exit 0; }
read -r word || word=eof
thaw "${word:-eof}"
"""


def argv(
    *, identity: Sequence[str], pre: Sequence[str], post: Sequence[str], limit_s: int, each_s: int
) -> tuple[str, ...]:
    """The command of the exec session for one hook in one container.

    Args:
        identity: What tells this hook in this container from every other; an earlier session
            of the same identity is made to thaw first.
        limit_s: How long the application may stay frozen.
        each_s: How long each of the two commands may take.
    """
    tag = hashlib.sha256("\0".join([*identity, "", *pre, "", *post]).encode()).hexdigest()[:16]
    words = ("sh", "-c", OUTER, MARK, INNER, tag, str(limit_s), str(each_s))
    return (*words, _as_text(pre), _as_text(post))


def _as_text(command: Sequence[str]) -> str:
    # `exec`, so that the process to end in time is the command itself
    return f"exec {shlex.join(command)}" if command else ""


class Told(NamedTuple):
    """What a session has told so far; None = not yet."""

    pre: int | None = None  # exit code
    woke: str | None = None  # `go`, or why it thawed by itself
    post: int | None = None  # exit code

    @property
    def frozen(self) -> bool:
        """Whether the pre command is done and nothing has woken the session yet."""
        return self.pre == 0 and self.woke is None


def heard(told: Told, line: str) -> Told:
    """What is known after one more line of a session's stderr; other lines change nothing."""
    mark, _, rest = line.strip().partition(" ")
    what, _, value = rest.partition(" ")
    if mark != MARK:
        return told
    if what == "woke" and told.woke is None:
        return told._replace(woke=value)
    if what == "pre" and value.isdigit() and told.pre is None:
        return told._replace(pre=int(value))
    if what == "post" and value.isdigit():
        return told._replace(post=int(value))
    return told
