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
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Literal

from recovery.records import RecordChanged, Records, RecordsUnreachable, open_records

RECORD = "fence.json"
HISTORY = "fence"  # the folder of the take-overs, for people; nothing is decided by it
DEFAULT_CACHE_SECONDS = 5.0
LONGEST_CACHE_SECONDS = 300.0
WhenUnreadable = Literal["work", "stop"]
_PART = re.compile(r'"(region|number|address|since|by)"\s*:\s*("[^"\\]*|[0-9]+)')


class Fenced(Exception):
    """This region has been failed away from; `address` is where the work is done now."""

    def __init__(self, text: str, address: str = "") -> None:
        super().__init__(text)
        self.address = address


class RecordDamaged(RecordsUnreachable):
    """The record is there and makes no sense. Who asks whether it may work cannot tell it from one out of reach.

    `version` is that of what was read, `parts` is what can be made out of it, by name and as it stands there.
    """

    def __init__(self, text: str, version: str, parts: Mapping[str, str]) -> None:
        super().__init__(text)
        self.version = version
        self.parts = parts


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
    """The record and its version; None when there is none. RecordDamaged, RecordsUnreachable."""
    found = records.get(name)
    if found is None:
        return None
    data, version = found
    try:
        return _epoch(data), version
    except (ValueError, RecursionError) as error:
        text = f"the fence's record {name} in {records.description} makes no sense: {error}"
        raise RecordDamaged(text, version, _parts(data)) from error


def _epoch(data: bytes) -> Epoch:
    """What a record says; what a later version may add to it is left out. ValueError: it makes no sense."""
    values = json.loads(data)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    number = values.get("number")
    texts = {name: values.get(name, "") for name in ("region", "address", "since", "by")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"its {name} is {text!r}")
    if not texts["region"].strip():
        raise ValueError("it names no region")
    if type(number) is not int or number < 1:
        raise ValueError(f"its number is {number!r}")
    return Epoch(number=number, **texts)


def _parts(data: bytes) -> dict[str, str]:
    found = _PART.findall(data.decode("utf-8", "replace"))
    return {name: value.strip('"') for name, value in found if value.strip('"')}


def history(records: Records, hub: str = "app") -> list[Epoch]:
    """The take-overs on record, oldest first, without those that are damaged. RecordsUnreachable."""
    found = []
    for name in records.names(f"{hub}/{HISTORY}/"):
        record = records.get(name)
        with suppress(ValueError, RecursionError):
            found += [_epoch(record[0])] if record else []
    return found


def take_over(
    records: Records,
    region: str,
    address: str = "",
    by: str = "",
    hub: str = "app",
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    replace_damaged: bool = False,
) -> Epoch:
    """Makes a region the one that works, by one conditional write; taking over again changes nothing.

    RecordChanged: somebody else took over at the same moment; look who before trying again. RecordDamaged: the record
    makes no sense; with `replace_damaged` it is replaced, by a write on what was read too. RecordsUnreachable.
    """
    name, number, version = f"{hub}/{RECORD}", 0, None
    try:
        found = read(records, name)
    except RecordDamaged as damage:
        if not replace_damaged:
            raise
        number, version = _last_number(records, hub, damage.parts.get("number", "")), damage.version
    else:
        if found is None:
            number = _last_number(records, hub)
        elif is_same_region(found[0].region, region) and found[0].address == address:
            return found[0]
        else:
            number, version = found[0].number, found[1]
    epoch = Epoch(region, number + 1, address, now().isoformat(timespec="seconds"), by)
    data = json.dumps(asdict(epoch)).encode()
    records.put(name, data, version=version, only_new=version is None)
    with suppress(RecordsUnreachable, RecordChanged):
        records.put(f"{hub}/{HISTORY}/{epoch.number:06d}.json", data, only_new=True)
    return epoch


def _last_number(records: Records, hub: str, readable: str = "") -> int:
    """The greatest number known where the record itself does not tell it."""
    names = (name.rpartition("/")[2].removesuffix(".json") for name in records.names(f"{hub}/{HISTORY}/"))
    return max((int(text) for text in (*names, readable) if re.fullmatch(r"[0-9]{1,12}", text)), default=0)


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
    "RecordDamaged",
    "current",
    "history",
    "is_same_region",
    "open_fence",
    "read",
    "take_over",
]
