"""Remembers for some seconds that an account does not answer, so that not every request waits to find it out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PAUSE_SECONDS = 10.0  # between two requests that ask whether it answers again
SLOW_SECONDS = 1.0  # a failure that comes sooner costs nobody time, and nothing is remembered of it


class Silence:
    """Whether one account is silent, for all threads of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, pause: float = PAUSE_SECONDS) -> None:
        self._clock = clock
        self._pause = pause
        self._lock = threading.Lock()
        self._until: float | None = None  # None: it answered when it was asked last
        self._is_probed = False

    @property
    def is_on(self) -> bool:
        """Whether it did not answer when it was asked last."""
        return self._until is not None

    def holds(self) -> bool:
        """Whether it is not to be asked now: it was silent seconds ago, or somebody is finding out."""
        with self._lock:
            return self._holds()

    def begin(self) -> float | None:
        """The moment for `end` of a request that may be sent now; None: it is not to be asked.

        Of those that come after a pause the first alone is let through.
        """
        with self._lock:
            if self._holds():
                return None
            self._is_probed = self._until is not None
            return self._clock()

    def end(self, began: float, answered: bool) -> None:
        """Notes how a request ended."""
        with self._lock:
            now = self._clock()
            self._is_probed = False
            self._until = None if answered or now - began < SLOW_SECONDS else now + self._pause

    def _holds(self) -> bool:
        return self._until is not None and (self._is_probed or self._clock() < self._until)
