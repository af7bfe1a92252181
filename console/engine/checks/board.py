"""The results of a check of a cluster, in order; each is told when it begins and when it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import msgspec

from console.engine.errors import EngineError
from console.engine.model.views import CheckResult
from console.engine.plan.check_plan import Verdict
from console.repository import RepositoryError
from console.storage import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    Try = Callable[[], Coroutine[Any, Any, Verdict] | Awaitable[Verdict]]

LONGEST_S = 600.0
MAX_SEEN = 1024


class Board:
    """All results so far."""

    def __init__(self, on_change: Callable[[CheckResult], None]) -> None:
        self._on_change = on_change
        self._rows: dict[str, CheckResult] = {}

    @property
    def results(self) -> tuple[CheckResult, ...]:
        """In the order in which they began."""
        return tuple(self._rows.values())

    @property
    def outcome(self) -> Literal["ok", "warning", "failed"]:
        """The gravest of the results."""
        there = {row.status for row in self._rows.values()}
        if "failed" in there:
            return "failed"
        return "warning" if "warning" in there else "ok"

    async def run(self, check: str, attempt: Try, *, subject: str = "") -> bool:
        """Carry one check out; what goes wrong in it is its result.

        Returns:
            Whether what comes after it can be tried.
        """
        row = CheckResult(check=check, subject=subject, status="running")
        self._show(row)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(LONGEST_S):
                verdict = await attempt()
        except TimeoutError:
            verdict = Verdict("failed", f"it took over {LONGEST_S:.0f} s", code="check.late")
        except (EngineError, RepositoryError, StoreError) as error:
            about = f" ({error.subject})" if error.subject else ""
            verdict = Verdict("failed", f"{error.message}{about}", error.hint, error.code)
        seconds = round(asyncio.get_running_loop().time() - began, 1)
        self._show(msgspec.structs.replace(_with(row, verdict), seconds=seconds))
        return verdict.status in {"ok", "warning"}

    def skip(self, check: str, why: str, *, subject: str = "") -> None:
        """Say that a check was not made, and why."""
        self._show(
            _with(
                CheckResult(check=check, subject=subject, status="skipped"), Verdict("skipped", why)
            )
        )

    def _show(self, row: CheckResult) -> None:
        self._rows[row.key] = row
        self._on_change(row)


def _with(row: CheckResult, verdict: Verdict) -> CheckResult:
    return msgspec.structs.replace(
        row,
        status=verdict.status,
        code=verdict.code,
        seen=verdict.seen[:MAX_SEEN],
        hint=verdict.hint[:MAX_SEEN],
    )
