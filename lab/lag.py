"""How long a write needs to the secondary region: not at all, always the same, or usually short and sometimes long."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from math import exp, floor
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SPREAD = 0.5  # of the logarithm: one lag in ten is 1.9 times the median or more, one in a hundred 3.2 times
LONGEST = 8  # medians
SHORTEST_WINDOW = 0.05  # seconds


class Lag(Protocol):
    """When a write that a unit makes at some moment reaches the secondary."""

    def arrival(self, unit: str, moment: datetime) -> datetime:
        """Never before `moment`, and never before that of an earlier write of the same unit."""
        ...


class ConstantLag:
    """Every write takes the same time: the secondary is the primary of a moment ago."""

    def __init__(self, lag: timedelta) -> None:
        self._lag = lag

    def arrival(self, unit: str, moment: datetime) -> datetime:
        return moment + self._lag


class LongTailedLag:
    """Each unit has lags of its own: log-normal, half of them below the median, a few far above it.

    A lag holds for a window as long as the median; a slow window holds up the writes behind it, so that the lag of
    one unit in fifty is three times the median. It is drawn from the seed, the unit and the window alone: no
    other unit has a part in it, nor the order in which somebody asks.
    """

    def __init__(self, median: timedelta, seed: int) -> None:
        self._median = median.total_seconds()
        self._window = max(self._median, SHORTEST_WINDOW)
        self._seed = seed
        self._drawn: dict[tuple[str, int], float] = {}
        self._held_up: dict[tuple[str, int], float] = {}

    def arrival(self, unit: str, moment: datetime) -> datetime:
        seconds = (moment - EPOCH).total_seconds()
        window = floor(seconds / self._window)
        arrived = max(seconds + self._lag(unit, window), self._before(unit, window))
        return max(moment, EPOCH + timedelta(seconds=arrived))

    def _lag(self, unit: str, window: int) -> float:
        known = self._drawn.get((unit, window))
        if known is None:
            factor = exp(SPREAD * random.Random(f"{self._seed} {unit} {window}").gauss(0, 1))
            known = self._drawn[unit, window] = self._median * min(factor, LONGEST)
        return known

    def _before(self, unit: str, window: int) -> float:
        """When the last write that an earlier window may have made arrives."""
        known = self._held_up.get((unit, window))
        if known is None:
            earlier = range(window - LONGEST, window)
            known = max((number + 1) * self._window + self._lag(unit, number) for number in earlier)
            self._held_up[unit, window] = known
        return known


DISTRIBUTIONS: dict[str, Callable[[timedelta, int], Lag]] = {
    "constant": lambda lag, seed: ConstantLag(lag),
    "long-tailed": LongTailedLag,
}
