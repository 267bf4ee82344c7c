"""The journal: every accepted request is on record outside the hub's region before the client is told so.

Ships with the app. A starter or event endpoint writes its entry, waits for the write, and only then hands the request
to the hub and answers 202. `python -m recovery reconcile` compares the entries with a promoted hub.

    JOURNAL_STORAGE      where: see recovery.records; empty or `off`: no journal
    JOURNAL_HUB          whose journal, when several apps share the account; default `app`
    JOURNAL_WHEN_DOWN    `refuse` (default: the request is answered 503) or `accept` (counted, and logged as a warning)
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from recovery.records import RecordChanged, Records, RecordsUnreachable, open_records

log = logging.getLogger("recovery.journal")
Kind = Literal["start", "event", "signal", "terminate"]
WhenDown = Literal["refuse", "accept"]
VERSION = 1
DEFAULT_HUB = "app"
MARKER = "journal.json"
TASK_HUBS = "taskhubs"
HUB_NAME = "AzureFunctionsJobHost__extensions__durableTask__hubName"
READERS = 16  # records that are asked for at once
READ_AT_ONCE = 64  # and held at once


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


@dataclass(frozen=True)
class OnRecord:
    """What is on record of one instance and not closed."""

    instance_id: str
    entries: list[Entry]  # oldest first
    withdrawn: list[Entry]  # starts that the hub did not confirm
    unreadable: list[str]  # records that are damaged or cannot be read, and why


Found = Entry | str | None  # a text says why an entry cannot be read; None: it is gone meanwhile


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
        task_hub: str = "",
    ) -> None:
        self.records = records
        self.hub = hub
        self.task_hub = task_hub  # the requests go to it; empty: not known
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
        """Takes an entry back whose request was refused after all. One that stays does no harm but a second look.

        A start that the hub did not confirm may have arrived all the same, its answer lost on the way; whoever sends
        it again is then told that it is there. So a withdrawn start stays on record, is never started from it, and is
        named when the hub does not hold it.
        """
        if entry is None:
            return
        try:
            await asyncio.to_thread(self._withdraw, entry)
        except RecordsUnreachable as error:
            log.warning("The journal keeps an entry of a refused request for %s: %s", entry.instance_id, error)

    def _withdraw(self, entry: Entry) -> None:
        if entry.kind == "start":
            self.records.put(self._name(entry, "withdrawn"), json.dumps(asdict(entry)).encode())
        self.records.delete(self._name(entry))

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
        # Its name is this entry's alone: when it is there already, a first try arrived and its answer did not.
        with suppress(RecordChanged):
            self.records.put(self._name(entry), data, only_new=True)

    def _mark(self) -> None:
        """Notes once whose journal this is, and which task hub gets the requests."""
        if self._marked:
            return
        self._note(MARKER, {"hub": self.hub, "version": VERSION})
        if self.task_hub:
            self._note(f"{TASK_HUBS}/{_key(self.task_hub.lower())}.json", {"taskHub": self.task_hub})
        self._marked = True

    def _note(self, name: str, content: dict[str, Any]) -> None:
        with suppress(RecordChanged):  # it is there already
            self.records.put(f"{self.hub}/{name}", json.dumps(content).encode(), only_new=True)

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        counters = self.counters
        mean = counters.milliseconds / counters.written if counters.written else 0.0
        return {
            "journal": "on", "whenDown": self.when_down, "written": counters.written, "refused": counters.refused,
            "acceptedWithout": counters.accepted_without, "meanMilliseconds": round(mean, 1),
        }  # fmt: skip

    # the reconciler's side

    def check(self, task_hub: str = "") -> None:
        """JournalOfAnotherHub: no journal here, or not this hub's, or its requests went to another task hub.

        RecordsUnreachable.
        """
        if self.records.get(f"{self.hub}/{MARKER}") is None:
            raise JournalOfAnotherHub(self._missing())
        hubs = [unquote(_folder_of(name).removesuffix(".json")) for name in self.records.names(self._task_hubs())]
        if task_hub and hubs and task_hub.lower() not in hubs:
            raise JournalOfAnotherHub(
                f"The requests in the journal '{self.hub}' of {self.records.description} went to the task hub "
                f"{', '.join(hubs)}, not to {task_hub}. Name the right ones with --hub and --journal-hub."
            )

    def _task_hubs(self) -> str:
        return f"{self.hub}/{TASK_HUBS}/"

    def _missing(self) -> str:
        others = sorted({name.split("/")[0] for name in self.records.names() if name.endswith(f"/{MARKER}")})
        if others:
            return f"The journal in {self.records.description} has no hub '{self.hub}'; it has {', '.join(others)}."
        return f"There is no journal in {self.records.description}."

    def instance_ids(self) -> Iterator[str]:
        """The instances that have open entries, in the order of the names."""
        names = self.records.names(f"{self.hub}/open/")
        yield from (unquote(folder) for folder, _ in itertools.groupby(names, _folder_of))

    def count(self) -> int:
        """How many entries are open, by their names alone. RecordsUnreachable."""
        return sum(1 for _ in self.records.names(f"{self.hub}/open/"))

    def entries(self, instance_id: str) -> list[Entry]:
        """The open entries of an instance, oldest first; unreadable ones are left out and logged."""
        names = self.records.names(self._folder(instance_id))
        return _in_order(found for found in map(self._read, names) if isinstance(found, Entry))

    def on_record(self) -> Iterator[OnRecord]:
        """What is on record, one instance after the other, however many there are; some records are read at once."""
        parts = (self.records.names(f"{self.hub}/{part}/") for part in ("open", "withdrawn"))
        names = heapq.merge(*parts, key=lambda name: _folder_of(name) + "/")
        with ThreadPoolExecutor(READERS) as pool:
            for folder, group in itertools.groupby(self._each(pool, names), lambda found: _folder_of(found[0])):
                yield _on_record(unquote(folder), list(group))

    def _each(self, pool: ThreadPoolExecutor, names: Iterator[str]) -> Iterator[tuple[str, Found]]:
        while some := list(itertools.islice(names, READ_AT_ONCE)):
            yield from zip(some, pool.map(self._read, some), strict=True)

    def _read(self, name: str) -> Found:
        """The entry of a name, or why there is none."""
        found = self.records.get(name)
        if found is None:
            return None
        try:
            entry = Entry(**json.loads(found[0]))
            belongs = _key(entry.instance_id) == _folder_of(name)
            is_sound = belongs and entry.is_whole and entry.moment.tzinfo is not None
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("The journal's entry %s cannot be read: %s", name, error)
            return "it cannot be read"
        if not is_sound:
            log.warning("The journal's entry %s is damaged", name)
            return "it is not what was accepted"
        return entry

    def close(self, instance_id: str, status: str, entries: Sequence[Entry]) -> int:
        """Ends these entries of an instance: one short record of the end replaces them; returns how many they were.

        What was accepted since they were read stays, and so does what cannot be read.
        """
        record = {"instance": instance_id, "status": status, "entries": len(entries), "closed": self._now().isoformat()}
        day = self._now().strftime("%Y-%m-%d")
        self.records.put(f"{self.hub}/closed/{day}/{_key(instance_id)}.json", json.dumps(record).encode())
        for entry in entries:
            self.records.delete(self._name(entry))
        return len(entries)

    def forget(self, entry: Entry) -> None:
        """Deletes the record of a withdrawn start."""
        self.records.delete(self._name(entry, "withdrawn"))

    def prune(self, before: datetime) -> int:
        """Deletes the records of what was closed before a day; returns how many."""
        limit = before.strftime("%Y-%m-%d")
        count = 0
        for name in self.records.names(f"{self.hub}/closed/"):
            if _folder_of(name) >= limit:
                break
            self.records.delete(name)
            count += 1
        return count

    def _folder(self, instance_id: str, part: str = "open") -> str:
        return f"{self.hub}/{part}/{_key(instance_id)}/"

    def _name(self, entry: Entry, part: str = "open") -> str:
        folder = self._folder(entry.instance_id, part)
        return f"{folder}{_key(entry.time)}-{entry.sequence:06d}-{entry.kind}-{entry.id}.json"


def _key(text: str) -> str:
    """A text as one part of a record's name."""
    return quote(text, safe="@:-_").replace(".", "%2E")


def _folder_of(name: str) -> str:
    return name.split("/")[2]


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.time, entry.sequence, entry.id))


def _on_record(instance_id: str, found: list[tuple[str, Found]]) -> OnRecord:
    entries = [(name.split("/")[1], entry) for name, entry in found if isinstance(entry, Entry)]
    return OnRecord(
        instance_id,
        _in_order(entry for part, entry in entries if part == "open"),
        _in_order(entry for part, entry in entries if part == "withdrawn"),
        [f"{name}: {why}" for name, why in found if isinstance(why, str)],
    )


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
    return Journal(records, hub, "accept" if when_down == "accept" else "refuse", task_hub=task_hub_of(environment))


def task_hub_of(environment: Mapping[str, str], folder: Path | None = None) -> str:
    """The task hub's name as the app's setting or host.json gives it, the empty text when neither tells."""
    name = environment.get(HUB_NAME, "")
    if not name:
        root = folder or Path(environment.get("AzureWebJobsScriptRoot") or Path.cwd())
        try:
            name = json.loads((root / "host.json").read_text(encoding="utf-8"))["extensions"]["durableTask"]["hubName"]
        except (OSError, ValueError, LookupError, TypeError):
            return ""
    return name if isinstance(name, str) and "%" not in name else ""


@lru_cache(maxsize=1)
def current() -> Journal | NoJournal:
    """The app's journal, opened once."""
    return open_journal()
