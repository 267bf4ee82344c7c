"""The fence: a record outside the hub's region says which region works, so that one that comes back stops itself.

Ships with the app. Two regions at work on one account, or on an account and its promoted copy, is the worst case: the
platform's app lease does not even keep activities apart. Every region asks here before it works; what it does while
another one works is in workflows.region.

    FENCE_REGION           this app's region, such as westeurope; empty: no fence
    FENCE_WHEN_UNREADABLE  `work` (default) or `stop`, when the record cannot be read and none was read before
    FENCE_CACHE_SECONDS    how long an answer is good for, default 5
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Literal

from recovery.records import RecordChanged, Records, RecordsUnreachable, open_records

RECORD = "fence.json"
DEFAULT_CACHE_SECONDS = 5.0
LONGEST_CACHE_SECONDS = 300.0
WhenUnreadable = Literal["work", "stop"]


class Fenced(Exception):
    """This region has been failed away from; `address` is where the work is done now."""

    def __init__(self, text: str, address: str = "") -> None:
        super().__init__(text)
        self.address = address


@dataclass(frozen=True)
class Epoch:
    """Which region works, since when, under a number that only grows."""

    region: str
    number: int
    address: str = ""  # of the region's app, for those who asked the wrong one
    since: str = ""  # ISO 8601, UTC
    by: str = ""  # who took over


@dataclass(frozen=True)
class Permit:
    """Whether this region may work now, and why not."""

    allowed: bool
    reason: str = ""
    address: str = ""


class Fence:
    """Asks, at most every few seconds, whether this region may work."""

    def __init__(
        self,
        records: Records,
        region: str,
        hub: str = "app",
        when_unreadable: WhenUnreadable = "work",
        cache_seconds: float = DEFAULT_CACHE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.records = records
        self.region = region
        self.name = f"{hub}/{RECORD}"
        self.when_unreadable = when_unreadable
        self.cache_seconds = cache_seconds
        self._now = now
        self._known: Epoch | None = None
        self._asked: float | None = None
        self._unreadable = ""
        self._reading = threading.Lock()

    def permit(self) -> Permit:
        """Whether this region may work. Costs a read when the last answer is older than the cache's seconds.

        While somebody reads, the others go by the last answer: an account that is slow to fail holds up one of them.
        """
        if self._is_fresh():
            return self._judge()
        if not self._reading.acquire(blocking=self._asked is None):
            return self._judge()
        try:
            if not self._is_fresh():
                self._ask()
            return self._judge()
        finally:
            self._reading.release()

    def known(self) -> Permit | None:
        """The same as far as it takes no read, for those who must not wait; None when one is due."""
        is_answered = self._asked is not None and (self._is_fresh() or self._reading.locked())
        return self._judge() if is_answered else None

    def check(self) -> None:
        """Fenced: this region may not work."""
        permit = self.permit()
        if not permit.allowed:
            raise Fenced(permit.reason, permit.address)

    def _is_fresh(self) -> bool:
        return self._asked is not None and self._now() - self._asked < self.cache_seconds

    def _ask(self) -> None:
        try:
            found = read(self.records, self.name)
        except RecordsUnreachable as error:
            self._unreadable = str(error)
        else:
            self._known, self._unreadable = (found[0] if found else None), ""
        self._asked = self._now()  # last: from now on others go by what was found

    def _judge(self) -> Permit:
        # What was last read still holds: a region that was failed away from must not start because nobody answers.
        epoch = self._known
        if epoch is None:
            if self._unreadable and self.when_unreadable == "stop":
                return Permit(False, f"It is not known which region works: {self._unreadable}.")
            return Permit(True)
        if is_same_region(epoch.region, self.region):
            return Permit(True)
        return Permit(
            False, f"The work is done in {epoch.region} since {epoch.since} (epoch {epoch.number}).", epoch.address
        )


class NoFence:
    """The fence that is switched off: everybody may work."""

    region = ""
    cache_seconds = DEFAULT_CACHE_SECONDS

    def permit(self) -> Permit:
        """Always allowed."""
        return Permit(True)

    def known(self) -> Permit | None:
        """Always allowed."""
        return Permit(True)

    def check(self) -> None:
        """Never raises."""


def is_same_region(one: str, other: str) -> bool:
    """Whether two spellings name one region, as `North Europe` and `northeurope` do."""
    return one.replace(" ", "").lower() == other.replace(" ", "").lower()


def read(records: Records, name: str) -> tuple[Epoch, str] | None:
    """The record and its version; None when there is none. RecordsUnreachable: also for one that makes no sense."""
    found = records.get(name)
    if found is None:
        return None
    try:
        return Epoch(**json.loads(found[0])), found[1]
    except (ValueError, TypeError) as error:
        raise RecordsUnreachable(f"the fence's record in {records.description} makes no sense: {error}") from error


def take_over(
    records: Records,
    region: str,
    address: str = "",
    by: str = "",
    hub: str = "app",
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Epoch:
    """Makes a region the one that works, by one conditional write; taking over again changes nothing.

    RecordChanged: somebody else took over at the same moment; look who before trying again. RecordsUnreachable.
    """
    name = f"{hub}/{RECORD}"
    found = read(records, name)
    if found is not None and is_same_region(found[0].region, region) and found[0].address == address:
        return found[0]
    number = found[0].number + 1 if found else 1
    epoch = Epoch(region, number, address, now().isoformat(timespec="seconds"), by)
    data = json.dumps(asdict(epoch)).encode()
    if found is None:
        records.put(name, data, only_new=True)
    else:
        records.put(name, data, version=found[1])
    return epoch


def open_fence(environment: Mapping[str, str] = os.environ) -> Fence | NoFence:
    """The fence that the app's settings ask for. ValueError: a setting has no such value."""
    region = environment.get("FENCE_REGION", "").strip()
    records = open_records(environment) if region else None
    if records is None:
        return NoFence()
    unreadable = environment.get("FENCE_WHEN_UNREADABLE", "").strip().lower() or "work"
    if unreadable not in ("work", "stop"):
        raise ValueError(f"The setting FENCE_WHEN_UNREADABLE is {unreadable!r}; it must be work or stop.")
    seconds = _seconds(environment.get("FENCE_CACHE_SECONDS", "").strip() or str(DEFAULT_CACHE_SECONDS))
    hub = environment.get("JOURNAL_HUB", "").strip() or "app"
    return Fence(records, region, hub, "stop" if unreadable == "stop" else "work", seconds)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_CACHE_SECONDS:
        raise ValueError(
            f"The setting FENCE_CACHE_SECONDS is {text!r}; it must be a number from 0 to {LONGEST_CACHE_SECONDS:.0f}."
        )
    return seconds


@lru_cache(maxsize=1)
def current() -> Fence | NoFence:
    """The app's fence, opened once."""
    return open_fence()


__all__ = [
    "Epoch",
    "Fence",
    "Fenced",
    "NoFence",
    "Permit",
    "RecordChanged",
    "current",
    "is_same_region",
    "open_fence",
    "read",
    "take_over",
]
