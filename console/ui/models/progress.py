"""Running actions as the cards draw them, and the rates that their bytes show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.engine import ActionView, VolumeProgress

SMOOTHING = 0.3  # share of the newest rate
MIN_STEP_S = 0.2


@dataclass(frozen=True)
class StepText:
    """A step as it is drawn; state is pending, running, done, failed or skipped."""

    name: str
    state: str
    took: str = ""


@dataclass(frozen=True)
class VolumeText:
    """A volume as it is drawn; share is 0 to 1, negative = not known."""

    name: str
    state: str
    share: float
    amount: str
    rate: str = ""
    left: str = ""


@dataclass(frozen=True)
class RunText:
    """A running or waiting action as its card shows it."""

    key: str
    title: str
    aside: str
    detail: str
    percent: str
    steps: tuple[StepText, ...]
    volumes: tuple[VolumeText, ...]
    can_cancel: str = ""  # why it can't; empty = it can
    waiting: bool = False


@dataclass(slots=True)
class _Sample:
    at_s: float
    bytes_done: int
    rate: float = 0.0


class Rates:
    """Bytes per second of every volume, smoothed, and percentages that never go back."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, str], _Sample] = {}
        self._highest: dict[str, int] = {}

    def observe(self, action: ActionView, now_s: float) -> None:
        """Take the newest figures in; `now_s` is any clock that only goes forward."""
        self._highest[action.key] = max(action.progress, self._highest.get(action.key, 0))
        for volume in action.volumes:
            at = (action.key, volume.pvc)
            last = self._samples.get(at)
            if last is None:
                self._samples[at] = _Sample(now_s, volume.bytesDone)
                continue
            seconds = now_s - last.at_s
            if volume.bytesDone == last.bytes_done or seconds < MIN_STEP_S:
                continue
            rate = max(0.0, (volume.bytesDone - last.bytes_done) / seconds)
            last.rate = rate if not last.rate else last.rate + SMOOTHING * (rate - last.rate)
            last.at_s, last.bytes_done = now_s, volume.bytesDone

    def keep(self, keys: set[str]) -> None:
        """Forget all actions but these."""
        self._samples = {at: s for at, s in self._samples.items() if at[0] in keys}
        self._highest = {key: v for key, v in self._highest.items() if key in keys}

    def progress(self, action: ActionView) -> int:
        """0 to 100; never lower than before."""
        return max(action.progress, self._highest.get(action.key, 0))

    def rate(self, action: ActionView, volume: VolumeProgress) -> float:
        """Bytes per second; 0 = not known yet."""
        sample = self._samples.get((action.key, volume.pvc))
        return sample.rate if sample and volume.state == "running" else 0.0

    def seconds_left(self, action: ActionView, volume: VolumeProgress) -> float:
        """Until a volume is done; negative = not known."""
        rate = self.rate(action, volume)
        if rate <= 0 or volume.bytesTotal <= 0:
            return -1.0
        return max(0, volume.bytesTotal - volume.bytesDone) / rate
