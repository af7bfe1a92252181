"""SIGTERM and SIGINT: the work is asked to end, and after a while ended.

The signals are blocked in all threads and taken by one that waits for them, so
that they are heard also while the main thread is inside a long call.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from console.repository import StopToken

GRACE_S = 8.0
_ASKS = {signal.SIGTERM, signal.SIGINT}
_LEAVE = signal.SIGUSR1


class StopOnSignal:
    """While entered, SIGTERM or SIGINT stops the token; the process ends `grace_s` later.

    It ends also when the work is over but a thread of it still hangs in a call.
    No thread may have been started before.
    """

    def __init__(
        self, stop: StopToken, give_up: Callable[[], int], *, grace_s: float = GRACE_S
    ) -> None:
        """Prepare.

        Args:
            give_up: Called in another thread when the grace is over and the work is not;
                its result is the exit code.
        """
        self._stop = stop
        self._give_up = give_up
        self._grace_s = grace_s
        self._over = threading.Event()
        self._exit_code = 0
        self._mask: set[int] = set()
        self._thread = threading.Thread(target=self._wait, name="worker:signals", daemon=True)

    def finish(self, exit_code: int) -> None:
        """The work is over and its result is written; nothing but this code may follow."""
        self._exit_code = exit_code
        self._over.set()

    def __enter__(self) -> Self:
        self._mask = {int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, _ASKS | {_LEAVE})}
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stop.stopped or self._thread.ident is None:
            return  # the other thread ends the process; a second signal must not do it sooner
        signal.pthread_kill(self._thread.ident, _LEAVE)
        self._thread.join()
        signal.sigtimedwait(_ASKS, 0)  # one that came too late to change anything
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _wait(self) -> None:
        if signal.sigwait(_ASKS | {_LEAVE}) == _LEAVE:
            return
        deadline = time.monotonic() + self._grace_s
        self._stop.stop()
        if not self._over.wait(self._grace_s):
            os._exit(self._give_up())
        # the result is written; threads that still hang in a call don't hold the process up
        time.sleep(max(0.0, deadline - time.monotonic()))
        os._exit(self._exit_code)
