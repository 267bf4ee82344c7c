"""The journal: every accepted request is on record outside the hub's region before the client is told so.

Ships with the app. A starter or event endpoint writes its entry, waits for the write, and only then hands the request
to the hub and answers 202. `python -m recovery reconcile` compares the entries with a promoted hub.

    JOURNAL_STORAGE      where: see recovery.records; empty or `off`: no journal
    JOURNAL_HUB          which hub, default: the task hub's name is not known to the app, so `app`
    JOURNAL_WHEN_DOWN    `refuse` (default: the request is answered 503) or `accept` (counted, and logged as a warning)
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

from recovery.records import RecordChanged, Records, RecordsUnreachable, open_records

log = logging.getLogger("recovery.journal")
Kind = Literal["start", "event", "signal", "terminate"]
WhenDown = Literal["refuse", "accept"]
VERSION = 1
DEFAULT_HUB = "app"
MARKER = "journal.json"


class JournalDown(Exception):
    """The request cannot be put on record now; answer 503, nothing was started."""


class JournalOfAnotherHub(Exception):
    """The journal at this place belongs to another hub."""


@dataclass(frozen=True)
class Entry:
    """One accepted request. `text` is the input or data exactly as the hub gets it, JSON text or None."""

    kind: Kind
    instance_id: str
    name: str  # the workflow's, the event's or the operation's
    text: str | None
    time: str  # ISO 8601, UTC
    sequence: int  # orders the entries of one process that have the same time
    id: str = ""
    sha256: str = ""  # of `text`, so that a damaged entry is noticed
    version: int = VERSION

    @property
    def moment(self) -> datetime:
        """When it was accepted."""
        return datetime.fromisoformat(self.time)

    @property
    def is_whole(self) -> bool:
        """Whether the text is what was written."""
        return self.sha256 == digest(self.text)


def digest(text: str | None) -> str:
    """The checksum of an entry's text."""
    return hashlib.sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()


def as_sent(value: Any) -> str | None:
    """A value as the SDK's start_new and raise_event bring it into the hub: JSON in JSON."""
    return None if value is None else json.dumps(json.dumps(value))


@dataclass
class Counters:
    """What the status page says of the journal."""

    written: int = 0
    refused: int = 0
    accepted_without: int = 0
    milliseconds: float = 0.0  # of all writes together


class Journal:
    """The journal of one hub."""

    def __init__(
        self,
        records: Records,
        hub: str = DEFAULT_HUB,
        when_down: WhenDown = "refuse",
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.records = records
        self.hub = hub
        self.when_down = when_down
        self.counters = Counters()
        self._now = now
        self._sequence = itertools.count(1)
        self._marked = False

    # the app's side

    async def accept_start(self, instance_id: str, workflow: str, data: Any) -> Entry | None:
        """Puts a start on record. JournalDown: it cannot be, and the setting says refuse."""
        return await self._accept("start", instance_id, workflow, as_sent(data))

    async def accept_event(self, instance_id: str, name: str, data: Any) -> Entry | None:
        """Puts an external event on record. JournalDown as above."""
        return await self._accept("event", instance_id, name, as_sent(data))

    async def accept_signal(self, entity_id: str, operation: str, data: Any) -> Entry | None:
        """Puts a signal to an entity on record. JournalDown as above."""
        return await self._accept("signal", entity_id, operation, as_sent(data))

    async def withdraw(self, entry: Entry | None) -> None:
        """Takes an entry back whose request was refused after all. One that stays does no harm but a second look."""
        if entry is None:
            return
        try:
            await asyncio.to_thread(self.records.delete, self._name(entry))
        except RecordsUnreachable as error:
            log.warning("The journal keeps an entry of a refused request for %s: %s", entry.instance_id, error)

    async def _accept(self, kind: Kind, instance_id: str, name: str, text: str | None) -> Entry | None:
        entry = Entry(
            kind, instance_id, name, text, self._now().isoformat(), next(self._sequence), uuid.uuid4().hex, digest(text)
        )
        begin = time.perf_counter()
        try:
            await asyncio.to_thread(self.write, entry)
        except (RecordsUnreachable, JournalOfAnotherHub) as error:
            self._without(entry, error)
            return None
        self.counters.written += 1
        self.counters.milliseconds += (time.perf_counter() - begin) * 1000
        return entry

    def _without(self, entry: Entry, error: Exception) -> None:
        if self.when_down == "accept":
            self.counters.accepted_without += 1
            log.warning("A %s for %s was accepted without the journal: %s", entry.kind, entry.instance_id, error)
            return
        self.counters.refused += 1
        raise JournalDown(f"The request cannot be put on record: {error}. Send it again later.") from error

    def write(self, entry: Entry) -> None:
        """Writes an entry; it is there when this returns. RecordsUnreachable, JournalOfAnotherHub."""
        self._mark()
        data = json.dumps(asdict(entry)).encode()
        self.records.put(self._name(entry), data, only_new=True)

    def _mark(self) -> None:
        """Notes once whose journal this is."""
        if self._marked:
            return
        try:
            self.records.put(
                f"{self.hub}/{MARKER}", json.dumps({"hub": self.hub, "version": VERSION}).encode(), only_new=True
            )
        except RecordChanged:
            pass
        self._marked = True

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        counters = self.counters
        mean = counters.milliseconds / counters.written if counters.written else 0.0
        return {
            "journal": "on", "whenDown": self.when_down, "written": counters.written, "refused": counters.refused,
            "acceptedWithout": counters.accepted_without, "meanMilliseconds": round(mean, 1),
        }  # fmt: skip

    # the reconciler's side

    def check(self) -> None:
        """JournalOfAnotherHub: there is a journal here, but not this hub's. RecordsUnreachable."""
        if self.records.get(f"{self.hub}/{MARKER}") is not None:
            return
        others = sorted({name.split("/")[0] for name in self.records.names() if name.endswith(MARKER)})
        if others:
            raise JournalOfAnotherHub(
                f"The journal in {self.records.description} has no hub '{self.hub}'; it has {', '.join(others)}."
            )
        raise JournalOfAnotherHub(f"There is no journal in {self.records.description}.")

    def instance_ids(self) -> Iterator[str]:
        """The instances that have open entries, in the order of the names."""
        last = None
        for name in self.records.names(f"{self.hub}/open/"):
            folder = name.split("/")[2]
            if folder != last:
                last = folder
                entry = self._read(name)
                if entry is not None:
                    yield entry.instance_id

    def entries(self, instance_id: str) -> list[Entry]:
        """The open entries of an instance, oldest first; unreadable ones are left out and logged."""
        found = [self._read(name) for name in self.records.names(self._folder(instance_id))]
        return sorted((entry for entry in found if entry is not None), key=lambda x: (x.time, x.sequence, x.id))

    def _read(self, name: str) -> Entry | None:
        found = self.records.get(name)
        if found is None:
            return None
        try:
            entry = Entry(**json.loads(found[0]))
        except (ValueError, TypeError) as error:
            log.warning("The journal's entry %s cannot be read: %s", name, error)
            return None
        if not entry.is_whole:
            log.warning("The journal's entry %s is damaged", name)
            return None
        return entry

    def close(self, instance_id: str, status: str) -> int:
        """Ends an instance's entries: one short record of the end replaces them; returns how many they were."""
        entries = self.entries(instance_id)
        record = {"instance": instance_id, "status": status, "entries": len(entries), "closed": self._now().isoformat()}
        day = self._now().strftime("%Y-%m-%d")
        self.records.put(f"{self.hub}/closed/{day}/{_key(instance_id)}.json", json.dumps(record).encode())
        for entry in entries:
            self.records.delete(self._name(entry))
        return len(entries)

    def prune(self, before: datetime) -> int:
        """Deletes the records of what was closed before a day; returns how many."""
        limit = before.strftime("%Y-%m-%d")
        old = [n for n in self.records.names(f"{self.hub}/closed/") if n.split("/")[2] < limit]
        for name in old:
            self.records.delete(name)
        return len(old)

    def _folder(self, instance_id: str) -> str:
        return f"{self.hub}/open/{_key(instance_id)}/"

    def _name(self, entry: Entry) -> str:
        return f"{self._folder(entry.instance_id)}{_key(entry.time)}-{entry.sequence:06d}-{entry.kind}-{entry.id}.json"


def _key(text: str) -> str:
    """A text as one part of a record's name."""
    return quote(text, safe="@:-_").replace(".", "%2E")


class NoJournal:
    """The journal that is switched off: it accepts everything and keeps nothing."""

    async def accept_start(self, instance_id: str, workflow: str, data: Any) -> None:
        """Keeps nothing."""

    async def accept_event(self, instance_id: str, name: str, data: Any) -> None:
        """Keeps nothing."""

    async def accept_signal(self, entity_id: str, operation: str, data: Any) -> None:
        """Keeps nothing."""

    async def withdraw(self, entry: Entry | None) -> None:
        """Has nothing to take back."""

    def status(self) -> dict[str, Any]:
        """Says that requests are not on record."""
        return {"journal": "off"}


def open_journal(environment: Mapping[str, str] = os.environ) -> Journal | NoJournal:
    """The journal that the app's settings ask for. ValueError: JOURNAL_WHEN_DOWN is neither refuse nor accept."""
    records = open_records(environment)
    if records is None:
        return NoJournal()
    when_down = environment.get("JOURNAL_WHEN_DOWN", "").strip().lower() or "refuse"
    if when_down not in ("refuse", "accept"):
        raise ValueError(f"The setting JOURNAL_WHEN_DOWN is {when_down!r}; it must be refuse or accept.")
    hub = environment.get("JOURNAL_HUB", "").strip() or DEFAULT_HUB
    return Journal(records, hub, "accept" if when_down == "accept" else "refuse")


@lru_cache(maxsize=1)
def current() -> Journal | NoJournal:
    """The app's journal, opened once."""
    return open_journal()
